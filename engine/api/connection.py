"""A client's connection: HTTP/1.1 requests parsed by llhttp, answered one at a time by the connection's one task.

Laws of this file:
1. What llhttp refuses is answered 400 and closed; nothing of it reaches a handler. It runs strict: both framings at
   once, bare line feeds, folded headers and bad chunks are errors (RFC 9112 6.3, 11.2).
2. Requests that follow before an answer is out wait in line while reading is paused.
3. A request that is not for inference hands the whole socket, and the bytes of its head, to the application's server;
   that happens only where a request begins a read, for only there its bytes are known.
4. When the client goes, the task is cancelled at once, and with it what was done for its request.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque

import httptools

from engine.api.exchange import Exchange
from engine.api.heads import HEAD_LIMIT
from engine.api.limits import Bounds
from engine.api.outflow import Outflow
from engine.api.server import Server
from engine.call import Headers, Route
from engine.template import LastHead

_OFFER = re.compile(rb"(?im)^upgrade:[^\r\n]*\r\n")
_MALFORMED = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"%d"}}'

Seen = tuple[str, str, Headers, Route, str]
"""What a head was parsed to: method, target, headers, route and model."""

_BUFFER = memoryview(bytearray(256 * 1024))


class Connection(Outflow, asyncio.BufferedProtocol):
    """One client's socket."""

    __slots__ = (
        "_asked",
        "_begun",
        "_body_since",
        "_busy",
        "_handing_over",
        "_head",
        "_head_bytes",
        "_held_since",
        "_last_head",
        "_offer",
        "_offered",
        "_parser",
        "_queue",
        "_reading",
        "_server",
        "_since",
        "_stopped",
        "_task",
        "peer",
        "port",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, server.cork)
        self._server = server
        self.peer = ""
        self.port = 0
        self._parser = httptools.HttpRequestParser(self)
        self._last_head: LastHead[Seen] = LastHead()
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._offered = False
        self._offer: tuple[Exchange, Route, str] | None = None
        """A request to speak WebSocket, which its route may grant."""
        self._begun = False
        self._handing_over = False
        self._reading: Exchange | None = None
        self._queue: deque[tuple[Exchange, Route, str]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._busy = False
        self._asked: asyncio.Future[None] | None = None
        """What the task waits for between two requests."""
        self._stopped = False
        self._since = loop.time()
        self._body_since = 0.0
        self._held_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self.peer} {'busy' if self._busy else 'idle'}>"

    @property
    def draining(self) -> bool:
        """Whether the server takes no more requests."""
        return self._server.draining

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._busy and not self._head_bytes

    # --- flow ---

    def pause(self) -> None:
        """Stop reading; what is not read does not count as late."""
        if not self._paused:
            self._held_since = self.loop.time()
        super().pause()

    def resume(self) -> None:
        """Go on reading."""
        if self._paused:
            self._body_since += self.loop.time() - self._held_since
        super().resume()

    # --- for Limits ---

    def dawdles(self, now: float, bounds: Bounds) -> bool:
        """Tell whether the client takes too long: for a head, a body, between requests, or to take its answer."""
        if self._drained is not None:
            return now - self._paused_since > bounds.idle
        if self.tunnel is not None:
            return now - self.heard > bounds.silence
        if self._reading is not None and not self._reading.complete:
            waited = now - self._body_since - bounds.head
            return not self._paused and waited > 0 and self._reading.received < bounds.rate * waited
        if self._head_bytes:
            return now - self._since > bounds.head
        return not self._busy and now - self._since > bounds.idle

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or close at once."""
        self._transport = transport  # type: ignore[assignment]  # asyncio types every transport by its root
        self.peer, self.port, *_ = transport.get_extra_info("peername") or ("", 0)
        if not self._server.admit(self):
            self.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the one buffer that every connection is read into: what it holds is used up before the next read."""
        del sizehint
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came."""
        if self.tunnel is not None:
            self.heard = self.loop.time()
            if not self.tunnel.write(bytes(_BUFFER[:nbytes])):
                self.pause()
        elif not self._stopped:
            self._take(_BUFFER[:nbytes])

    def eof_received(self) -> bool:
        """Take the end of what a client says for its leaving: nothing else tells that it has gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what was done for a client that has gone."""
        del exc
        self._transport = None
        self._queue.clear()
        if self._reading is not None:
            self._reading.abandon()
        self.resume_writing()
        self._server.leave(self)
        if self._task is not None:
            self._task.cancel()

    # --- httptools callbacks ---

    def on_message_begin(self) -> None:
        """Start a request; one that begins within a read cannot be handed over."""
        self._begun = not (self._busy or self._queue or self._head)
        self._offered = False
        self.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are not wanted."""
        if self._reading is None:
            self.add(name, value)

    def on_headers_complete(self) -> None:
        """Dispatch a request by its head; its body may still be on the way."""
        method = self._parser.get_method().decode("latin-1")
        target = self.target.decode("latin-1")
        found = self._server.match(method, target)
        if found is None:
            self._handing_over = True
            raise _StopError
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise ValueError("not HTTP/1")
        if self._parser.should_upgrade():
            self._offered = True
            if found[0].tunnels and self._begun and self.headers.get("upgrade", "").lower() == "websocket":
                self._offer = (Exchange(self, method, target, self.headers), *found)
            raise _StopError
        exchange = self._reading = Exchange(self, method, target, self.headers)
        if version == "1.0":
            exchange.head_is_from_http_1_0()
        exchange.keep_alive = self._parser.should_keep_alive()
        self._head_bytes = 0
        self._head.clear()
        self._queue.append((exchange, *found))
        if self._busy:
            self.pause()
        else:
            self._run()

    def on_body(self, data: bytes) -> None:
        """Pass on a piece of the body."""
        if self._reading is not None:
            self._reading.feed(data)

    def on_message_complete(self) -> None:
        """End the request that is being read."""
        exchange, self._reading = self._reading, None
        if exchange is not None:
            exchange.finish()

    # --- inside ---

    def _take(self, data: memoryview | bytes) -> None:
        fresh = self._reading is None and not (self._busy or self._head_bytes or self._queue)
        if fresh and self._again(data):
            return
        if self._reading is None:
            if not self._head_bytes:
                self._since = self.loop.time()
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end_reading(data)
            return
        if fresh:
            self._remember(data)
        if self._reading is not None:
            # Only what is still on its way is held up: pausing costs two system calls.
            if self._reading.unasked:
                self.pause()
        elif self._head_bytes > HEAD_LIMIT:
            self._refuse(431, b"the request head is over 64 KiB")
        elif self._head_bytes:
            self._head.append(bytes(data))

    def _end_reading(self, data: memoryview | bytes) -> None:
        """Go on where the parser stopped: at a request for the application, an offer, or at what is not HTTP."""
        if self._handing_over:
            self._hand_over(data)
        elif self._offer is not None:
            self._consider_offer(*self._offer, b"".join((*self._head, data)))
        elif self._offered and self._begun:
            self._without_offer(data)
        else:
            self._refuse(400, b"malformed HTTP request")

    def _again(self, data: memoryview | bytes) -> bool:
        """Take a whole request whose head is the last one's; False leaves it to the parser."""
        known = self._last_head.again(data)
        if known is None:
            return False
        (method, target, headers, route, model), begin = known
        exchange = Exchange(self, method, target, headers)
        exchange.feed(bytes(data[begin:]))
        exchange.complete = True
        self._queue.append((exchange, route, model))
        self._run()
        return True

    def _remember(self, data: memoryview | bytes) -> None:
        """Keep the head of a request that was whole in one read, and after which the connection stays open."""
        if self._reading is None and len(self._queue) == 1:
            exchange, route, model = self._queue[0]
            if exchange.complete and exchange.plain and not route.passes:
                seen = (exchange.method, exchange.target, exchange.headers, route, model)
                self._last_head.keep(bytes(data), seen)

    def _run(self) -> None:
        """Begin with the first request in line: one task serves all of a connection, for a task each costs more."""
        self._be_busy()
        if self._task is None:
            self._task = self.loop.create_task(self._work())
        elif self._asked is not None:
            self._asked.set_result(None)

    async def _work(self) -> None:
        serve, line = self._server.serve, self._queue
        try:
            while True:
                exchange, route, model = line.popleft()
                await serve(exchange, route, model)
                if self._drained is not None:
                    await self._drained
                if not self._goes_on(exchange):
                    return
                if not line:
                    self._asked = self.loop.create_future()
                    await self._asked
        except BaseException:
            self.abort()
            raise
        finally:
            self._be_idle()
            self._task = None

    def _be_busy(self) -> None:
        self._busy = True
        self._server.active += 1
        self._body_since = self.loop.time()

    def _be_idle(self) -> None:
        if self._busy:
            self._busy = False
            self._server.active -= 1

    def _goes_on(self, exchange: Exchange) -> bool:
        """Tell whether the connection takes another request after this answer; if it does, be ready for it."""
        self._be_idle()
        if not (exchange.keep_alive and exchange.ended) or self._stopped:
            self._queue.clear()
            (self.close if exchange.complete else self._linger)()
            return False
        self._since = self.loop.time()
        if self._queue:
            self._be_busy()
        else:
            self.resume()
        return True

    def _linger(self) -> None:
        """Read on past a refused body: closing on unread bytes would reset the connection under the answer."""
        self._stopped = True
        self.resume()
        if self._transport is not None and self._transport.can_write_eof():
            self._cork.flush()
            self._transport.write_eof()
        self.loop.call_later(2.0, self.close)

    def _refuse(self, status: int, reason: bytes) -> None:
        """Answer what is not HTTP, without repeating any of it, and close."""
        self._stopped = True
        if not self._busy:
            body = _MALFORMED % (reason, status)
            head = b"HTTP/1.1 %d Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.write(head % (status, len(body)) + body)
            self.close()
        elif self._reading is not None:
            self._reading.keep_alive = False
            self._reading.fail()

    def _consider_offer(self, exchange: Exchange, route: Route, model: str, data: bytes) -> None:
        """Let the route answer an offer to speak WebSocket; what the client says meanwhile waits."""
        self._stopped = True
        self._head_bytes = 0
        exchange.offers(data.partition(b"\r\n\r\n")[2])
        self.pause()
        self._queue.append((exchange, route, model))
        self._run()

    def _without_offer(self, data: memoryview | bytes) -> None:
        """Read a request that offers another protocol again, without the offer: a server may ignore it (RFC 9110 7.8)."""
        head, _, rest = b"".join((*self._head, data)).partition(b"\r\n\r\n")
        self._parser = httptools.HttpRequestParser(self)
        self._head.clear()
        self._head_bytes = 0
        self._take(_OFFER.sub(b"", head + b"\r\n") + b"\r\n" + rest)

    def _hand_over(self, data: memoryview | bytes) -> None:
        self._stopped = True
        transport = self._transport
        if not self._begun or self._busy or transport is None:
            # Its first bytes went by with another request's: that one is answered, then the connection closes.
            if not self._busy:
                self.close()
            return
        self._cork.flush()
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        self._server.leave(self)
        self._server.hand_over(self, transport, b"".join((*self._head, data)))


class _StopError(Exception):
    """Stops the parser at the head of a request that it should not read on."""
