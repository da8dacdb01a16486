"""What the connections of one listener share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from engine.call import Route
from engine.cork import Cork

if TYPE_CHECKING:
    from engine.api.connection import Connection
    from engine.api.exchange import Exchange

Serve = Callable[["Exchange", Route, str], Awaitable[None]]
"""Answers an exchange of a route, with the model that the path named."""


class Server(Protocol):
    """What connections share."""

    serve: Serve
    cork: Cork
    draining: bool
    active: int

    def match(self, method: str, target: str) -> tuple[Route, str] | None:
        """Find the inference route of a request line, and the model its path names."""

    def hand_over(self, connection: Connection, transport: asyncio.Transport, data: bytes) -> None:
        """Give a socket whose next request begins with `data` to the application."""

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False when it is one too many."""

    def leave(self, connection: Connection) -> None:
        """Count a closed connection."""
