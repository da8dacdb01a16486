"""One request and its answer, fed by its connection and awaited by its caller.

A piece of a body costs one callback: no task, future, timer or exception per piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from engine.contracts import Timeouts
from engine.errors import UpstreamError

if TYPE_CHECKING:
    from engine.transport.connection import Connection

BUFFER = 256 * 1024
"""Bytes of a body kept before anyone has asked for it; more stops the reading."""


class Exchange:
    """One request and its answer; the `Upstream` of the own transport."""

    __slots__ = (
        "_connection",
        "_full",
        "_parts",
        "_total",
        "_touched",
        "_waiter",
        "_write",
        "closed",
        "complete",
        "deadline",
        "error",
        "headers",
        "size",
        "status",
        "timeouts",
    )

    def __init__(self, connection: Connection, timeouts: Timeouts, now: float) -> None:
        self._connection = connection
        self.timeouts = timeouts
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.closed = False
        self.error: Exception | None = None
        self.deadline = now + timeouts.first_byte
        self._total = now + timeouts.total
        self._touched = False
        self._parts: list[bytes] = []
        self.size = 0
        self._write: Callable[[bytes], bool] | None = None
        self._full = False
        self._waiter: asyncio.Future[None] | None = None

    # --- what the connection reports ---

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._parts.append(data)
        self.size += len(data)

    def advance(self) -> None:
        """Pass on what one read of the socket brought."""
        self._touched = True
        if self._write is not None:
            if self._parts:
                try:
                    self._deliver(self._write)
                except Exception as error:  # noqa: BLE001 - the caller's own, raised again where it pumps
                    self.complete = False
                    self.error = error
                    self._connection.abort()
            if not (self._full or self.complete or self.error):
                return
        elif self.size > BUFFER and not self.complete:
            self._connection.pause()
        self._wake()

    def sending(self) -> None:
        """Learn that the request's body goes on: the answer is waited for from its end."""
        if not self.status:
            self.deadline = self._connection.loop.time() + self.timeouts.first_byte

    def fail(self, error: Exception) -> None:
        """End the exchange by an error; a complete answer is not undone."""
        if not self.complete and self.error is None:
            self.error = error
            self._wake()

    def expired(self, now: float) -> bool:
        """Keep the deadline: True once it has passed."""
        if self._touched:
            self._touched = False
            if self.status:
                self.deadline = now + self.timeouts.idle
        return (now > self.deadline or now > self._total) and not self._full

    # --- what the caller asks for ---

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self.status:
            await self._wait()

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, or None once it exceeds `limit`."""
        self._connection.resume()
        while not self.complete:
            if self.size > limit:
                return None
            await self._wait()
            if self.size <= limit:
                self._connection.resume()
        if self.size > limit:
            return None
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    async def pump(self, write: Callable[[bytes], bool], drain: Callable[[], Awaitable[None]]) -> None:
        """Hand every piece to `write` as it arrives; wait for `drain` when it is full."""
        self._write = write
        if self._parts:
            self._deliver(write)
        while True:
            if self._full:
                await drain()
                self._full = False
                self._touched = True
            if self.complete:
                return
            self._connection.resume()
            await self._wait()

    def close(self) -> None:
        """End the exchange: the connection is kept if the answer came to its end, else cut."""
        if not self.closed:
            self.closed = True
            self._write = None
            self._connection.finish(self)
            if not self.complete:
                self.fail(UpstreamError(502, "upstream_error", "the exchange was closed before its end"))

    # --- inside ---

    def _deliver(self, write: Callable[[bytes], bool]) -> None:
        parts, self._parts, self.size = self._parts, [], 0
        if not write(parts[0] if len(parts) == 1 else b"".join(parts)):
            self._full = True
            if not self.complete:
                self._connection.pause()

    async def _wait(self) -> None:
        if self.error is not None:
            raise self.error
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
