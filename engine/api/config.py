"""`POST /config/reload`: put in force what the files hold now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from engine.api.json import answer
from engine.errors import ClientError
from engine.identity import Identity
from engine.snapshot import Snapshot

Reload = Callable[[str], Awaitable[tuple[int, dict[str, Any]]]]
"""Reloads for a reason; returns a status and a report."""


class Config:
    """Reloads on request of an administrator.

    `snapshot` returns the one in force.
    """

    def __init__(self, identity: Identity, reload: Reload, snapshot: Callable[[], Snapshot]) -> None:
        self._identity = identity
        self._reload = reload
        self._snapshot = snapshot

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [web.post("/config/reload", self.reload)]

    async def reload(self, request: web.Request) -> web.Response:
        """Reload, and answer with what changed in effect; 422 with every problem when it was refused."""
        header = self._snapshot().settings.key_header
        caller = await self._identity.admitted(request.headers, header, request.remote or "")
        if not caller.admin:
            raise ClientError(403, "permission_denied", "only an administrator may reload; use the master key")
        status, report = await self._reload("POST /config/reload")
        return answer(report, status)
