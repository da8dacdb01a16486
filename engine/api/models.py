"""`GET /v1/models`: what the caller may call, by the resolver that decides when it does call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from engine.access import callable_by, visible
from engine.api.json import answer
from engine.call import Caller
from engine.errors import ClientError
from engine.identity import Identity
from engine.pricing import Prices
from engine.snapshot import Snapshot

CREATED = 1_677_610_602
"""The creation time that LiteLLM reports for every model."""


class Models:
    """Lists models."""

    def __init__(self, identity: Identity, snapshot: Callable[[], Snapshot], prices: Prices) -> None:
        self._identity = identity
        self._snapshot = snapshot
        self._prices = prices
        self._known: dict[str, list[str]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            *(web.get(path, self.every) for path in ("/v1/models", "/models", "/openai/v1/models")),
            *(web.get(path, self.one) for path in ("/v1/models/{name:.+}", "/models/{name:.+}")),
        ]

    async def every(self, request: web.Request) -> web.Response:
        """List what the caller may call."""
        caller, snapshot = await self._caller(request)
        wildcards = request.query.get("return_wildcard_routes", "").lower() == "true"
        names = visible(caller, snapshot, self._models_of, wildcards=wildcards)
        return answer({"data": [_model(name) for name in names], "object": "list"})

    async def one(self, request: web.Request) -> web.Response:
        """Describe one model, if the caller may call it."""
        caller, snapshot = await self._caller(request)
        name = request.match_info["name"]
        if not callable_by(caller, snapshot, name):
            raise ClientError(
                404, "model_not_found", f"model `{name}` does not exist here, or not for this key", "model"
            )
        return answer(_model(name))

    async def _caller(self, request: web.Request) -> tuple[Caller, Snapshot]:
        snapshot = self._snapshot()
        return await self._identity.admitted(
            request.headers, snapshot.settings.key_header, request.remote or ""
        ), snapshot

    def _models_of(self, provider: str) -> list[str]:
        if provider not in self._known:
            self._known[provider] = self._prices.names(provider)
        return self._known[provider]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "openai"}
