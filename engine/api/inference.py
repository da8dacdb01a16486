"""The inference routes, one line each, and what happens around `gateway.handle`: a call made, its errors rendered."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable
from urllib.parse import unquote

import structlog

from engine.api.errors import render
from engine.api.exchange import Exchange
from engine.call import Call, Route
from engine.contracts import Clock, Registry
from engine.errors import GatewayError, InternalError, Source
from engine.gateway import Gateway
from engine.headers import decision_head
from engine.measure import MEASURES
from engine.snapshot import Snapshot

log = structlog.get_logger("interlock")

ROUTES = (
    # path below an optional /v1, operation, dialect, task where an operation has several
    ("/chat/completions", "chat", "openai", ""),
    ("/completions", "completions", "openai", ""),
    ("/embeddings", "embeddings", "openai", ""),
    ("/responses", "responses", "responses", ""),
    ("/images/generations", "images", "images", "images.generations"),
    ("/images/edits", "images", "images", "images.edits"),
    ("/images/variations", "images", "images", "images.variations"),
    ("/audio/speech", "audio", "audio", "audio.speech"),
    ("/audio/transcriptions", "audio", "audio", "audio.transcriptions"),
    ("/audio/translations", "audio", "audio", "audio.translations"),
    ("/moderations", "moderations", "openai", ""),
    ("/rerank", "rerank", "rerank", ""),
)
FORMS = ("", "/v1", "/openai/v1")
"""What may stand before a path."""
RERANK = "/v2/rerank"
"""Cohere's path, whose version is another."""
MODEL_FORMS = re.compile(
    r"(?:/v1)?/(?:engines|openai/deployments)/(?P<model>[^/]+(?:/[^/]+)??)"
    r"(?P<path>/(?:chat/)?completions|/embeddings|/images/(?:generations|edits)"
    r"|/audio/(?:speech|transcriptions|translations))"
)
"""Paths that name the model themselves: OpenAI's old engines and Azure's deployments."""


class Inference:
    """Carries requests of inference routes through the gateway.

    `snapshot` returns the one in force; a call takes it once.
    """

    def __init__(self, gateway: Gateway, registry: Registry, snapshot: Callable[[], Snapshot], clock: Clock) -> None:
        self._gateway = gateway
        self._snapshot = snapshot
        self._time = clock.time
        self._monotonic = clock.monotonic
        self._ids = map(f"{secrets.token_hex(6)}-{{:08x}}".format, itertools.count(1))
        made = [Route(path, operation, registry.dialect(dialect), task) for path, operation, dialect, task in ROUTES]
        for route in made:
            route.measure = MEASURES.get(route.task)
        self._named = {route.path: route for route in made}
        self._paths = {form + route.path: route for form in FORMS for route in made}
        self._paths[RERANK] = self._named["/rerank"]

    def match(self, method: str, target: str) -> tuple[Route, str] | None:
        """Find the route of a request line, and the model its path names."""
        if method != "POST":
            return None
        path = target.partition("?")[0]
        route = self._paths.get(path)
        if route is not None:
            return route, ""
        found = MODEL_FORMS.fullmatch(path)
        return (self._named[found["path"]], unquote(found["model"])) if found else None

    async def serve(self, exchange: Exchange, route: Route, path_model: str) -> None:
        """Answer one request, by an error if it must be."""
        call = Call(next(self._ids), route, self._snapshot(), exchange)
        call.path_model = path_model
        call.address = exchange.address
        call.time = self._time()
        call.arrived = self._monotonic()
        try:
            await self._gateway.handle(call, exchange)
        except GatewayError as error:
            self._refuse(call, exchange, error)
        except Exception as error:
            failure = InternalError(500, "internal_server_error", "")
            failure.message = f"internal error `{failure.id}`; see the gateway's log"
            log.exception("internal error", call=call.id, error_id=failure.id, kind=type(error).__name__)
            self._refuse(call, exchange, failure)

    def _refuse(self, call: Call, reply: Exchange, error: GatewayError) -> None:
        if error.source in (Source.UPSTREAM, Source.GATEWAY):
            log.warning(
                "call failed", call=call.id, error_id=error.id, status=error.status, type=error.type, model=call.model
            )
        if reply.started:
            # A held answer that broke off: there is nothing left to say on this connection.
            reply.cut()
            return
        status, headers, body = render(error, call.route.dialect, call.id)
        headers = decision_head(call) + headers
        if call.deployment is not None:
            headers = call.deployment.head + headers
        reply.send(status, headers, body)
