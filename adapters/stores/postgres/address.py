"""Where a database is: a URL as people have it from elsewhere, with no secret in what is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from engine.storing import StoreError

SCHEMES = ("postgresql", "postgres")
KEPT = frozenset(
    """
    application_name database dbname host options passfile password port sslcert sslcrl sslkey sslmode sslnegotiation
    sslpassword sslrootcert ssl_min_protocol_version ssl_max_protocol_version target_session_attrs user krbsrvname gsslib
    """.split()  # noqa: SIM905 - a block of words reads better than twenty lines
)
"""Parameters that go on to the driver."""
LIMITS = {
    "connection_limit": "pool_limit",
    "pool_timeout": "pool_timeout",
    "connect_timeout": "connect_timeout",
    "socket_timeout": "timeout",
}
"""Prisma's parameters, by the store's settings that they are."""
LEFT = frozenset(
    ["channel_binding", "max_idle_connection_lifetime", "sslaccept", "sslidentity", "statement_cache_size"]
)
"""Parameters that others read, and of which the store has ideas of its own."""
SCHEMA = "interlock"
"""The schema of the store's tables; LiteLLM's, in `public`, may be in the same database."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
HOST = re.compile(r"\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._~%-]*")


class Address:
    """What a URL says: `dsn` for the driver, with the password; `shown` for people, without; the schema of the tables.

    `limits` are settings that the URL makes; `shared` says that a pooler between gives each transaction another
    connection (`pgbouncer=true`).
    """

    __slots__ = ("dsn", "limits", "schema", "shared", "shown")

    def __init__(self, url: str, *, shared: bool = False) -> None:
        """Read a URL; raises StoreError that says what is wrong with it and shows nothing of what may be a password."""
        scheme, separator, _ = url.partition("://")
        if not separator or scheme not in SCHEMES:
            raise StoreError("the database's URL must begin with `postgresql://`")
        try:
            split = urlsplit(url)
            asked = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query), max_num_fields=50)
        except ValueError:
            raise _unreadable() from None
        credentials, _, hosts = split.netloc.rpartition("@")
        # A `#` in a password ends the URL for who reads it by the rules.
        if split.fragment or not all(_is_host(one) for one in hosts.split(",")) or split.path.count("/") > 1:
            raise _unreadable()
        parameters = dict(asked)
        self.schema = _schema(parameters.pop("schema", ""))
        self.shared = parameters.pop("pgbouncer", "").lower() in {"true", "1"} or shared
        self.limits = {LIMITS[name]: _number(name, parameters.pop(name)) for name in LIMITS if name in parameters}
        _refuse_unknown(parameters)
        if parameters.get("sslaccept") == "strict" and parameters.get("sslmode") in {None, "prefer", "require"}:
            parameters["sslmode"] = "verify-full"
        user, colon, password = credentials.partition(":")
        secret = f"{_quoted(user)}{colon}{_quoted(password)}@" if credentials else ""
        query = urlencode({name: value for name, value in parameters.items() if name in KEPT}, quote_via=quote)
        where = f"{hosts}/{_quoted(split.path[1:])}"
        self.dsn = f"postgresql://{secret}{where}{f'?{query}' if query else ''}"
        self.shown = f"postgresql://{_shown(hosts, split.path[1:], parameters)}"

    def __repr__(self) -> str:
        return f"<Address {self.shown}>"


def _shown(hosts: str, database: str, parameters: Mapping[str, str]) -> str:
    place = unquote(hosts) or parameters.get("host", "")
    return f"{place}/{unquote(database) or parameters.get('dbname', '') or parameters.get('database', '')}"


def _is_host(text: str) -> bool:
    """Tell whether a text is a host and, maybe, a port; one that is empty is the driver's choice."""
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, "5432"
    known = HOST.fullmatch(host) is not None
    return known and port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536


def _schema(asked: str) -> str:
    """Return where the tables are: Prisma's `public` is where it puts them unasked, and says nothing of ours."""
    schema = SCHEMA if asked in {"", "public"} else asked
    if not NAME.fullmatch(schema) or schema.lower().startswith("pg_"):
        raise StoreError("the database's URL: `schema` must be a name of letters, digits and `_`")
    return schema


def _number(name: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise StoreError(f"the database's URL: `{name}` must be a whole number")
    return float(text)


def _refuse_unknown(parameters: Mapping[str, str]) -> None:
    unknown = sorted(parameters.keys() - KEPT - LEFT)
    # What looks like no name may be the rest of a password with a `?` or `&` in it.
    if unknown and not re.fullmatch(r"[a-z_]{1,40}", unknown[0]):
        raise _unreadable()
    if unknown:
        raise StoreError(
            f"the database's URL: unknown parameter `{unknown[0]}`; remove it, or set it on the server by "
            f"`options=-c%20name%3Dvalue`"
        )


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="")


def _unreadable() -> StoreError:
    return StoreError(
        "the database's URL must read `postgresql://user:password@host:5432/name`; "
        "in a password write `%40` for `@`, `%2F` for `/`, `%23` for `#`, `%3F` for `?`, `%25` for `%`"
    )
