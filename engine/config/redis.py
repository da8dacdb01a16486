"""Where processes count together, by the settings that LiteLLM has for Redis.

In this order: `router_settings.redis_*`; `litellm_settings.cache: true` with `cache_params.type: redis`, what it does not say being
taken from the environment; `REDIS_URL` or `REDIS_HOST` of the environment. A URL says more than a host beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.config.problems import Findings, Path, kind_of_value

if TYPE_CHECKING:
    from engine.config.specs import RouterSettings

ROUTER: Path = ("router_settings",)
CACHE: Path = ("litellm_settings", "cache_params")
VARIABLES = {
    "url": "REDIS_URL", "host": "REDIS_HOST", "port": "REDIS_PORT", "username": "REDIS_USERNAME", "password": "REDIS_PASSWORD",
    "db": "REDIS_DB", "ssl": "REDIS_SSL",
}  # fmt: skip
TEXTS = (
    "url", "host", "username", "password", "namespace", "service_name", "sentinel_username", "sentinel_password", "ssl_ca_certs",
    "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs",
)  # fmt: skip
NUMBERS = {"port": (1, 65_535), "db": (0, 2**31)}
TRUTHS = ("ssl", "ssl_check_hostname")
CERTIFICATES = frozenset({"none", "optional", "required"})


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """What must be known of a Redis. Secrets are not shown."""

    url: str = field(default="", repr=False)
    host: str = ""
    port: int | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    db: int | None = None
    namespace: str = ""
    """What tells counters apart from those of another gateway in the same Redis."""
    timeout: float = 0.25
    """Seconds after which a command has failed."""
    ssl: bool | None = None
    ssl_check_hostname: bool | None = None
    ssl_ca_certs: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    ssl_cert_reqs: str = ""
    sentinel_nodes: tuple[tuple[str, int], ...] = ()
    service_name: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """Say where it is, without secrets."""
        if self.sentinel_nodes:
            return f"the master `{self.service_name}` of {len(self.sentinel_nodes)} sentinels"
        parts = urlsplit(self.url) if self.url else None
        host, port = (parts.hostname, parts.port) if parts is not None else (self.host, self.port)
        return f"{host or 'localhost'}:{port or 6_379}"

    def mapping(self) -> Mapping[str, Any]:
        """Return what `Registry.counters` takes."""
        return asdict(self)


def redis(
    router: RouterSettings, litellm: Mapping[str, Any], environ: Mapping[str, str], findings: Findings
) -> RedisSettings | None:
    """Return where processes count together; None where each counts for itself, or what was said of it is no good."""
    reader = _Reader(findings)
    cached = litellm.get("cache_params")
    if router.redis_url or router.redis_host:
        said = {name: getattr(router, f"redis_{name}") for name in VARIABLES}
        places: dict[str, Path] = {name: (*ROUTER, f"redis_{name}") for name in said}
    elif litellm.get("cache") is True and isinstance(cached, Mapping) and cached.get("type") == "redis":
        own = {name: value for name, value in cached.items() if value is not None}
        named = own.keys() & {"url", "host", "sentinel_nodes"}
        rest = {name: value for name, value in _environment(environ).items() if name != "url" or not named}
        said, places = (
            rest | own,
            {name: (variable,) for name, variable in VARIABLES.items()} | {n: (*CACHE, n) for n in own},
        )
        if own.get("redis_startup_nodes"):
            findings.error((*CACHE, "redis_startup_nodes"), "a cluster is not spoken: name one server, or sentinels")
            return None
        if not said.keys() & {"url", "host", "sentinel_nodes"}:
            findings.error((*CACHE, "host"), "`type: redis` needs a `host`, a `url` or `sentinel_nodes`, or REDIS_HOST")
            return None
    else:
        said = dict(_environment(environ))
        places = {name: (variable,) for name, variable in VARIABLES.items()}
        if not said.keys() & {"url", "host"}:
            return None
    return reader.settings(said, places, router.redis_timeout_ms / 1_000)


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)}


class _Reader:
    """Reads settings that no spec has types for."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._failed = False

    def settings(self, said: Mapping[str, Any], places: Mapping[str, Path], timeout: float) -> RedisSettings | None:
        found: dict[str, Any] = {"timeout": timeout}
        for name, value in said.items():
            place = places.get(name, (*CACHE, name))
            if value is None:
                continue
            if name in TEXTS:
                found[name] = self.text(value, place)
            elif name in NUMBERS:
                found[name] = self.number(value, place, *NUMBERS[name])
            elif name in TRUTHS:
                found[name] = self.truth(value, place)
            elif name == "sentinel_nodes":
                found[name] = self.nodes(value, place)
        self._look(found, places)
        return None if self._failed else RedisSettings(**found)

    def _look(self, found: Mapping[str, Any], places: Mapping[str, Path]) -> None:
        """See that settings go together."""
        if found.get("url"):
            self._url(found["url"], places["url"])
        reqs = found.get("ssl_cert_reqs")
        if reqs and reqs not in CERTIFICATES:
            self.fault((*CACHE, "ssl_cert_reqs"), f"must be one of {', '.join(sorted(CERTIFICATES))}")
        if found.get("sentinel_nodes") and not found.get("service_name"):
            self.fault((*CACHE, "sentinel_nodes"), "needs a `service_name`: the name of the master that they watch")

    def _url(self, url: str, place: Path) -> None:
        try:
            parts = urlsplit(url)
            good = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            # What it says stays hidden: it may hold a password.
            self.fault(place, "is no address of Redis: write `redis://host:6379/0`, or `rediss://` for TLS")
        elif parts.path.strip("/") and not parts.path.strip("/").isdigit():
            self.fault(place, "what follows the host is the number of a database, as in `redis://host:6379/0`")

    def text(self, value: Any, place: Path) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self.fault(place, f"expected text, found {kind_of_value(value)}")
        return ""

    def number(self, value: Any, place: Path, least: int, most: int) -> int | None:
        number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 11 else value
        if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
            return number
        self.fault(place, f"must be a whole number from {least} to {most}")
        return None

    def truth(self, value: Any, place: Path) -> bool | None:
        said = value.lower() if isinstance(value, str) else value
        if said in (True, "true", "1", "yes"):
            return True
        if said in (False, "false", "0", "no"):
            return False
        self.fault(place, "must be true or false")
        return None

    def nodes(self, value: Any, place: Path) -> tuple[tuple[str, int], ...]:
        found = []
        for node in value if isinstance(value, list) else [value]:
            if not (isinstance(node, list) and len(node) == 2 and isinstance(node[0], str)):
                self.fault(place, "must be a list of `[host, port]`")
                return ()
            found.append((node[0], self.number(node[1], place, 1, 65_535) or 0))
        return tuple(found)

    def fault(self, place: Path, message: str) -> None:
        self._failed = True
        self._findings.error(place, message)
