"""Where Redis is and how it is reached: directly, over TLS, or by asking sentinels for the master."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from adapters.counters.redis.link import Link, LinkError, ReplyError, command

PORT = 6_379
SENTINEL_PORT = 26_379
OPENING = 4
"""How many times the deadline of a command a connection may take to be there."""
Push = Callable[[list[Any]], None]


class Server(NamedTuple):
    """What must be known to connect. Secrets stay out of its `repr`."""

    host: str = "localhost"
    port: int = PORT
    username: str = ""
    password: str = ""
    db: int = 0
    tls: ssl.SSLContext | None = None
    timeout: float = 0.25
    sentinels: Sequence[tuple[str, int]] = ()
    service: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""

    def __repr__(self) -> str:
        return f"<Server {self.place}>"

    @property
    def place(self) -> str:
        """Say where it is, without secrets."""
        if self.sentinels:
            return f"master `{self.service}` of {len(self.sentinels)} sentinels"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.db}"

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Server:
        """Read settings: `url`, or `host port username password db ssl`, and the rest; raises ValueError that names the setting."""
        found = dict(settings)
        if found.get("url"):
            found |= _of_url(found["url"])
        tls = None
        if found.get("ssl"):
            tls = _tls(found)
        sentinels = tuple(
            (str(one[0]), int(one[1]) if len(one) > 1 else SENTINEL_PORT) for one in found.get("sentinel_nodes") or ()
        )
        if sentinels and not found.get("service_name"):
            raise ValueError("`service_name`: sentinels need the name of the master that they watch")
        return cls(
            found.get("host") or "localhost", int(found.get("port") or PORT), found.get("username") or "",
            found.get("password") or "", int(found.get("db") or 0), tls, float(found.get("timeout") or 0.25), sentinels,
            found.get("service_name") or "", found.get("sentinel_username") or "", found.get("sentinel_password") or "",
        )  # fmt: skip


async def connect(server: Server, on_push: Push | None = None) -> Link:
    """Return an open connection to the master, logged in; raises LinkError that says what failed and where."""
    if not server.sentinels:
        return await _logged_in(server, server.host, server.port, on_push)
    reasons = []
    for host, port in server.sentinels:
        try:
            found = await _master(server, host, port)
            return await _logged_in(server, *found, on_push)
        except LinkError as error:
            reasons.append(str(error))
    raise LinkError("; ".join(reasons))


async def _master(server: Server, host: str, port: int) -> tuple[str, int]:
    """Ask one sentinel where the master is."""
    link = await _open(server, host, port, None)
    try:
        await _login(link, server.sentinel_username, server.sentinel_password)
        found = await link.send(command("SENTINEL", "get-master-addr-by-name", server.service))
    except ReplyError as error:
        raise LinkError(f"sentinel {host}:{port}: {error}") from error
    finally:
        link.close("asked")
    if not found:
        raise LinkError(f"sentinel {host}:{port} knows no master `{server.service}`")
    return found[0].decode(), int(found[1])


async def _logged_in(server: Server, host: str, port: int, on_push: Push | None) -> Link:
    # What is pushed comes after the first subscription only: until then each reply belongs to a command.
    link = await _open(server, host, port, on_push)
    try:
        await _login(link, server.username, server.password)
        if server.db:
            await link.send(command("SELECT", server.db))
        info = await link.send(command("INFO", "replication"))
    except ReplyError as error:
        link.close("refused")
        raise LinkError(f"Redis at {host}:{port} refused: {error}") from error
    except BaseException:
        link.close("given up")
        raise
    if b"role:master" not in info:
        link.close("a replica")
        raise LinkError(f"Redis at {host}:{port} is a replica, which counts nothing; name the master or its sentinels")
    return link


async def _login(link: Link, username: str, password: str) -> None:
    if password:
        await link.send(command("AUTH", username, password) if username else command("AUTH", password))


async def _open(server: Server, host: str, port: int, on_push: Push | None) -> Link:
    loop = asyncio.get_running_loop()
    try:
        _, link = await asyncio.wait_for(
            loop.create_connection(
                lambda: Link(loop, server.timeout, on_push), host, port, ssl=server.tls,
                server_hostname=host if server.tls is not None else None,
            ),
            server.timeout * OPENING,
        )  # fmt: skip
    except TimeoutError as error:
        raise LinkError(f"no connection to {host}:{port} within {server.timeout * OPENING:.1f} s") from error
    except (OSError, ssl.SSLError) as error:
        raise LinkError(f"no connection to {host}:{port}: {error}") from error
    return link


def _of_url(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError("`url`: must begin with `redis://` or `rediss://`")
    path = parts.path.strip("/")
    if path and not path.isdigit():
        raise ValueError("`url`: what follows the host is the number of a database")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError("`url`: the port is no number from 1 to 65535") from error
    said = {
        "host": parts.hostname, "port": port, "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""), "db": int(path) if path else None, "ssl": parts.scheme == "rediss" or None,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


def _tls(found: Mapping[str, Any]) -> ssl.SSLContext:
    """Make what TLS needs: `ssl_ca_certs`, `ssl_certfile` with `ssl_keyfile`, `ssl_cert_reqs`, `ssl_check_hostname`."""
    try:
        context = ssl.create_default_context(cafile=found.get("ssl_ca_certs") or None)
        if found.get("ssl_certfile"):
            context.load_cert_chain(found["ssl_certfile"], found.get("ssl_keyfile") or None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`: {error}") from error
    if found.get("ssl_check_hostname") is False or found.get("ssl_cert_reqs") in {"none", "optional"}:
        context.check_hostname = False
    if found.get("ssl_cert_reqs") in {"none", "optional"}:
        context.verify_mode = ssl.CERT_NONE if found["ssl_cert_reqs"] == "none" else ssl.CERT_OPTIONAL
    return context
