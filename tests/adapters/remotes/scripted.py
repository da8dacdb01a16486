"""A service that answers what it is told, in order, and keeps what it was asked."""

from __future__ import annotations

import json
from typing import Any

from tests.running import Exchange, ScriptedUpstream


class Scripted:
    """`says` bodies one after the other, the last one again and again."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.upstream = upstream
        self.bodies: list[Any] = []
        self.status = 200
        upstream.handler = self._answer

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.upstream.port}"

    @property
    def exchanges(self) -> list[Exchange]:
        """What it was asked, whole."""
        return self.upstream.requests

    @property
    def asked(self) -> list[Any]:
        """The bodies that it was asked."""
        return [json.loads(exchange.body) for exchange in self.upstream.requests]

    def says(self, *bodies: Any) -> None:
        """Answer with these from now on; bytes go out as they are."""
        self.bodies = list(bodies)

    async def _answer(self, exchange: Exchange) -> None:
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        if not isinstance(body, bytes):
            await exchange.json(body, self.status)
            return
        head = f"HTTP/1.1 {self.status} Status\r\ncontent-length: {len(body)}\r\n\r\n"
        await exchange.send(head.encode() + body)
