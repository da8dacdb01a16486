"""aiohttp's client behind the `Http` contract: the reference that the own transport is tested against."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from engine.contracts import HttpRequest, Origin, Timeouts, Tunnel, Upload
from engine.errors import UpstreamError
from engine.transport.connection import BODILESS, HEAD_LIMIT
from engine.transport.dial import Dialer, Proxies, permit, tls
from engine.transport.tunnel import offer

OURS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that aiohttp would add by itself: a request goes out as composed."""
HELD = 256 * 1024
LARGE = 1024 * 1024
"""Bytes above which aiohttp warns of a body that is not a file."""


class Answer:
    """The `Upstream` of the aiohttp transport."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: Timeouts) -> None:
        self._response = response
        self._kept: list[bytes] = []
        self.status = response.status
        self.headers = [(name.lower(), value) for name, value in response.raw_headers]
        protocol = response.connection.protocol if response.connection is not None else None
        if protocol is not None:
            protocol.read_timeout = timeouts.idle
            protocol.start_timeout()

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, or None once it exceeds `limit`."""
        size = sum(map(len, self._kept))
        while size <= limit:
            piece = await self._next()
            if not piece:
                return b"".join(self._kept)
            self._kept.append(piece)
            size += len(piece)
        return None

    async def pump(self, write: Callable[[bytes], bool], drain: Callable[[], Awaitable[None]]) -> None:
        """Hand every piece to `write` as it arrives; wait for `drain` when it is full."""
        kept, self._kept = self._kept, []
        for piece in kept:
            if not write(piece):
                await drain()
        while piece := await self._next():
            if not write(piece):
                await drain()

    def close(self) -> None:
        """End the exchange."""
        self._response.close()

    async def _next(self) -> bytes:
        """Return the next piece, b"" at the end."""
        if self.status in BODILESS:
            return b""
        with _mapped():
            return await self._response.content.readany()


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector, which would give an answer that nobody asked for to the next request on its connection."""

    async def _get(self, key: Any, traces: Any) -> Any:
        for proto, _ in self._conns.get(key, ()):
            if proto.should_close:
                proto.close()
        return await super()._get(key, traces)


class Session:
    """An `Http` over `aiohttp.ClientSession`."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._proxies = Proxies(environ or {})
        self._dialer = Dialer(environ or {})
        self._sessions: dict[tuple[str, bool], aiohttp.ClientSession] = {}
        self._closed = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        connectors: list[Any] = [session.connector for session in self._sessions.values() if session.connector]
        idle = [proto for c in connectors for line in c._conns.values() for proto, _ in line if proto.is_connected()]  # noqa: SLF001 - aiohttp does not tell
        return len(idle) + sum(len(c._acquired) for c in connectors)  # noqa: SLF001 - aiohttp does not tell

    async def send(self, request: HttpRequest) -> Answer:
        """Send and wait for the answer's head; see `Http.send`."""
        origin = request.origin
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        headers: CIMultiDict[str] = CIMultiDict()
        for line in request.head.decode("latin-1").split("\r\n"):
            name, _, value = line.partition(": ")
            if name:
                headers.add(name, value)
        proxy = self._proxies.of(origin)
        session = self._open(origin)
        with _mapped(f"{origin.host}:{origin.port}"):
            if proxy is not None:
                permit(origin, origin.host)
            url = URL(f"{origin.scheme}://{host}:{origin.port}{request.target.decode('ascii')}", encoded=True)
            body: Any = None
            if request.upload is not None:
                body = _pieces(request.upload)
                if request.upload.length is not None:
                    headers["Content-Length"] = str(request.upload.length)
            elif not request.bodiless:
                whole = b"".join(request.body)
                body = io.BytesIO(whole) if len(whole) > LARGE else whole
            if request.begun is not None and (error := request.begun()) is not None:
                raise error
            response = await session.request(
                request.method.decode("ascii"), url, data=body, headers=headers, allow_redirects=False,
                timeout=_timeout(request.timeouts), skip_auto_headers=OURS,
                proxy=URL.build(scheme="http", host=proxy.host, port=proxy.port) if proxy else None,
                proxy_headers={"Proxy-Authorization": f"Basic {proxy.authorization.decode()}"}
                if proxy and proxy.authorization else None,
            )  # fmt: skip
        if response.status < 200:
            response.close()
            raise UpstreamError(502, "upstream_error", f"the upstream answered {response.status}, which is no answer")
        return Answer(response, request.timeouts)

    async def tunnel(self, request: HttpRequest) -> Tunnel:
        """Offer another protocol over a connection of its own; see `Http.tunnel`."""
        return await offer(self._dialer, request)

    async def run(self) -> None:
        """Do nothing: aiohttp keeps its own deadlines."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        for session in self._sessions.values():
            await session.close()

    def _open(self, origin: Origin) -> aiohttp.ClientSession:
        """Return the session for origins of this kind: address guard and TLS belong to its connector."""
        if self._closed:
            raise UpstreamError(503, "overloaded", "the gateway is shutting down", sent=False)
        kind = (origin.scheme, origin.allow_link_local)
        if kind not in self._sessions:

            def guarded(info: tuple[Any, ...]) -> socket.socket:
                permit(origin, str(info[4][0]))
                return socket.socket(info[0], info[1], info[2])

            self._sessions[kind] = aiohttp.ClientSession(
                connector=Connector(
                    limit=0, limit_per_host=1024, socket_factory=guarded, ssl=tls() if origin.scheme == "https" else True
                ),
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), max_line_size=HEAD_LIMIT, max_field_size=HEAD_LIMIT,
            )  # fmt: skip
        return self._sessions[kind]


async def _pieces(upload: Upload) -> AsyncIterator[bytes]:
    """Turn a body that is pushed into one that is asked for, holding at most HELD bytes of it."""
    parts: deque[bytes] = deque()
    come = asyncio.Event()
    ends: list[str] = []

    def write(data: bytes) -> bool:
        parts.append(data)
        come.set()
        return sum(map(len, parts)) < HELD

    def end(how: str) -> None:
        ends.append(how)
        come.set()

    upload.flow(write, lambda: end("whole"), lambda: end("broken"))
    try:
        while parts or not ends:
            await come.wait()
            come.clear()
            while parts:
                yield parts.popleft()
            upload.resume()
        if ends[0] == "broken":
            raise ConnectionError("the client's body broke off")
    finally:
        upload.stop()


def _timeout(limits: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=limits.total, connect=limits.connect, sock_connect=limits.connect, sock_read=limits.first_byte
    )


class _mapped:  # noqa: N801 - reads as a statement
    """Turn aiohttp's errors into UpstreamError, at this adapter's edge."""

    def __init__(self, where: str = "") -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise UpstreamError(504, "timeout", f"could not connect to `{self._where}` in time", sent=False) from error
        if isinstance(error, TimeoutError):
            raise UpstreamError(504, "timeout", "the upstream timed out") from error
        if isinstance(
            error, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError | aiohttp.InvalidURL | PermissionError
        ):
            raise UpstreamError(
                502, "upstream_unreachable", f"cannot reach `{self._where}`: {_reason(error)}", sent=False
            ) from error
        if isinstance(error, aiohttp.ClientError | ConnectionError):
            raise UpstreamError(
                502, "upstream_error", "the upstream closed the connection or broke HTTP framing"
            ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refused the tunnel ({error.status})"
    cause: Exception = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    verify = getattr(cause, "verify_message", "") if isinstance(cause, ssl.SSLError) else ""
    return str(verify or getattr(cause, "strerror", "") or cause).lower()
