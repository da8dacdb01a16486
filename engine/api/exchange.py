"""One request and its answer on a client's connection: the `Source` and the `Reply` of the request path."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING

from engine.call import Headers
from engine.contracts import Tunnel
from engine.errors import ClientError, invalid_request

if TYPE_CHECKING:
    from engine.api.connection import Connection

KEPT = 64 * 1024
"""Bytes of a body kept before anyone has asked for it; more stops the reading."""
DECODED = 32 * 1024 * 1024
RATIO = 100
"""How many times larger than it came a compressed body may get."""
REASONS = {
    200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found", 408: b"Request Timeout",
    409: b"Conflict", 413: b"Content Too Large", 415: b"Unsupported Media Type", 422: b"Unprocessable Content",
    429: b"Too Many Requests", 500: b"Internal Server Error", 501: b"Not Implemented", 502: b"Bad Gateway",
    503: b"Service Unavailable", 504: b"Gateway Timeout",
}  # fmt: skip


class Exchange:
    """A request, as far as it has come, and the way back to its client.

    `headers` have lower-case names; one that came twice holds both values, joined as RFC 9110 5.3 says.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_early",
        "_flow",
        "_framed",
        "_parts",
        "_size",
        "_waiter",
        "broken",
        "complete",
        "ended",
        "headers",
        "keep_alive",
        "method",
        "received",
        "started",
        "target",
    )

    def __init__(self, connection: Connection, method: str, target: str, headers: Headers) -> None:
        self._connection = connection
        self.method = method
        self.target = target
        self.headers = headers
        self.keep_alive = True
        self.complete = False
        self.broken = False
        self.received = 0
        self.started = False
        self.ended = False
        self._chunked = True
        self._framed = True
        self._early: bytes | None = None
        self._flow: tuple[Callable[[bytes], bool], Callable[[], None], Callable[[], None]] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def address(self) -> str:
        """The client's network address."""
        return self._connection.peer

    @property
    def plain(self) -> bool:
        """Whether this is HTTP/1.1 on a connection that stays open."""
        return self._chunked and self.keep_alive

    @property
    def port(self) -> int:
        """The client's port."""
        return self._connection.port

    # --- what the connection reports ---

    def head_is_from_http_1_0(self) -> None:
        """Answer without chunks."""
        self._chunked = False

    def feed(self, data: bytes) -> None:
        """Take a piece of the body; once the answer is out nobody wants it."""
        self.received += len(data)
        if self._flow is not None:
            if not self._flow[0](data):
                self._connection.pause()
            return
        if self.ended:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._waiter is not None:
            self._wake()

    @property
    def unasked(self) -> bool:
        """Whether more of the body has come than is kept before anyone asks for it."""
        return self._size > KEPT and self._waiter is None

    def finish(self) -> None:
        """Learn that the body is whole."""
        self.complete = True
        if self._flow is not None:
            self._flow[1]()
        self._wake()

    def fail(self) -> None:
        """Learn that the body's framing is wrong, so that it will never be whole."""
        self.broken = True
        if self._flow is not None:
            self._flow[2]()
        self._wake()

    def offers(self, early: bytes) -> None:
        """Learn that this request offers WebSocket; `early` is what the client said before that was granted."""
        self.complete = True
        self.keep_alive = False
        self._early = early

    def abandon(self) -> None:
        """Let go of what has come: the client is gone, and what holds this request may be found only by a collection."""
        self._parts.clear()

    # --- Source ---

    def at_hand(self) -> bytes | None:
        """Return the body if it has arrived whole and needs no decoding."""
        if not self.complete or "content-encoding" in self.headers:
            return None
        self._check_type()
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def here(self) -> bytes | None:
        """Return the whole body, as it came, if it has arrived."""
        return b"".join(self._parts) if self.complete or self.length == 0 else None

    async def read(self, limit: int) -> bytes:
        """Wait for the whole body, decoded; raises ClientError."""
        self._check_type()
        return await self.whole(limit)

    async def whole(self, limit: int) -> bytes:
        """Wait for the whole body, decoded, whatever it is of; raises ClientError."""
        if int(self.headers.get("content-length", "0")) > limit:
            raise _too_large(limit)
        self._bid_go_on()
        while not self.complete and self._size <= limit:
            if self.broken:
                raise invalid_request("malformed HTTP request: the framing of its body is wrong")
            self._waiter = self._connection.loop.create_future()
            self._connection.resume()
            await self._waiter
            self._waiter = None
        if self._size > limit:
            raise _too_large(limit)
        body = b"".join(self._parts)
        # The pieces would be a second copy for as long as the call takes.
        self._parts = [body]
        return _decoded(body, self.headers.get("content-encoding", "identity").strip().lower(), limit)

    # --- Upload ---

    @property
    def length(self) -> int | None:
        """What the client says of its body's length; None when it sends chunks."""
        said = self.headers.get("content-length", "")
        if said.isdigit():
            return int(said)
        return None if "transfer-encoding" in self.headers else 0

    def flow(self, write: Callable[[bytes], bool], end: Callable[[], None], broken: Callable[[], None]) -> None:
        """Hand the body to `write`, piece by piece as it comes."""
        self._bid_go_on()
        self._flow = (write, end, broken)
        parts, self._parts, self._size = self._parts, [], 0
        willing = write(b"".join(parts)) if parts else True
        if self.broken:
            broken()
        elif self.complete:
            end()
        else:
            (self._connection.resume if willing else self._connection.pause)()

    def resume(self) -> None:
        """Read the client on."""
        if not self.complete:
            self._connection.resume()

    def stop(self) -> None:
        """Let whatever else comes go."""
        self._flow = (lambda _: True, _nothing, _nothing)
        self.resume()

    # --- WebSocket ---

    @property
    def upgrades(self) -> bool:
        """Whether this request offers WebSocket."""
        return self._early is not None

    async def join(self, tunnel: Tunnel, headers: bytes) -> None:
        """Grant the offer and carry bytes both ways until either side ends."""
        self.started = True
        self._connection.write(b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % headers)
        await self._connection.join(tunnel, self._early or b"")
        self.ended = True

    # --- Reply ---

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Write a whole answer in one piece."""
        self.started = self.ended = True
        self._connection.write(self._head(status, b"%bcontent-length: %d\r\n" % (headers, len(body))) + body)

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Write the head of an answer; None where nobody knows its length, -1 where there is no body to come."""
        self.started = True
        self._framed = length is None and self._chunked
        if self._framed:
            framing = b"transfer-encoding: chunked\r\n"
        elif length is None:
            framing = b""
            self.keep_alive = False
        else:
            framing = b"content-length: %d\r\n" % length if length >= 0 else b""
        self._connection.write(self._head(status, headers + framing))

    def write(self, data: bytes) -> bool:
        """Write a piece of the body; False asks to `drain` before the next."""
        return self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._framed else data)

    async def drain(self) -> None:
        """Wait until the client has taken enough."""
        await self._connection.drain()

    def end(self) -> None:
        """Write the end of a body that `start` began."""
        self.ended = True
        if self._framed:
            self._connection.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection on an answer that cannot be completed."""
        self.keep_alive = False
        self._connection.abort()

    # --- inside ---

    def _head(self, status: int, headers: bytes) -> bytes:
        if not self.complete or self._connection.draining:
            self.keep_alive = False
        close = b"" if self.keep_alive else b"connection: close\r\n"
        return b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (status, REASONS.get(status, b"Status"), headers, date_line(), close)

    def _bid_go_on(self) -> None:
        """Answer a client that asks before it sends a body (RFC 9110 10.1.1)."""
        if not self.complete and self.headers.get("expect", "").lower() == "100-continue":
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_type(self) -> None:
        kind = self.headers.get("content-type", "application/json")
        if kind == "application/json":
            return
        kind = kind.partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise ClientError(415, "unsupported_media_type", "send `content-type: application/json` with a JSON body")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _nothing() -> None:
    """Do nothing."""


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Decompress a body once, to a bounded size."""
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "deflate"):
        raise ClientError(
            415, "unsupported_media_type", f"content-encoding `{encoding[:40]}` is not read here; use gzip or none"
        )
    bound = min(limit, DECODED, max(RATIO * len(body), 1024))
    inflater = zlib.decompressobj(wbits=47)  # 47: gzip or zlib, by their own headers
    try:
        text = inflater.decompress(body, bound + 1)
    except zlib.error:
        raise invalid_request(f"the request body is not valid {encoding}") from None
    if len(text) > bound:
        raise ClientError(413, "request_too_large", "the request body is too large once decompressed")
    if not inflater.eof or inflater.unused_data:
        raise invalid_request(f"the request body is not one whole {encoding} stream")
    return text


def _too_large(limit: int) -> ClientError:
    most = f"{limit / (1024 * 1024):g} MB"
    return ClientError(413, "request_too_large", f"the request body is over {most}, the most this gateway takes")


_date = (0, b"")


def date_line() -> bytes:
    """Return the Date header (RFC 9110 6.6.1), written once a second."""
    global _date  # noqa: PLW0603 - one clock for all connections
    now = int(time())
    if now != _date[0]:
        _date = (now, b"date: %b\r\n" % formatdate(now, usegmt=True).encode())
    return _date[1]
