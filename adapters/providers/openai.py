"""OpenAI and every server that speaks its API, at any `api_base`.

Source: platform.openai.com/docs/api-reference. A base URL may end in `/v1` or in anything else: paths are appended to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from engine.call import Call
from engine.contracts import Deps, Http, HttpRequest, Origin, Pieces, Target, Upstream

BASE = "https://api.openai.com/v1"
PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
}
FORWARDED = ("openai-beta", "idempotency-key", "traceparent", "tracestate")
"""Client headers that an upstream may see; no other leaves."""
REASONING = re.compile(r"(?:o1|o3|o4|gpt-5)(?!\d|-chat)")
"""How the names of reasoning models begin; `gpt-5-chat-latest` is none."""
UNSUPPORTED_BY_REASONING = frozenset(
    {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"}
)
SHORTEST_SECRET = 6
"""Characters below which a text is not blanked: it would take innocent words with it."""
_CREDENTIAL = re.compile(r"(?i)auth|key|token|secret|cookie")
RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_HOST = re.compile(r"[A-Za-z0-9._%:~-]+")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETERS = {"authorization": "api_key", "openai-organization": "organization"}
"""Which parameter a header comes from, if not from `extra_headers`."""


class OpenAI:
    """The provider `openai`."""

    stream_usage = "inject"

    def __init__(self, deps: Deps) -> None:
        self._http = deps.http
        self._environ = deps.environ

    def endpoint(self, target: Target) -> OpenAIEndpoint:
        """Compose an endpoint; raises ValueError for a base URL or header that cannot be used.

        `OPENAI_API_KEY` is used at OpenAI's own address or the environment's only: no other server is shown it.
        """
        params = dict(target.params)
        if not params.get("api_base"):
            environ = self._environ
            params["api_base"] = environ.get("OPENAI_BASE_URL") or environ.get("OPENAI_API_BASE") or BASE
            params["api_key"] = params.get("api_key") or environ.get("OPENAI_API_KEY")
        return OpenAIEndpoint(self._http, target._replace(params=params))


class OpenAIEndpoint:
    """One deployment's upstream: request heads composed, one for each operation."""

    def __init__(self, http: Http, target: Target) -> None:
        params = target.params
        self.api_base = str(params["api_base"]).rstrip("/")
        self.unsupported = UNSUPPORTED_BY_REASONING if REASONING.match(target.model) else frozenset[str]()
        self._http = http
        self._timeouts = target.timeouts
        self._stream_timeouts = target.stream_timeouts
        self._origin, prefix, query = _split(self.api_base, allow_link_local=bool(params.get("allow_link_local")))
        self._targets = {name: f"{prefix}{path}{query}".encode("ascii") for name, path in PATHS.items()}
        self._head = _head(self._origin, params)
        self.secrets = _secrets(params)

    async def send(self, call: Call, body: Pieces) -> Upstream:
        """Send one request body."""
        head = self._head
        for name in FORWARDED:
            value = call.headers.get(name)
            if value is not None:
                head += b"%b: %b\r\n" % (name.encode(), value.encode("utf-8", "surrogateescape"))
        timeouts = self._stream_timeouts if call.stream else self._timeouts
        return await self._http.send(
            HttpRequest(self._origin, self._targets[call.route.operation], head, body, timeouts)
        )


def _secrets(params: Mapping[str, object]) -> tuple[bytes, ...]:
    """List the credentials among the parameters, headers' without their scheme."""
    extra = params.get("extra_headers")
    headers = extra.items() if isinstance(extra, Mapping) else ()
    held = [str(params.get("api_key") or ""), *(str(value) for name, value in headers if _CREDENTIAL.search(str(name)))]
    return tuple(dict.fromkeys(text.split()[-1].encode() for text in held if len(text) >= SHORTEST_SECRET))


def _split(url: str, *, allow_link_local: bool) -> tuple[Origin, str, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("api_base: the host or its port is not one") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"api_base: `{parts.scheme}://{parts.hostname or ''}` is not an http or https address")
    if parts.username or parts.password:
        raise ValueError("api_base: put credentials into `api_key` or `extra_headers`, not into the address")
    if not _HOST.fullmatch(parts.hostname):
        raise ValueError("api_base: the host holds characters that no address has; write other letters as punycode")
    query = f"?{parts.query}" if parts.query else ""
    if any(ord(character) <= 32 or ord(character) > 126 for character in parts.path + query):
        raise ValueError("api_base: the path holds characters that must be percent-encoded")
    port = port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, parts.hostname, port, allow_link_local), parts.path.rstrip("/"), query


def _head(origin: Origin, params: Mapping[str, object]) -> bytes:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    default = origin.port == (443 if origin.scheme == "https" else 80)
    headers = {
        "host": host if default else f"{host}:{origin.port}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "interlock",
    }
    if params.get("api_key"):
        headers["authorization"] = f"Bearer {params['api_key']}"
    if params.get("organization"):
        headers["openai-organization"] = str(params["organization"])
    extra = params.get("extra_headers")
    for name, value in extra.items() if isinstance(extra, Mapping) else ():
        if str(name).lower() in RESERVED:
            raise ValueError(f"extra_headers: `{name}` is the transport's own")
        headers[str(name).lower()] = str(value)
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"extra_headers: `{name}` is not the name of a header")
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            where = _PARAMETERS.get(name, f"extra_headers: `{name}`")
            raise ValueError(f"{where}: the value holds control characters")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
