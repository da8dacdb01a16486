"""What goes out: requests, their answers, and the one client that carries them, as the rest of the gateway sees it.

Everything here is a protocol or a value; `engine/transport` implements it, extensions reach it through `contracts`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9._%:~-]+")


class Origin(NamedTuple):
    """Where connections are pooled: one server under one identity."""

    scheme: str
    host: str
    port: int
    allow_link_local: bool = False


class Address(NamedTuple):
    """A URL taken apart: its server, its path without a slash at the end, its query without the question mark."""

    origin: Origin
    path: str
    query: str

    @property
    def host(self) -> str:
        """Return what the Host header says of it."""
        host = f"[{self.origin.host}]" if ":" in self.origin.host else self.origin.host
        default = self.origin.port == (443 if self.origin.scheme == "https" else 80)
        return host if default else f"{host}:{self.origin.port}"


def address(url: str, *, allow_link_local: bool = False) -> Address:
    """Take an http or https URL apart; raises ValueError saying what is wrong, without repeating what may be secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the host or its port is not one") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"`{parts.scheme}://{parts.hostname or ''}` is not an http or https address")
    if parts.username or parts.password:
        raise ValueError("put credentials into `api_key` or a header, not into the address")
    if not _HOST.fullmatch(parts.hostname):
        raise ValueError("the host holds characters that no address has; write other letters as punycode")
    if any(ord(character) <= 32 or ord(character) > 126 for character in parts.path + parts.query):
        raise ValueError("the path holds characters that must be percent-encoded")
    port = port or (443 if parts.scheme == "https" else 80)
    return Address(Origin(parts.scheme, parts.hostname, port, allow_link_local), parts.path.rstrip("/"), parts.query)


class Timeouts(NamedTuple):
    """Seconds an exchange may take: to connect, to the first byte of the answer, between bytes, in all."""

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 600.0
    total: float = 6000.0


Pieces = Sequence[bytes | memoryview]
"""A body as the pieces it consists of: large parts stay where they are and are never copied together."""


class Upload(Protocol):
    """A request body that is still on its way from the client: pushed piece by piece, never polled."""

    @property
    def length(self) -> int | None:
        """Return what the client announced, None when it sends chunks."""

    def flow(self, write: Callable[[bytes], bool], end: Callable[[], None], broken: Callable[[], None]) -> None:
        """Hand what has come, and from now on each piece as it comes, to `write`; call `end` or `broken` at the end.

        When `write` answers False, the client is not read on until `resume`.
        """

    def resume(self) -> None:
        """Read the client on."""

    def stop(self) -> None:
        """Let go: whatever else comes is dropped."""


class HttpRequest:
    """One outbound request: `head` holds the header lines (`name: value CRLF`) but those of framing, which are ours.

    Its body is `body`, or `upload` where there is one. `bodiless` tells that a request without a body has no length either.
    `begun` is asked once, right before the first byte leaves: an error that it returns is raised, and nothing is sent.
    """

    __slots__ = ("begun", "bodiless", "body", "head", "method", "origin", "target", "timeouts", "upload")

    def __init__(self, origin: Origin, target: bytes, head: bytes, body: Pieces, timeouts: Timeouts) -> None:
        self.origin = origin
        self.method = b"POST"
        self.target = target
        self.head = head
        self.body = body
        self.timeouts = timeouts
        self.upload: Upload | None = None
        self.bodiless = False
        self.begun: Callable[[], Exception | None] | None = None


class Upstream(Protocol):
    """One answer on its way: status and headers are there, the body follows.

    Header names are lower case. Either `read` or `pump` takes the body; `close` ends the exchange in any state, and
    is what frees the connection (kept when the body was read to its end, else cut at once).
    """

    status: int

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Return names and values, in the order they came."""

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, or None once it exceeds `limit` bytes; `pump` then still delivers all of it.

        Raises UpstreamError when the body breaks off or a time limit passes.
        """

    async def pump(self, write: Callable[[bytes], bool], drain: Callable[[], Awaitable[None]]) -> None:
        """Hand every piece to `write` as it arrives, without a task or timer per piece.

        When `write` answers False, nothing more is read until `drain()` returns. Raises as `read`.
        """

    def close(self) -> None:
        """End the exchange; idempotent."""


class Tunnel(Protocol):
    """A connection on which another protocol was offered, and the answer to that: its status, headers and what came behind.

    Only with status 101 is it open; anything else has a `body`, as far as it came at once.
    """

    status: int
    body: bytes

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Return names and values, in the order they came."""

    def join(self, write: Callable[[bytes], bool], ended: Callable[[], None]) -> None:
        """Hand everything that comes to `write`; after it answered False nothing more until `resume`."""

    def write(self, data: bytes) -> bool:
        """Send bytes; False asks to wait until `drained` is called."""

    def on_drained(self, drained: Callable[[], None]) -> None:
        """Say what to call when the upstream takes bytes again."""

    def resume(self) -> None:
        """Read the upstream on."""

    def close(self) -> None:
        """End the connection once what was written is out; idempotent."""


class Http(Protocol):
    """One outbound client with limits and an address guard, shared by everything that calls out."""

    async def send(self, request: HttpRequest) -> Upstream:
        """Send and wait for the answer's head.

        Raises UpstreamError (502 unreachable or garbage, 504 timeout, 503 too many waiting); `sent` is False
        when not one byte went out.
        """

    async def tunnel(self, request: HttpRequest) -> Tunnel:
        """Offer another protocol and wait for the answer to the offer; raises as `send`."""

    async def close(self) -> None:
        """Close every connection."""
