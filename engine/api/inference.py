"""The inference routes, one line each, and what happens around `gateway.handle`: a call made, its errors rendered."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import parse_qsl, unquote

import structlog

from engine.api.errors import render
from engine.call import Call, Route
from engine.contracts import Arrival, Clock, Registry
from engine.errors import ClientError, GatewayError, InternalError, Source
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
REALTIME = "/realtime"
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


class Client(Arrival, Protocol):
    """Who asks, and is answered."""

    @property
    def method(self) -> str:
        """Return the method of the request line."""

    @property
    def address(self) -> str:
        """Return the client's network address."""

    def cut(self) -> None:
        """Break off an answer that cannot be completed."""


class Inference:
    """Carries requests of inference routes through the gateway.

    `snapshot` returns the one in force; a call takes it once. `ids` names calls; by default no two ever alike.
    """

    def __init__(
        self, gateway: Gateway, registry: Registry, snapshot: Callable[[], Snapshot], clock: Clock,
        ids: Iterator[str] | None = None,
    ) -> None:  # fmt: skip
        self._gateway = gateway
        self._snapshot = snapshot
        self._time = clock.time
        self._monotonic = clock.monotonic
        self._ids = ids or map(f"{secrets.token_hex(6)}-{{:08x}}".format, itertools.count(1))
        made = [Route(path, operation, registry.dialect(dialect), task) for path, operation, dialect, task in ROUTES]
        for route in made:
            route.measure = MEASURES.get(route.task)
        self._named = {route.path: route for route in made}
        self._paths = {form + route.path: route for form in FORMS for route in made}
        self._paths[RERANK] = self._named["/rerank"]
        self._realtime = Route(REALTIME, "realtime", registry.dialect("openai"))
        self._realtime.tunnels = True
        self._spoken = frozenset(form + REALTIME for form in (*FORMS, "/openai"))

    def match(self, method: str, target: str) -> tuple[Route, str] | None:
        """Find the route of a request line, and the model its path names."""
        path = target.partition("?")[0]
        if method == "POST":
            route = self._paths.get(path)
            if route is not None:
                return route, ""
            found = MODEL_FORMS.fullmatch(path)
            if found:
                return self._named[found["path"]], unquote(found["model"])
        elif method == "GET" and path in self._spoken:
            return self._realtime, _model_asked(target)
        passages = self._snapshot().passages
        passing = passages.find(path) if passages else None
        return (passing.route(path), "") if passing is not None else None

    async def serve(self, exchange: Client, route: Route, path_model: str) -> None:
        """Answer one request, by an error if it must be."""
        call = Call(next(self._ids), route, self._snapshot(), exchange)
        call.path_model = path_model
        call.address = exchange.address
        call.time = self._time()
        call.arrived = self._monotonic()
        try:
            if route.passes:
                await self._pass(call, exchange)
            elif route.tunnels:
                call.method, call.model = exchange.method, path_model
                await self._gateway.converse(call, exchange)
            else:
                await self._gateway.handle(call, exchange)
        except GatewayError as error:
            self._refuse(call, exchange, error)
        except Exception as error:
            failure = InternalError(500, "internal_server_error", "")
            failure.message = f"internal error `{failure.id}`; see the gateway's log"
            log.exception("internal error", call=call.id, error_id=failure.id, kind=type(error).__name__)
            self._refuse(call, exchange, failure)

    async def _pass(self, call: Call, exchange: Client) -> None:
        """Pass a request on by the passage that is in force for it; the one that was found first may have gone."""
        call.method = exchange.method
        passages = call.snapshot.passages
        passing = passages.find(exchange.target.partition("?")[0]) if passages else None
        if passing is None:
            raise ClientError(404, "not_found", f"nothing is passed on from `{call.route.path}` any more")
        await self._gateway.pass_through(call, passing, exchange)

    def _refuse(self, call: Call, reply: Client, error: GatewayError) -> None:
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


def _model_asked(target: str) -> str:
    """Return the model that a query names, as OpenAI's and Azure's clients do."""
    asked = dict(parse_qsl(target.partition("?")[2], max_num_fields=100))
    return asked.get("model") or asked.get("deployment", "")
