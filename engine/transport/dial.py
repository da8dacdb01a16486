"""How a connection is opened: names resolved, addresses checked, proxies and TLS on the way.

The address that is checked is the address that is connected to, so a name that changes its mind between the two
(DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

import aiohappyeyeballs

from engine.contracts import Origin
from engine.errors import UpstreamError

METADATA = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
"""Cloud metadata services that do not live in the link-local range (AWS IPv6, Alibaba, Azure)."""
P = TypeVar("P", bound=asyncio.BaseProtocol)
AddressInfo = tuple[int, int, int, str, tuple[object, ...]]


class Proxy(NamedTuple):
    """A forward proxy that speaks CONNECT."""

    host: str
    port: int
    authorization: bytes


class Proxies:
    """What the environment says of forward proxies."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._urls = {
            scheme: environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY") or ""
            for scheme in ("http", "https")
        }
        self._exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""

    def of(self, origin: Origin) -> Proxy | None:
        """Return the proxy on the way to an origin."""
        url = self._urls[origin.scheme]
        if not url or _loopback(origin.host) or proxy_bypass_environment(origin.host, {"no": self._exempt}):
            return None
        parts = urlsplit(url if "//" in url else f"http://{url}")
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode() if parts.username else b""
        return Proxy(parts.hostname or "", parts.port or 8080, base64.b64encode(login))


class Dialer:
    """Opens connections; the TLS context is made once, when first needed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._proxies = Proxies(environ)
        self._context: ssl.SSLContext | None = None

    async def dial(self, origin: Origin, factory: Callable[[], P], timeout: float) -> P:  # noqa: ASYNC109 - the contract's own word
        """Connect within `timeout` seconds; raises UpstreamError with `sent` False."""
        where = f"{origin.host}:{origin.port}"
        try:
            # `wait_for` may return the connection of a call that was cancelled (Python < 3.12), which nobody then closes.
            async with asyncio.timeout(timeout):  # noqa: TID251 - paid once a connection, not once a call
                return await self._connect(origin, factory)
        except TimeoutError:
            raise UpstreamError(
                504, "timeout", f"could not connect to `{where}` in {timeout:g} s", sent=False
            ) from None
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "handshake failed"
            raise UpstreamError(502, "upstream_error", f"no TLS with `{where}`: {reason}", sent=False) from error
        except (OSError, UnicodeError) as error:
            reason = (getattr(error, "strerror", "") or str(error) or type(error).__name__).lower()
            raise UpstreamError(502, "upstream_unreachable", f"cannot reach `{where}`: {reason}", sent=False) from error

    async def _connect(self, origin: Origin, factory: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        secure = origin.scheme == "https"
        if secure and self._context is None:
            self._context = tls()
        proxy = self._proxies.of(origin)
        if proxy is not None:
            permit(origin, origin.host)
            sock = await self._tunnel(proxy, origin)
        else:
            sock = await _reach(origin.host, origin.port, origin)
        try:
            _, connection = await loop.create_connection(
                factory,
                sock=sock,
                ssl=self._context if secure else None,
                server_hostname=origin.host if secure else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _tunnel(self, proxy: Proxy, origin: Origin) -> socket.socket:
        """Ask the proxy for a tunnel (RFC 9110 9.3.6) and hand over its bare socket."""
        loop = asyncio.get_running_loop()
        sock = await _reach(proxy.host, proxy.port, None)
        try:
            host = f"[{origin.host}]" if ":" in origin.host else origin.host
            login = b"proxy-authorization: Basic %b\r\n" % proxy.authorization if proxy.authorization else b""
            await loop.sock_sendall(
                sock,
                b"CONNECT %b:%d HTTP/1.1\r\nhost: %b:%d\r\n%b\r\n"
                % (host.encode(), origin.port, host.encode(), origin.port, login),
            )
            answer = bytearray()
            while b"\r\n\r\n" not in answer and len(answer) < 16384:
                # One byte at a time: what follows the head already belongs to the tunnel.
                piece = await loop.sock_recv(sock, 1)
                if not piece:
                    break
                answer += piece
            status = bytes(answer).split(b" ", 2)[1:2]
        except BaseException:
            sock.close()
            raise
        if status != [b"200"]:
            sock.close()
            raise ConnectionError(f"the proxy refused the tunnel ({b''.join(status).decode('latin-1') or 'no answer'})")
        return sock


def tls() -> ssl.SSLContext:
    """Make the TLS context of outbound connections; certificates come from the system or `SSL_CERT_FILE`."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _reach(host: str, port: int, origin: Origin | None) -> socket.socket:
    """Connect to the first address that answers (RFC 8305), among those that may be connected to."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if origin is not None:
        for _, _, _, _, address in found:
            permit(origin, str(address[0]))
    sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=0.25, interleave=1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def permit(origin: Origin, address: str) -> None:
    """Refuse link-local and cloud-metadata addresses unless the deployment allows them."""
    if origin.allow_link_local:
        return
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    if mapped.is_link_local or str(mapped) in METADATA:
        raise PermissionError(
            f"`{address}` is a link-local or metadata address; set `allow_link_local: true` to permit it"
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
