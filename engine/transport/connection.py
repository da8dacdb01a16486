"""One upstream connection: HTTP/1.1 by llhttp, pushed, never polled.

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
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import httptools

from engine.call import Answered
from engine.contracts import HttpRequest, Origin, Upload
from engine.errors import UpstreamError
from engine.flow import Flow
from engine.template import LastHead
from engine.transport.exchange import Exchange

if TYPE_CHECKING:
    from engine.transport.pool import Pool

Seen = tuple[int, Answered]
"""What a head was parsed to: status and headers, of which content-length alone may differ."""
HEAD_LIMIT = 64 * 1024
"""Bytes that an upstream may send in a row without a byte of a body among them."""
BODILESS = frozenset({204, 304})
JOIN_BELOW = 32 * 1024
"""A body below this is written in one piece with its head: a copy is cheaper than a second buffer."""


class Connection(Flow, asyncio.Protocol):
    """One socket to one origin, either idle in its pool or carrying one exchange."""

    __slots__ = (
        "_chunks",
        "_close_delimited",
        "_exchange",
        "_fresh",
        "_full",
        "_head_only",
        "_head_size",
        "_headers",
        "_last_head",
        "_overhead",
        "_parser",
        "_pool",
        "_reusable",
        "_upload",
        "adopted",
        "idle_limit",
        "idle_since",
        "loop",
        "origin",
    )

    def __init__(self, pool: Pool, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._pool = pool
        self.origin = origin
        self.loop = loop
        self.adopted = False
        """Whether the pool counts this connection: a dial that fails half-way is not counted twice."""
        self.idle_since = 0.0
        self.idle_limit = pool.idle_limit
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._headers = Answered()
        self._head_size = 0
        self._overhead = 0
        self._close_delimited = False
        self._reusable = True
        self._last_head: LastHead[Seen] = LastHead()
        self._fresh = False
        self._head_only = False
        self._upload: Upload | None = None
        self._chunks = False
        self._full = False

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
        self._overhead = 0
        self._fresh = True
        self._head_only = request.method == b"HEAD"
        begun = request.begun
        may = None if begun is None else partial(_may_begin, exchange, begun)
        if request.upload is not None:
            if may is None or may():
                self._begin_upload(request, request.upload)
            return exchange
        pieces = request.body
        size = sum(map(len, pieces))
        length = b"" if request.bodiless else b"content-length: %d\r\n" % size
        head = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (request.method, request.target, request.head, length)
        if size < JOIN_BELOW:
            self._pool.cork.write(self._transport, b"".join((head, *pieces)), may)
        elif may is None or may():
            self._transport.writelines((head, *pieces))
        return exchange

    def finish(self, exchange: Exchange) -> None:
        """Take the connection back from its exchange: keep it or close it."""
        self._pool.ended(exchange)
        if exchange is not self._exchange:
            return
        self._exchange = None
        transport = self._transport
        uploading = self._stop_upload()
        if transport is None:
            return
        if (
            exchange.complete
            and self._reusable
            and not uploading
            and not transport.get_write_buffer_size()
            and not transport.is_closing()
        ):
            self.resume()
            self._pool.keep(self)
        else:
            transport.abort()

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
        fresh, self._fresh = self._fresh, False
        if fresh and self._again(exchange, data):
            return
        size = exchange.size
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._garbage(exchange, error)
        if exchange.size != size:
            self._overhead = 0
        elif not exchange.complete:
            self._bound(exchange, len(data))
        if fresh:
            self._remember(exchange, data)
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
        self._stop_upload()
        self._pool.lost(self)

    def pause_writing(self) -> None:
        """Learn that the upstream is slow."""
        self._full = True

    def resume_writing(self) -> None:
        """Learn that it has caught up, and read the client on."""
        self._full = False
        if self._upload is not None:
            self._upload.resume()

    # --- httptools callbacks ---

    def on_message_begin(self) -> None:
        """Start an answer; a second one was not asked for."""
        self._headers = Answered()
        self._head_size = 0
        if self._exchange is None or self._exchange.complete:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, or pass over a trailer."""
        exchange = self._exchange
        if exchange is None or exchange.status:
            return
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_LIMIT:
            raise ValueError("header section over 64 KiB")
        # llhttp leaves white space at the end of a value, which is not part of it (RFC 9112 5.1).
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Learn status and framing."""
        exchange = self._exchange
        if exchange is None or exchange.status:
            return
        status = self._parser.get_status_code()
        length: bytes | None = None
        chunked = False
        for name, value in self._headers:
            if name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                chunked = value.lower().endswith(b"chunked")
            elif name == b"keep-alive":
                self._limit_idle(value)
        if 100 <= status < 200 and status != 101 and length is None and not chunked:
            return
        if status < 200:
            raise ValueError(f"{status} is no answer")
        self._close_delimited = length is None and not chunked
        self._reusable = self._parser.should_keep_alive() and not (length is not None and chunked)
        exchange.headers = self._headers
        exchange.status = status
        if self._head_only:
            self._reusable = False
            exchange.complete = True
        elif status in BODILESS and (chunked or length not in {None, b"0"}):
            # llhttp would wait for the body that the header promises (RFC 9112 6.3, rule 1).
            self._reusable = False
            exchange.complete = True

    def on_body(self, data: bytes) -> None:
        """Pass on a piece of the body."""
        exchange = self._exchange
        if exchange is not None and not exchange.complete:
            exchange.feed(data)

    def on_message_complete(self) -> None:
        """End the answer, unless it was an informational one."""
        exchange = self._exchange
        if exchange is not None and exchange.status:
            exchange.complete = True

    # --- a body that is still on its way ---

    def _begin_upload(self, request: HttpRequest, upload: Upload) -> None:
        assert self._transport is not None  # noqa: S101 - the pool hands out open connections only
        self._upload = upload
        length = upload.length
        self._chunks = length is None
        framing = b"transfer-encoding: chunked\r\n" if length is None else b"content-length: %d\r\n" % length
        self._transport.write(b"%b %b HTTP/1.1\r\n%b%b\r\n" % (request.method, request.target, request.head, framing))
        upload.flow(self._send_piece, self._end_upload, self.abort)

    def _send_piece(self, data: bytes) -> bool:
        if self._transport is not None and data:
            if self._exchange is not None:
                self._exchange.sending()
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunks else data)
        return not self._full

    def _end_upload(self) -> None:
        self._upload = None
        if self._chunks and self._transport is not None:
            self._transport.write(b"0\r\n\r\n")

    def _stop_upload(self) -> bool:
        """Let go of a body that is still on its way; tell whether there was one."""
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.stop()
        return upload is not None

    # --- inside ---

    def _again(self, exchange: Exchange, data: bytes) -> bool:
        """Take a whole answer whose head is the last one's; False leaves it to the parser."""
        known = self._last_head.again(data)
        if known is None:
            return False
        (exchange.status, exchange.headers), begin = known
        exchange.feed(data[begin:])
        exchange.complete = True
        exchange.advance()
        return True

    def _remember(self, exchange: Exchange, data: bytes) -> None:
        """Keep the head of an answer that was whole in one read, and after which the connection stays open."""
        if exchange.complete and self._reusable:
            self._last_head.keep(data, (exchange.status, self._headers))

    def _limit_idle(self, value: bytes) -> None:
        for part in value.split(b","):
            name, _, seconds = part.strip().partition(b"=")
            if name.lower() == b"timeout" and seconds.strip().isdigit():
                self.idle_limit = min(self._pool.idle_limit, max(0.0, int(seconds) - 1.0))

    def _bound(self, exchange: Exchange, size: int) -> None:
        """Count what carried no body: a head, a trailer or a chunk's extension that never ends is garbage."""
        self._overhead += size
        if self._overhead > HEAD_LIMIT:
            self._garbage(exchange, ValueError("over 64 KiB without a body"))

    def _garbage(self, exchange: Exchange, error: Exception) -> None:
        """Fail an exchange by what its upstream sent; what comes after a whole answer does not undo it."""
        reason = (
            "switched protocols unasked" if isinstance(error, httptools.HttpParserUpgrade) else "broke HTTP framing"
        )
        self._reusable = False
        if not exchange.complete:
            exchange.fail(UpstreamError(502, "upstream_error", f"the upstream {reason}", sent=True))
        self.abort()


def _may_begin(exchange: Exchange, begun: Callable[[], Exception | None]) -> bool:
    """Tell whether the first byte of a request may leave; an exchange whose may not has failed."""
    error = begun()
    if error is not None:
        exchange.fail(error)
    return error is None
