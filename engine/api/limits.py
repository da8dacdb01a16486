"""How much one client may take of the server: connections, and time for what it sends.

A head must be whole within 10 seconds of its first byte; after that a body must come at 1 KB a second or more.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

HEAD_SECONDS = 10.0
BODY_RATE = 1024
CONNECTIONS = 10_000
PER_ADDRESS = 256


class Arriving(Protocol):
    """A request body on its way."""

    def is_eof(self) -> bool:
        """Tell whether all of it is here."""


class Watched(Protocol):
    """What is looked at of a connection."""

    peer: str
    since: float
    body_bytes: int

    @property
    def arriving(self) -> Arriving | None:
        """The body under way, None while there is only a head."""

    def force_close(self) -> None:
        """Close at once."""


class Limits:
    """Counts connections and closes those that dawdle."""

    def __init__(
        self, connections: int = CONNECTIONS, per_address: int = PER_ADDRESS, head_seconds: float = HEAD_SECONDS
    ) -> None:
        self._connections = connections
        self._per_address = per_address
        self._head_seconds = head_seconds
        self._addresses: dict[str, int] = {}
        self._watched: set[Watched] = set()
        self.refused = 0

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._watched)

    def admit(self, connection: Watched) -> bool:
        """Count a new connection; False when it is one too many."""
        count = self._addresses.get(connection.peer, 0)
        if len(self._watched) >= self._connections or count >= self._per_address:
            self.refused += 1
            return False
        self._addresses[connection.peer] = count + 1
        self._watched.add(connection)
        return True

    def leave(self, connection: Watched) -> None:
        """Count a closed connection."""
        if connection not in self._watched:
            return
        self._watched.discard(connection)
        left = self._addresses[connection.peer] - 1
        if left:
            self._addresses[connection.peer] = left
        else:
            del self._addresses[connection.peer]

    async def run(self) -> None:
        """Close connections that dawdle, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._head_seconds / 4))
            now = loop.time()
            for connection in [one for one in self._watched if self._dawdles(one, now)]:
                connection.force_close()

    def _dawdles(self, connection: Watched, now: float) -> bool:
        since = connection.since
        if not since or now - since <= self._head_seconds:
            return False
        body = connection.arriving
        if body is None:
            return True
        return not body.is_eof() and connection.body_bytes < BODY_RATE * (now - since - self._head_seconds)
