"""What the transport's tests say and hear on the wire."""

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import NamedTuple

from engine.contracts import HttpRequest, Origin, Timeouts
from engine.errors import UpstreamError
from tests.running import ScriptedUpstream

CLOSED_WITHIN = 0.1
"""Seconds within which an upstream must see that a call has ended."""
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Whole(NamedTuple):
    """One answer, all of it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Running:
    """A transport with its background work, between start and close."""

    def __init__(self, http):
        self.http = http

    async def __aenter__(self):
        self._task = asyncio.create_task(self.http.run())
        return self

    async def __aexit__(self, *_):
        await self.http.close()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


def request(port, body=b"{}", *, host="127.0.0.1", scheme="http", head=b"", link_local=False, **limits):
    """Make a request; `limits` are those of `Timeouts`."""
    timeouts = Timeouts(**{"connect": 5.0, "first_byte": 5.0, "idle": 5.0, "total": 10.0, **limits})
    return HttpRequest(
        Origin(scheme, host, port, link_local), b"/v1/x", b"host: upstream\r\n" + head, (body,), timeouts
    )


def ready():
    """Never be full."""
    return asyncio.sleep(0)


async def take(answer, by="pump"):
    """Read an answer to its end, and end the exchange."""
    try:
        if by == "read":
            body = await answer.read(1 << 30)
        else:
            parts = []
            await answer.pump(lambda data: parts.append(data) or True, ready)
            body = b"".join(parts)
    finally:
        answer.close()
    return Whole(answer.status, list(answer.headers), body)


async def ask(http, sent, by="pump"):
    """Send a request and take the whole answer."""
    return await take(await http.send(sent), by)


async def attempt(http, sent, by="pump"):
    """Send a request; return the whole answer, or status and `sent` of the error."""
    try:
        return await ask(http, sent, by)
    except UpstreamError as error:
        return (error.status, error.sent)


async def until(condition, seconds=2.0):
    """Wait until a condition holds; fail when it does not come to hold."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "did not happen in time"
        await asyncio.sleep(0.002)


def answers(data, *, close=False):
    """Return a handler that answers every request with these bytes, and closes when told to."""

    async def handle(exchange):
        await exchange.send(data)
        if close:
            exchange.close()

    return handle


def drips(pieces, *, close=False, pause=0.0):
    """Return a handler that sends pieces, each as a segment of its own."""

    async def handle(exchange):
        exchange.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            if exchange.writer.is_closing():
                return
            exchange.writer.write(piece)
            await asyncio.sleep(pause)
        if close:
            exchange.close()

    return handle


async def greet(_, writer):
    """Answer before anything was asked, and leave."""
    writer.write(OK)
    await writer.drain()
    writer.close()


async def serve_once(reader, writer):
    """Answer one request, and leave."""
    await reader.readuntil(b"\r\n\r\n{}")
    writer.write(OK.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"))
    await writer.drain()
    writer.close()


def reset(exchange):
    """Close by RST."""
    linger = struct.pack("ii", 1, 0)
    exchange.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    exchange.abort()


class Hanging:
    """A handler that sends `data`, then waits for the other side to end the connection; `ended` is set then."""

    def __init__(self, data=b""):
        self.data = data
        self.reached = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, exchange):
        if self.data:
            await exchange.send(self.data)
        self.reached.set()
        with contextlib.suppress(ConnectionError):
            assert await exchange.reader.read() == b""
        self.ended.set()
        exchange.close()


class SecureUpstream(ScriptedUpstream):
    """A scripted upstream behind TLS; `spoken` is the protocol of each connection (ALPN)."""

    def __init__(self, certificate):
        super().__init__()
        self.spoken = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._context.set_alpn_protocols(["h2", "http/1.1"])

    async def start(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader, writer):
        self.spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await super()._accept(reader, writer)
