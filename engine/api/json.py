"""JSON answers of everything that is not inference, and the middleware that renders their errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from aiohttp import web

from engine.api.errors import head_of
from engine.contracts import Dialect
from engine.errors import ClientError, GatewayError, InternalError

log = structlog.get_logger("interlock")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(body: Any, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def errors(dialect: Dialect, inference: Callable[[str, str], object]) -> Any:
    """Make the middleware that turns errors into answers, in the manner of inference.

    `inference` finds the inference route of a method and target, None when there is none.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await guarded(request, handler)
        response.headers["Server"] = "interlock"
        # The socket was handed over for this one request; see engine/api/listener.py.
        response.force_close()
        return response

    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except GatewayError as error:
            return _rendered(error, dialect)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            if error.status == 404 and inference("POST", request.raw_path) is not None:
                error = web.HTTPMethodNotAllowed(request.method, ["POST"])
            rendered = _rendered(_of_http(request, error), dialect)
            if "Allow" in error.headers:
                rendered.headers["Allow"] = error.headers["Allow"]
            return rendered
        except Exception as error:  # the last line of defence: logged in full, told by its id
            failure = InternalError(500, "internal_server_error", "")
            failure.message = f"internal error `{failure.id}`; see the gateway's log"
            log.exception("internal error", error_id=failure.id, path=request.path, kind=type(error).__name__)
            return _rendered(failure, dialect)

    return middleware


def _rendered(error: GatewayError, dialect: Dialect) -> web.Response:
    response = web.Response(body=dialect.error(error), status=error.status, content_type="application/json")
    for header in head_of(error, "").decode().split("\r\n"):
        name, _, value = header.partition(": ")
        if name:
            response.headers[name] = value
    return response


def _of_http(request: web.Request, error: web.HTTPException) -> GatewayError:
    if error.status == 404:
        return ClientError(
            404, "not_found_error", f"no route `{request.method} {request.path}`; see GET / for what is here"
        )
    if error.status == 405:
        return ClientError(405, "invalid_request_error", f"`{request.path}` does not take {request.method}")
    return ClientError(error.status, "invalid_request_error", error.reason.lower())
