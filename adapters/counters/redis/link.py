"""One connection to Redis that many share: what is sent in one turn of the loop goes out in one write, replies come in order.

A command has a deadline. One that misses it takes the connection along: what comes later would be taken for another's reply.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

MOST_WAITING = 50_000
"""Commands without a reply; one more is refused."""


class LinkError(Exception):
    """A connection is gone, or never was; the text says why."""


class ReplyError(Exception):
    """Redis refused a command; the text is its own."""

    @property
    def code(self) -> str:
        """Return the first word: `NOSCRIPT`, `READONLY`."""
        return str(self).partition(" ")[0]


class Link(asyncio.Protocol):
    """A connection; `on_push` takes what nobody asked for, `on_close` the reason for the end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout: float, on_push: Callable[[list[Any]], None] | None = None
    ) -> None:
        self.loop = loop
        self.on_close: Callable[[str], None] = lambda _: None
        self.closed = ""
        self.heard = loop.time()
        self._timeout = timeout
        self._on_push = on_push
        self._reader = hiredis.Reader()
        self._transport: asyncio.WriteTransport | None = None
        self._out: list[bytes] = []
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Link {self.closed or 'open'} waiting={len(self._waiting)}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to send."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand each reply to the command that waits longest."""
        self.heard = self.loop.time()
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if self._on_push is not None and (isinstance(reply, list) or not waiting):
                    if isinstance(reply, list):
                        self._on_push(reply)
                    continue
                if not waiting:
                    self.close("Redis sent a reply that nobody asked for")
                    return
                future = waiting.popleft()[1]
                if future.done():
                    continue
                if isinstance(reply, hiredis.ReplyError):
                    future.set_exception(ReplyError(str(reply)))
                else:
                    future.set_result(reply)
        except hiredis.ProtocolError as error:
            self.close(f"not the protocol of Redis: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits."""
        self.close(f"connection lost: {exc}" if exc is not None else "connection closed by Redis")

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """Send a command with the others of this turn; the future fails with LinkError or ReplyError."""
        future: asyncio.Future[Any] = self.loop.create_future()
        if self.closed or len(self._waiting) >= MOST_WAITING:
            future.set_exception(LinkError(self.closed or "too many commands wait"))
            return future
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(command)
        self._waiting.append((self.loop.time() + self._timeout, future))
        if self._timer is None:
            self._timer = self.loop.call_later(self._timeout, self._look)
        return future

    def push(self, command: bytes) -> None:
        """Send what is answered by a push, or not at all."""
        if not self.closed:
            if not self._out:
                self.loop.call_soon(self._flush)
            self._out.append(command)

    def close(self, reason: str) -> None:
        """End the connection at once, once; what waits fails with the reason."""
        if self.closed:
            return
        self.closed = reason
        if self._transport is not None:
            self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._out.clear()
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(LinkError(reason))
        self.on_close(reason)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def _look(self) -> None:
        """Look whether the command that waits longest is late: one timer for all of them."""
        self._timer = None
        if not self._waiting:
            return
        due = self._waiting[0][0]
        if due <= self.loop.time():
            self.close(f"no answer within {self._timeout * 1000:.0f} ms")
        else:
            self._timer = self.loop.call_at(due, self._look)


def command(*words: str | bytes | int) -> bytes:
    """Write a command as the protocol has it: an array of strings."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in parts)
