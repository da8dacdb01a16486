"""How much one client may take of the server: connections, and time for what it sends and takes.

A head must be whole within 10 seconds of its first byte; after that a body must come at 1 KB a second or more; a client
may be idle, or leave its answer untaken, for 75 seconds. A tunnel ends when neither side says anything for 10 minutes.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol


class Bounds(NamedTuple):
    """Connections in all and of one address, seconds for a head, of idleness and of a tunnel's silence, a body's bytes a second."""

    connections: int = 10_000
    per_address: int = 256
    head: float = 10.0
    idle: float = 75.0
    silence: float = 600.0
    rate: float = 1024.0


class Watched(Protocol):
    """What is looked at of a connection."""

    peer: str

    def dawdles(self, now: float, bounds: Bounds) -> bool:
        """Tell whether the client takes too long."""

    def abort(self) -> None:
        """Close at once."""


class Limits:
    """Counts connections and closes those that dawdle."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - a NamedTuple never changes
        self._bounds = bounds
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
        if len(self._watched) >= self._bounds.connections or count >= self._bounds.per_address:
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
            await asyncio.sleep(min(1.0, self._bounds.head / 4))
            self.sweep(loop.time())

    def sweep(self, now: float) -> None:
        """Close connections that dawdle at this time."""
        for connection in [one for one in self._watched if one.dawdles(now, self._bounds)]:
            connection.abort()
