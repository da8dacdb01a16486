"""One upstream connection and the exchange on it: HTTP/1.1 by llhttp, pushed, never polled.

Laws of this file:
1. One exchange at a time, no pipelining; bytes that nobody asked for close the connection.
2. A piece of a body costs one callback: no task, future, timer or exception per piece.
3. A connection goes back to its pool only after a whole answer to a wholly written request that both sides agree
   leaves it open. In every other case it is closed.
4. Whether a request was delivered is known only before its first byte is written; after that it is never written again.

Source: RFC 9112 (message framing: 6.3, informational answers: RFC 9110 15.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import httptools

from engine.contracts import HttpRequest, Origin, Timeouts
from engine.errors import UpstreamError

if TYPE_CHECKING:
    from engine.transport.pool import Pool

BUFFER = 256 * 1024
"""Bytes of a body kept before anyone has asked for it; more stops the reading."""
HEAD_LIMIT = 64 * 1024
JOIN_BELOW = 64 * 1024
"""A body below this is written in one piece with its head: a copy is cheaper than a second buffer."""


class Exchange:
    """One request and its answer; the `Upstream` of the own transport."""

    __slots__ = (
        "_connection",
        "_full",
        "_parts",
        "_size",
        "_total",
        "_touched",
        "_waiter",
        "_write",
        "closed",
        "complete",
        "deadline",
        "error",
        "headers",
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
        self.error: UpstreamError | None = None
        self.deadline = now + timeouts.first_byte
        self._total = now + timeouts.total
        self._touched = False
        self._parts: list[bytes] = []
        self._size = 0
        self._write: Callable[[bytes], bool] | None = None
        self._full = False
        self._waiter: asyncio.Future[None] | None = None

    # --- what the connection reports ---

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._parts.append(data)
        self._size += len(data)

    def advance(self) -> None:
        """Pass on what one read of the socket brought."""
        self._touched = True
        if self._write is not None:
            if self._parts:
                self._deliver(self._write)
            if not (self._full or self.complete or self.error):
                return
        elif self._size > BUFFER and not self.complete:
            self._connection.pause()
        self._wake()

    def fail(self, error: UpstreamError) -> None:
        """End the exchange by an error; a complete answer is not undone."""
        if not self.complete and self.error is None:
            self.error = error
            self._wake()

    def expired(self, now: float) -> bool:
        """Keep the deadline: True once it has passed."""
        if self._touched:
            self._touched = False
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
            if self._size > limit:
                return None
            await self._wait()
            if self._size <= limit:
                self._connection.resume()
        if self._size > limit:
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

    # --- inside ---

    def _deliver(self, write: Callable[[bytes], bool]) -> None:
        parts, self._parts, self._size = self._parts, [], 0
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


class Connection(asyncio.Protocol):
    """One socket to one origin, either idle in its pool or carrying one exchange."""

    __slots__ = (
        "_close_delimited",
        "_exchange",
        "_head_size",
        "_headers",
        "_informational",
        "_parser",
        "_paused",
        "_pool",
        "_reusable",
        "_transport",
        "adopted",
        "idle_limit",
        "idle_since",
        "loop",
        "origin",
    )

    def __init__(self, pool: Pool, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self.origin = origin
        self.loop = loop
        self.adopted = False
        """Whether the pool counts this connection: a dial that fails half-way is not counted twice."""
        self.idle_since = 0.0
        self.idle_limit = pool.idle_limit
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._informational = False
        self._close_delimited = False
        self._reusable = True
        self._paused = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else "busy" if self._exchange else "idle"
        return f"<Connection {self.origin.host}:{self.origin.port} {state}>"

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def fileno(self) -> int:
        """The socket's descriptor, -1 when there is none."""
        sock = self._transport.get_extra_info("socket") if self._transport else None
        return sock.fileno() if sock is not None else -1

    # --- the exchange ---

    def begin(self, request: HttpRequest, now: float) -> Exchange:
        """Write a request; from here on it counts as sent."""
        assert self._transport is not None  # noqa: S101 - the pool hands out open connections only
        exchange = self._exchange = Exchange(self, request.timeouts, now)
        body = request.body
        head = b"%b %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (
            request.method,
            request.target,
            request.head,
            len(body),
        )
        if len(body) < JOIN_BELOW:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return exchange

    def finish(self, exchange: Exchange) -> None:
        """Take the connection back from its exchange: keep it or close it."""
        if exchange is not self._exchange:
            return
        self._exchange = None
        transport = self._transport
        if transport is None:
            return
        if (
            exchange.complete
            and self._reusable
            and not transport.get_write_buffer_size()
            and not transport.is_closing()
        ):
            self.resume()
            self._pool.keep(self)
        else:
            transport.abort()

    def pause(self) -> None:
        """Stop reading."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the open socket."""
        self._transport = transport  # type: ignore[assignment]  # asyncio types every transport by its root

    def data_received(self, data: bytes) -> None:
        """Parse what came and pass it on."""
        exchange = self._exchange
        if exchange is None or exchange.complete:
            self._reusable = False
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._garbage(exchange, error)
            return
        exchange.advance()

    def eof_received(self) -> None:
        """Learn that no more will come: the end of a close-delimited body, else a break."""
        exchange = self._exchange
        if exchange is not None and exchange.status and self._close_delimited:
            exchange.complete = True
            exchange.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange and the pool."""
        exchange = self._exchange
        if exchange is not None and not exchange.complete:
            if exchange.status and self._close_delimited and exc is None:
                exchange.complete = True
                exchange.advance()
            else:
                where = "in the middle of its answer" if exchange.status else "before it answered"
                exchange.fail(UpstreamError(502, "upstream_error", f"the upstream closed the connection {where}"))
        self._transport = None
        self._pool.lost(self)

    # --- httptools callbacks ---

    def on_message_begin(self) -> None:
        """Start an answer, or fail it: a second one was not asked for."""
        self._headers = []
        self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, or pass over a trailer."""
        exchange = self._exchange
        if exchange is None or exchange.status:
            return
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_LIMIT:
            raise ValueError("header section over 64 KiB")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Learn status and framing."""
        exchange = self._exchange
        status = self._parser.get_status_code()
        self._informational = 100 <= status < 200
        if exchange is None or self._informational or exchange.status:
            return
        length = chunked = False
        for name, value in self._headers:
            if name == b"content-length":
                length = True
            elif name == b"transfer-encoding":
                chunked = value.lower().endswith(b"chunked")
            elif name == b"keep-alive":
                self._limit_idle(value)
        self._close_delimited = not length and not chunked
        self._reusable = self._parser.should_keep_alive() and not (length and chunked)
        exchange.headers = self._headers
        exchange.status = status

    def on_body(self, data: bytes) -> None:
        """Pass on a piece of the body."""
        if self._exchange is not None:
            self._exchange.feed(data)

    def on_message_complete(self) -> None:
        """End the answer, unless it was an informational one."""
        exchange = self._exchange
        if exchange is None or self._informational or not exchange.status:
            return
        if exchange.complete:
            self._reusable = False
        exchange.complete = True

    # --- inside ---

    def _limit_idle(self, value: bytes) -> None:
        for part in value.split(b","):
            name, _, seconds = part.strip().partition(b"=")
            if name.lower() == b"timeout" and seconds.strip().isdigit():
                self.idle_limit = min(self._pool.idle_limit, max(0.0, int(seconds) - 1.0))

    def _garbage(self, exchange: Exchange, error: Exception) -> None:
        reason = (
            "switched protocols unasked" if isinstance(error, httptools.HttpParserUpgrade) else "broke HTTP framing"
        )
        self._reusable = False
        exchange.fail(UpstreamError(502, "upstream_error", f"the upstream {reason}", sent=True))
        self.abort()
