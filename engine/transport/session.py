"""aiohttp's client behind the `Http` contract: the reference that the own transport is tested against."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from engine.contracts import HttpRequest, Timeouts
from engine.errors import UpstreamError


class Answer:
    """The `Upstream` of the aiohttp transport."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._kept: list[bytes] = []
        self.status = response.status
        self.headers = [(name.lower(), value) for name, value in response.raw_headers]

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, or None once it exceeds `limit`."""
        size = 0
        with _mapped():
            async for piece in self._response.content.iter_any():
                self._kept.append(piece)
                size += len(piece)
                if size > limit:
                    return None
        return b"".join(self._kept)

    async def pump(self, write: Callable[[bytes], bool], drain: Callable[[], Awaitable[None]]) -> None:
        """Hand every piece to `write` as it arrives; wait for `drain` when it is full."""
        for piece in self._kept:
            if not write(piece):
                await drain()
        with _mapped():
            async for piece in self._response.content.iter_any():
                if not write(piece):
                    await drain()

    def close(self) -> None:
        """End the exchange."""
        self._response.close()


class Session:
    """An `Http` over `aiohttp.ClientSession`."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        connector = self._session.connector if self._session else None
        return len(getattr(connector, "_acquired", ())) if connector else 0

    async def send(self, request: HttpRequest) -> Answer:
        """Send and wait for the answer's head; see `Http.send`."""
        origin = request.origin
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        url = URL(f"{origin.scheme}://{host}:{origin.port}{request.target.decode('ascii')}", encoded=True)
        headers: CIMultiDict[str] = CIMultiDict()
        for line in request.head.decode("latin-1").split("\r\n"):
            name, _, value = line.partition(": ")
            if name:
                headers.add(name, value)
        with _mapped():
            response = await self._open().request(
                request.method.decode("ascii"), url, data=request.body, headers=headers, allow_redirects=False,
                timeout=_timeout(request.timeouts), skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            )  # fmt: skip
        return Answer(response)

    async def run(self) -> None:
        """Do nothing: aiohttp keeps its own deadlines."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=1024)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=True)
        return self._session


def _timeout(limits: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=limits.total, sock_connect=limits.connect, sock_read=limits.idle)


class _mapped:  # noqa: N801 - reads as a statement
    """Turn aiohttp's errors into UpstreamError, at this adapter's edge."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise UpstreamError(
                502, "upstream_unreachable", f"cannot reach the upstream: {error.strerror}", sent=False
            ) from error
        if isinstance(error, TimeoutError):
            raise UpstreamError(504, "timeout", "the upstream timed out") from error
        if isinstance(error, aiohttp.ClientError | ConnectionError):
            raise UpstreamError(
                502, "upstream_error", "the upstream closed the connection or broke HTTP framing"
            ) from error
