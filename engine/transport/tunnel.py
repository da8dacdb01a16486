"""A connection on which another protocol was offered: the answer to the offer by llhttp, then bytes both ways.

Source: RFC 9110 7.8 (Upgrade), RFC 6455 4.1 (the handshake of WebSocket, which client and upstream check themselves).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httptools

from engine.contracts import HttpRequest
from engine.errors import UpstreamError
from engine.flow import Flow
from engine.transport.dial import Dialer

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 1024 * 1024
"""Bytes kept of an answer that refuses the offer."""
SWITCHING = 101


async def offer(dialer: Dialer, request: HttpRequest) -> TunnelConnection:
    """Send an offer over a new connection and wait for its answer; raises UpstreamError."""
    loop = asyncio.get_running_loop()
    tunnel = await dialer.dial(request.origin, lambda: TunnelConnection(loop), request.timeouts.connect)
    error = request.begun() if request.begun is not None else None
    if error is not None:
        tunnel.close()
        raise error
    try:
        tunnel.write(b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, request.target, request.head))
        async with asyncio.timeout(request.timeouts.first_byte):  # noqa: TID251 - paid once a connection
            await tunnel.answered
    except TimeoutError:
        tunnel.close()
        raise UpstreamError(504, "timeout", "the upstream did not answer the offer of another protocol") from None
    except BaseException:
        tunnel.close()
        raise
    return tunnel


class TunnelConnection(Flow, asyncio.Protocol):
    """One socket to an upstream; the `Tunnel` of both transports."""

    __slots__ = (
        "_drained",
        "_ended",
        "_full",
        "_kept",
        "_parser",
        "_size",
        "_write",
        "answered",
        "body",
        "headers",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.answered: asyncio.Future[None] = loop.create_future()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._size = 0
        self._kept: list[bytes] = []
        self._write: Callable[[bytes], bool] | None = None
        self._ended: Callable[[], None] | None = None
        self._drained: Callable[[], None] | None = None
        self._full = False

    def __repr__(self) -> str:
        return f"<TunnelConnection {self.status or 'offering'}>"

    # --- Tunnel ---

    def join(self, write: Callable[[bytes], bool], ended: Callable[[], None]) -> None:
        """Hand everything that comes to `write`."""
        self._write, self._ended = write, ended
        kept, self._kept = b"".join(self._kept), []
        if not kept or write(kept):
            self.resume()
        if self._transport is None:
            ended()

    def write(self, data: bytes) -> bool:
        """Send bytes; False asks to wait until `drained`."""
        if self._transport is not None:
            self._transport.write(data)
        return not self._full

    def on_drained(self, drained: Callable[[], None]) -> None:
        """Say what to call when the upstream takes bytes again."""
        self._drained = drained

    def close(self) -> None:
        """End the connection once what was written is out."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the open socket."""
        self._transport = transport  # type: ignore[assignment]  # asyncio types every transport by its root

    def data_received(self, data: bytes) -> None:
        """Parse the answer to the offer; pass on what comes behind it."""
        if self._parser is None:
            self._hand_on(data)
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parser = None
            self._hand_on(data[upgrade.args[0] :])
            self._answer()
        except httptools.HttpParserError:
            self._fail("broke HTTP framing")
        else:
            if self._size > (HEAD_LIMIT if not self.status else BODY_LIMIT):
                self._fail("answered the offer of another protocol at too great a length")

    def pause_writing(self) -> None:
        """Learn that the upstream is slow."""
        self._full = True

    def resume_writing(self) -> None:
        """Learn that it has caught up."""
        self._full = False
        if self._drained is not None:
            self._drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits, and the other side."""
        del exc
        self._transport = None
        if not self.answered.done():
            if self.status and self.status != SWITCHING:
                self._answer()
            else:
                self._fail("closed the connection before it answered")
        if self._ended is not None:
            self._ended()

    # --- httptools callbacks ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if not self.status:
            self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Learn the status; an informational answer is followed by another."""
        assert self._parser is not None  # noqa: S101 - it is what calls
        status = self._parser.get_status_code()
        if status >= 200 or status == SWITCHING:
            self.status = status
        else:
            self.headers.clear()

    def on_body(self, data: bytes) -> None:
        """Keep a refusal's body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Learn that a refusal is whole."""
        if self.status and self.status != SWITCHING:
            self._answer()

    # --- inside ---

    def _hand_on(self, data: bytes) -> None:
        if self._write is None:
            self._kept.append(data)
            self.pause()
        elif not self._write(data):
            self.pause()

    def _answer(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)

    def _fail(self, what: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(UpstreamError(502, "upstream_error", f"the upstream {what}"))
        self.abort()
