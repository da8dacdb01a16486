"""The listening side: inference on our own connections, everything else handed to aiohttp's application.

A socket that is handed over answers one request there and is closed: management and health are not worth a second way
to serve inference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from engine.api.connection import Connection
from engine.api.limits import Bounds, Limits
from engine.api.server import Serve
from engine.call import Route
from engine.cork import Cork

IDLE = 75.0
HEADERS = 64 * 1024

Matcher = Callable[[str, str], tuple[Route, str] | None]
"""(method, target) -> an inference route and the model its path names."""


class Listener:
    """Makes connections, and hands over those that are not for inference.

    `match` finds inference routes, `serve` answers them; `application` answers everything else. `cork` holds
    small answers.
    """

    def __init__(self, match: Matcher, serve: Serve, application: web.AppRunner, limits: Limits, cork: Cork) -> None:
        self.match = match
        self.serve = serve
        self.cork = cork
        self.active = 0
        self.draining = False
        self._application = application
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self, self._loop)

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False when it is one too many."""
        admitted = self._limits.admit(connection)
        if admitted:
            self._connections.add(connection)
        return admitted

    def leave(self, connection: Connection) -> None:
        """Count a closed connection."""
        self._connections.discard(connection)
        self._limits.leave(connection)

    def hand_over(self, connection: Connection, transport: asyncio.Transport, data: bytes) -> None:
        """Give a socket whose next request begins with `data` to the application."""
        manager = self._application.server
        assert manager is not None  # noqa: S101 - the runner is set up before anything listens
        handler = AppConnection(manager, self._loop, self._limits, connection.peer)
        # Reading starts anew, because how a socket is read is settled when reading starts.
        transport.pause_reading()
        transport.set_protocol(handler)
        transport.resume_reading()
        handler.connection_made(transport)
        handler.data_received(data)

    async def drain(self, seconds: float) -> None:
        """Let calls under way finish within `seconds`, then close every connection."""
        self.draining = True
        deadline = self._loop.time() + seconds
        for connection in [one for one in self._connections if one.idle]:
            connection.close()
        while self.active and self._loop.time() < deadline:  # noqa: ASYNC110 - an event would cost every call a check
            await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.close() if connection.idle else connection.abort()
        await asyncio.sleep(0)


class AppConnection(RequestHandler):
    """A socket that the application answers on."""

    __slots__ = ("_limits", "_since", "peer")

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, limits: Limits, peer: str) -> None:
        super().__init__(
            manager, loop=loop, keepalive_timeout=IDLE, access_log=None, max_field_size=HEADERS, max_line_size=HEADERS,  # type: ignore[arg-type]  # None is how aiohttp turns the access log off
        )  # fmt: skip
        self._limits = limits
        self._since = loop.time()
        self.peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be counted, or close at once."""
        super().connection_made(transport)
        if not self._limits.admit(self):
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go."""
        self._limits.leave(self)
        super().connection_lost(exc)

    def dawdles(self, now: float, bounds: Bounds) -> bool:
        """Tell whether the one request that this socket is for takes too long to arrive or be answered."""
        return now - self._since > bounds.idle and not self._request_in_progress

    def abort(self) -> None:
        """Close at once."""
        self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is not HTTP without repeating any of it."""
        del request, message
        if status >= 500:
            self.log_exception("error in a request handler", exc_info=exc)
        text = "malformed HTTP request" if status < 500 else "internal error; see the gateway's log"
        kind = "invalid_request_error" if status < 500 else "internal_server_error"
        body = {"error": {"message": text, "type": kind, "param": None, "code": str(status)}}
        response = web.json_response(body, status=status)
        response.force_close()
        return response
