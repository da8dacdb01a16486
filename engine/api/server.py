"""The client side of the wire: aiohttp's low-level server, its limits, and one prepared write per answer.

Inference routes are matched before anything else and served here; all other paths go to the `web.Application` that
carries health, models and management. aiohttp parses and owns the connection; this file adds what it lacks: time limits
for heads and bodies, limits per address, and answers written in one piece.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from time import time as _time

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from engine.api.limits import Limits
from engine.call import Route
from engine.errors import ClientError, invalid_request

KEEPALIVE = 75.0
HEADERS = 64 * 1024
DECODED = 32 * 1024 * 1024
RATIO = 100
"""How many times larger than it came a compressed body may get."""
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
    409: "Conflict", 413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content",
    429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip

Matcher = Callable[[str, str], tuple[Route, str] | None]
"""(method, path) -> an inference route and the model its path names."""


class Written(web.StreamResponse):
    """Tells aiohttp that the answer is out already; one object each for keeping and closing the connection."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: the head is out."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body is out."""


class Connection(RequestHandler):
    """One client's connection, watched by `Limits`."""

    __slots__ = ("_limits", "arriving", "body_bytes", "peer", "since")

    def __init__(self, limits: Limits, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager, loop=loop, keepalive_timeout=KEEPALIVE, access_log=None, auto_decompress=False,  # type: ignore[arg-type]  # None is how aiohttp turns the access log off
            max_field_size=HEADERS, max_line_size=HEADERS,
        )  # fmt: skip
        self._limits = limits
        self.peer = ""
        self.since = 0.0
        """When the part of a request that is under way began to arrive; 0 when none is."""
        self.arriving: StreamReader | None = None
        self.body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or close it at once."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        if not self._limits.admit(self):
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go."""
        self._limits.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when a request begins and how much of its body comes."""
        if not self.since:
            self.since = self._loop.time()
        self.body_bytes += len(data)
        super().data_received(data)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is not HTTP without repeating any of it."""
        del request, message
        if status >= 500:
            self.log_exception("error in a request handler", exc_info=exc)
        text = "malformed HTTP request" if status == 400 else "internal error; see the gateway's log"
        kind = "invalid_request_error" if status == 400 else "internal_server_error"
        body = {"error": {"message": text, "type": kind, "param": None, "code": str(status)}}
        response = web.json_response(body, status=status)
        response.force_close()
        return response


class InferenceRequest(web.BaseRequest):
    """A request for an inference route."""

    route: Route
    path_model: str


class HttpSource:
    """The client's request, as the request path reads it."""

    __slots__ = ("_request", "headers")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.headers = request.headers

    def at_hand(self) -> bytes | None:
        """Return the body if it has arrived whole and needs no decoding."""
        content = self._request.content
        if not content.is_eof() or hdrs.CONTENT_ENCODING in self.headers:
            return None
        self._check_type()
        return content.read_nowait()

    async def read(self, limit: int) -> bytes:
        """Wait for the whole body, decoded; raises ClientError."""
        self._check_type()
        request = self._request
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts, size = [], 0
        try:
            while not request.content.at_eof():
                parts.append(await request.content.readany())
                size += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
        except web.RequestPayloadError:
            raise invalid_request("the request body broke off or its framing is wrong") from None
        return self._decoded(b"".join(parts), limit)

    def _check_type(self) -> None:
        kind = self.headers.get(hdrs.CONTENT_TYPE, "application/json").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise ClientError(415, "unsupported_media_type", "send `content-type: application/json` with a JSON body")

    def _decoded(self, body: bytes, limit: int) -> bytes:
        encoding = self.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
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


class HttpReply:
    """The way back to one client."""

    __slots__ = ("_chunked", "_keep_alive", "_request", "ended", "started")

    def __init__(self, request: web.BaseRequest, *, keep_alive: bool) -> None:
        self._request = request
        self._keep_alive = keep_alive
        self._chunked = request.version >= (1, 1)
        self.started = False
        self.ended = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return self._keep_alive and self.ended

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Write a whole answer in one piece."""
        self.started = self.ended = True
        transport = self._request.transport
        if transport is not None:
            transport.write(self._head(status, b"%bcontent-length: %d\r\n" % (headers, len(body))) + body)

    def start(self, status: int, headers: bytes) -> None:
        """Write the head of an answer whose length nobody knows."""
        self.started = True
        framing = b"transfer-encoding: chunked\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
        if not self._chunked:
            self._keep_alive = False
            framing = b"cache-control: no-cache\r\n"
        transport = self._request.transport
        if transport is not None:
            transport.write(self._head(status, headers + framing))

    def write(self, data: bytes) -> bool:
        """Write a piece of the body; False asks to `drain` before the next."""
        protocol = self._request.protocol
        transport = protocol.transport
        if transport is None:
            return True
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return not protocol.writing_paused

    async def drain(self) -> None:
        """Wait until the client has taken enough."""
        await self._request.writer.drain()

    def end(self) -> None:
        """Write the end of a body that `start` began."""
        self.ended = True
        transport = self._request.transport
        if transport is not None and self._chunked:
            transport.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection on an answer that cannot be completed."""
        self._keep_alive = False
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def _head(self, status: int, headers: bytes) -> bytes:
        close = b"" if self._keep_alive else b"connection: close\r\n"
        reason = REASONS.get(status, "Status").encode()
        return b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (status, reason, headers, date_line(), close)


class Listener:
    """Makes connections for a listening socket and hands their requests to where they belong.

    `match` finds inference routes, `serve` carries them; everything else goes to `application`.
    """

    def __init__(
        self,
        match: Matcher,
        serve: Callable[[InferenceRequest, HttpReply], Awaitable[None]],
        application: web.Server,
        limits: Limits,
    ) -> None:
        self._match = match
        self._serve = serve
        self._application = application
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._written = (Written(keep_alive=False), Written(keep_alive=True))
        self.active = 0
        self.draining = False
        self.server = web.Server(self._handle, request_factory=self._request, handler_cancellation=True)

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self._limits, self.server, self._loop)

    async def drain(self, seconds: float) -> None:
        """Let calls under way finish within `seconds`, then close every connection."""
        self.draining = True
        deadline = self._loop.time() + seconds
        for connection in self.server.connections:
            if isinstance(connection, Connection) and not connection.since:
                connection.force_close()
        while self.active and self._loop.time() < deadline:  # noqa: ASYNC110 - an event would cost every call a check
            await asyncio.sleep(0.02)
        await self.server.shutdown(0.1)

    def _request(
        self, message: RawRequestMessage, payload: StreamReader, protocol: RequestHandler,
        writer: AbstractStreamWriter, task: asyncio.Task[None],
    ) -> web.BaseRequest:  # fmt: skip
        if isinstance(protocol, Connection):
            protocol.arriving = payload
            protocol.body_bytes = 0
        found = self._match(message.method, message.path)
        if found is None:
            return self._application.request_factory(message, payload, protocol, writer, task)
        request = InferenceRequest(message, payload, protocol, writer, task, self._loop)
        request.route, request.path_model = found
        return request

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.active += 1
        try:
            if type(request) is not InferenceRequest:
                response = await self._application.request_handler(request)
                if self.draining:
                    response.force_close()
                return response
            reply = HttpReply(request, keep_alive=request.keep_alive and not self.draining)
            await self._serve(request, reply)
            if request.protocol.writing_paused:
                await reply.drain()
            return self._written[reply.keep_alive]
        finally:
            self.active -= 1
            protocol = request.protocol
            if isinstance(protocol, Connection):
                protocol.since = 0.0
                protocol.arriving = None


_date = (0, b"")


def date_line() -> bytes:
    """Return the Date header (RFC 9110 6.6.1), written once a second."""
    global _date  # noqa: PLW0603 - one clock for all connections
    now = int(_time())
    if now != _date[0]:
        _date = (now, f"date: {formatdate(now, usegmt=True)}\r\n".encode())
    return _date[1]


def _too_large(limit: int) -> ClientError:
    return ClientError(
        413, "request_too_large", f"the request body is over {limit // (1024 * 1024)} MB, the most this gateway takes"
    )
