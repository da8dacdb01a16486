"""`/guardrails/*`, in LiteLLM's shapes: which guardrails there are, and one tried on a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from engine.api.json import answer
from engine.errors import invalid_request
from engine.guard import apply
from engine.identity import Identity
from engine.snapshot import Snapshot
from engine.watching import Guard


class Guardrails:
    """Shows guardrails to who has a key, and tries them."""

    def __init__(self, identity: Identity, snapshot: Callable[[], Snapshot]) -> None:
        self._identity = identity
        self._snapshot = snapshot

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.get("/guardrails/list", self.listed),
            web.get("/v2/guardrails/list", self.listed),
            web.post("/guardrails/apply_guardrail", self.apply),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """List the guardrails in force: their names, when they look, and whether at every call."""
        await self._admitted(request)
        return answer({"guardrails": [_shown(one) for one in self._snapshot().guardrails.values()]})

    async def apply(self, request: web.Request) -> web.Response:
        """Try a guardrail on a text; what it blocks is answered as a call would be."""
        await self._admitted(request)
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            body = None
        name, text = (body.get("guardrail_name"), body.get("text")) if isinstance(body, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str):
            raise invalid_request("send `guardrail_name` and `text`")
        found = self._snapshot().guardrails.get(name)
        if found is None:
            raise invalid_request(
                f"there is no guardrail `{name[:100]}` here; `GET /guardrails/list` lists them", "guardrail_name"
            )
        return answer({"response_text": await apply(found, text)})

    async def _admitted(self, request: web.Request) -> None:
        await self._identity.admitted(request.headers, self._snapshot().settings.key_header, request.remote or "")


def _shown(one: Guard) -> dict[str, Any]:
    detects = [detect.name for detect in one.watch.detects]
    return {
        "guardrail_name": one.name,
        "litellm_params": {"guardrail": ", ".join(detects), "mode": sorted(one.watch.phases), "default_on": not one.watch.optional},
        "guardrail_info": None,
    }  # fmt: skip
