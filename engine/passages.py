r"""Requests that go on to another server as they come: which path leads where, and what goes along.

Laws of this file:
1. A path is matched as it came, byte for byte. One that another server could read as leading elsewhere (`..`, `//`, `\\`,
   encoded separators or dots, control bytes) is refused.
2. Credentials that the client sent for this gateway, and what speaks of its connection, never go on.
3. Headers of the configuration win over the client's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode

from engine.activation import HIDDEN
from engine.call import Call, Route
from engine.contracts import Address, HttpRequest, Meter, Pieces, Registry, Timeouts, Upstream, address
from engine.errors import ClientError, invalid_request
from engine.headers import deployment_head, line
from engine.slots import INPUT, OUTPUT, Slots
from engine.snapshot import Deployment

if TYPE_CHECKING:
    from engine.policy import Passage, Policy

ALWAYS = frozenset(
    {
        "accept", "accept-language", "anthropic-beta", "anthropic-version", "content-encoding", "content-language",
        "content-type", "idempotency-key", "if-match", "if-none-match", "openai-beta", "range", "traceparent", "tracestate",
        "x-goog-api-client", "x-goog-user-project", "x-goog-upload-protocol", "x-goog-upload-command",
        "x-goog-upload-header-content-length", "x-goog-upload-header-content-type", "x-goog-upload-offset",
    }
)  # fmt: skip
"""Headers of the client without which its request would mean something else."""
NEVER = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "forwarded", "host", "keep-alive", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade", "via",
    }
)  # fmt: skip
"""Headers that speak of one connection, or are ours to say."""
OFFER = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions")
OWN = (
    "/health", "/metrics", "/config", "/ui",
    *(f"{form}/{path}" for form in ("", "/v1") for path in (
        "models", "chat/completions", "completions", "embeddings", "images", "audio", "moderations", "rerank", "realtime",
    )),
)  # fmt: skip
"""Paths that no passage takes from the gateway."""
OURS = ("x-forwarded-", "x-litellm-", "x-interlock-", "sec-websocket-")
"""How the names of headers begin that stay here."""
KEY_PROTOCOLS = ("openai-insecure-api-key.", "openai-organization.", "openai-project.")
"""How protocols begin that carry a client's credentials."""
ASKED = "x-pass-"
"""How a client says that a header is to arrive under the rest of its name."""
SHORTEST_SECRET = 6
_CREDENTIAL = re.compile(r"(?i)auth|key|token|secret|cookie")
_REFERENCE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")
_ELSEWHERE = re.compile(
    r"(?i)(?:^|/)(?:\.|%2e){1,2}(?:;[^/]*)?(?=/|$)|//|\\|%(?:25)*(?:2f|5c|0[0-9a-f]|1[0-9a-f]|7f)|%25(?:25)*2e|[^!-~]|[?#]"
)
_MODEL = re.compile(r"/models/([^/:]+)(?::|$)")
_SPOKEN = (
    (re.compile(r"/(?:chat/)?completions$|/embeddings$"), "openai"),
    (re.compile(r"/messages(?:/|$)|/publishers/anthropic/"), "anthropic"),
    (re.compile(r":(?:stream)?[gG]enerateContent$|:countTokens$|:(?:batchE|e)mbedContents?$|^/v1beta/"), "gemini"),
    (re.compile(r"/responses(?:/|$)"), "responses"),
    (re.compile(r"^/v2/(?:chat|rerank|embed)$|/rerank$"), "cohere"),
)
_SURELY = re.compile(
    r"/messages(?:/count_tokens)?$|:(?:stream)?[gG]enerateContent$|:countTokens$|:(?:batchE|e)mbedContents?$|/responses$"
    r"|^/v2/(?:chat|rerank|embed)$|/rerank$|/(?:chat/)?completions$|/embeddings$"
    r"|/publishers/anthropic/models/[^/]+:(?:streamR|r)awPredict$"
)
"""Paths whose bodies are what their dialect says, and hold texts in no other places."""
_HOSTS = (("anthropic.com", "anthropic"), ("googleapis.com", "gemini"), ("cohere.", "cohere"))
_USUAL = Timeouts()


def leads_elsewhere(path: str) -> bool:
    """Tell whether servers could disagree on where a path leads."""
    return _ELSEWHERE.search(path) is not None


def own(path: str) -> bool:
    """Tell whether a path is the gateway's own, or holds one that is."""
    return any(path == one or one.startswith(f"{path}/") or path.startswith(f"{one}/") for one in OWN)


class Passing:
    """One passage, ready: the upstream's address and the head of every request composed.

    `cost` is what the configuration says a request costs; `deployment` stands for the upstream in records and headers.
    """

    __slots__ = (
        "_address", "_answered_texts", "_asked_texts", "_dialect", "_fixed", "_forward", "_head", "_merge", "_query", "_registry", "_routes", "_timeouts", "auth",
        "cost", "deployment", "guardrails", "key_header", "methods", "name", "path", "policy", "secrets", "subpaths",
    )  # fmt: skip

    def __init__(self, policy: Policy | None, sent: Passage, registry: Registry, environ: Mapping[str, str]) -> None:
        self.policy = policy
        """What says whom the passage is for; None where it is built in, for all."""
        self._registry = registry
        self.name = policy.head.name if policy is not None else sent.path
        self.path = sent.path
        self.subpaths = sent.subpaths
        self.methods = frozenset(sent.methods)
        self.auth = sent.auth
        self.key_header = sent.key_header
        self.cost = sent.cost
        self.guardrails = frozenset(sent.guardrails)
        self._asked_texts = Slots(dict.fromkeys(sent.asked, INPUT)) if sent.asked else None
        self._answered_texts = Slots(dict.fromkeys(sent.answered, OUTPUT)) if sent.answered else None
        self._address = address(_resolved(sent.target, environ), allow_link_local=sent.allow_link_local)
        self._dialect = next((name for part, name in _HOSTS if part in self._address.origin.host), "openai")
        self._routes: dict[tuple[str, bool], Route] = {}
        headers = {name.lower(): _resolved(value, environ) for name, value in sent.headers}
        self.secrets = _secrets(headers)
        self._fixed = frozenset(headers)
        self._head = _head(self._address, headers)
        self._forward = frozenset(sent.forward) if sent.forward is not None else None
        self._query = {name: _resolved(value, environ) for name, value in sent.query}
        self._merge = sent.merge_query
        self._timeouts = (
            Timeouts(first_byte=sent.timeout, idle=sent.timeout, total=sent.timeout) if sent.timeout else _USUAL
        )
        self.deployment = _deployment(self.name, self._address, self._dialect)

    def __repr__(self) -> str:
        return f"<Passing {self.path} to {self._address.origin.host}>"

    def route(self, path: str) -> Route:
        """Return the route of a request: its dialect is that of the path, else that of the upstream's host."""
        below = path[len(self.path) :]
        name = next((name for pattern, name in _SPOKEN if pattern.search(below)), self._dialect)
        spoken = _SURELY.search(below) is not None
        route = self._routes.get((name, spoken))
        if route is None:
            route = Route(self.path, "pass-through", self._registry.dialect(name))
            route.passes, route.spoken, route.tunnels = True, spoken, "GET" in self.methods
            route.asked, route.answered, route.guardrails = self._asked_texts, self._answered_texts, self.guardrails
            self._routes[name, spoken] = route
        return route

    def request(self, call: Call) -> HttpRequest:
        """Compose the request that goes on, but for its body."""
        path, _, query = call.source.target.partition("?")
        target = f"{self._address.path}{path[len(self.path) :]}" or "/"
        asked = self._asked(query)
        whole = f"{target}?{asked}" if asked else target
        request = HttpRequest(
            self._address.origin, whole.encode("latin-1"), self._head + self._lines(call), (), self._timeouts
        )
        request.method = call.method.encode("ascii")
        return request

    def _lines(self, call: Call) -> bytes:
        """Write the headers of the client that go on."""
        headers, lines = call.headers, []
        dropped = NEVER | HIDDEN | {call.snapshot.settings.key_header, self.key_header}
        if "connection" in headers:
            dropped = dropped.union(part.strip().lower() for part in headers["connection"].split(","))
        for name, value in headers.items():
            sent = self._sent_as(name, dropped)
            if sent and sent not in self._fixed:
                lines.append(b"%b: %b\r\n" % (sent.encode("latin-1"), value.encode("utf-8", "surrogateescape")))
        return b"".join(lines)

    def _sent_as(self, name: str, dropped: frozenset[str]) -> str:
        """Return the name under which a header of the client goes on; empty when it stays here."""
        if name.startswith(ASKED):
            asked = name[len(ASKED) :]
            return "" if asked in NEVER else asked
        if name in dropped or name.startswith(OURS):
            return ""
        return name if self._forward is None or name in ALWAYS or name in self._forward else ""

    def _asked(self, query: str) -> str:
        """Join the configured parameters, those of the target and the client's: the later say more."""
        sent = [one for one in query.split("&") if one and not (self.auth and unquote(one.partition("=")[0]) == "key")]
        sent = sent if self._merge else []
        names = {unquote(one.partition("=")[0]) for one in sent}
        own = [one for one in self._address.query.split("&") if one and unquote(one.partition("=")[0]) not in names]
        names |= {unquote(one.partition("=")[0]) for one in own}
        configured = urlencode({name: value for name, value in self._query.items() if name not in names})
        return "&".join(filter(None, (configured, *own, *sent)))


class Passages:
    """All passages of a snapshot; of several that match, the longest path counts."""

    __slots__ = ("_passings",)

    def __init__(self, passings: Iterable[Passing] = ()) -> None:
        self._passings = tuple(sorted(passings, key=lambda one: len(one.path), reverse=True))

    def __iter__(self) -> Iterator[Passing]:
        return iter(self._passings)

    def __len__(self) -> int:
        return len(self._passings)

    def find(self, path: str) -> Passing | None:
        """Find the passage that a path is on."""
        for one in self._passings:
            if path.startswith(one.path) and (path == one.path or (one.subpaths and path[len(one.path)] == "/")):
                return one
        return None


def cross(call: Call, passing: Passing) -> None:
    """Refuse what a passage does not take; raises ClientError 400 or 405."""
    path = call.source.target.partition("?")[0]
    if leads_elsewhere(path):
        raise invalid_request("the path holds `..`, `//`, `\\`, or an encoded separator or dot; write it plainly")
    if call.method not in passing.methods:
        raise ClientError(405, "method_not_allowed", f"`{passing.path}` takes {', '.join(sorted(passing.methods))}")
    call.model = call.model_asked = model_in(path)


def offered(call: Call) -> bytes:
    """Write the headers by which a client offers WebSocket, less a key among its protocols, where browsers put theirs."""
    said = {name: call.headers[name] for name in OFFER if name in call.headers}
    protocols = [one.strip() for one in said.pop("sec-websocket-protocol", "").split(",")]
    kept = ", ".join(one for one in protocols if one and not one.startswith(KEY_PROTOCOLS))
    if kept:
        said["sec-websocket-protocol"] = kept
    lines = [b"%b: %b\r\n" % (name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in said.items()]
    return b"connection: Upgrade\r\nupgrade: websocket\r\n" + b"".join(lines)


def model_in(path: str) -> str:
    """Return the model that a path names, as Gemini's do."""
    found = _MODEL.search(path)
    return unquote(found[1]) if found else ""


def _resolved(text: str, environ: Mapping[str, str]) -> str:
    """Replace references to the environment; raises ValueError for a variable that is not set."""
    missing = [name for name in _REFERENCE.findall(text) if name not in environ]
    if missing:
        raise ValueError(f"environment variable `{missing[0]}` is not set")
    return _REFERENCE.sub(lambda found: environ[found[1]], text)


def _secrets(headers: Mapping[str, str]) -> tuple[bytes, ...]:
    held = [value.split()[-1] for name, value in headers.items() if _CREDENTIAL.search(name) and value.strip()]
    return tuple(text.encode() for text in held if len(text) >= SHORTEST_SECRET)


def _head(target: Address, headers: Mapping[str, str]) -> bytes:
    for name in headers:
        if name in NEVER and name != "accept-encoding":
            raise ValueError(f"header `{name}` is the gateway's own")
    lines = {"host": target.host, "accept-encoding": "identity", **headers}
    return b"".join(line(name, value) for name, value in lines.items())


def _deployment(name: str, target: Address, provider: str) -> Deployment:
    made = Deployment(name, name, provider if provider != "openai" else target.origin.host, "", Nowhere(target))
    made.head = deployment_head(name, made.api_base, name)
    return made


class Nowhere:
    """The endpoint of a passage's deployment, which the passage itself sends to."""

    unsupported = drops = frozenset[str]()
    renames: Sequence[tuple[str, str]] = ()
    secrets: tuple[bytes, ...] = ()
    asks_first = False

    def __init__(self, target: Address) -> None:
        self.api_base = f"{target.origin.scheme}://{target.host}{target.path}"

    def offer(self, call: Call, query: str) -> HttpRequest | None:
        """Offer nothing: the passage itself does."""
        del call, query
        return None

    def input_tokens(self, call: Call) -> int | None:
        """Know nothing of what is passed on."""
        del call
        return None

    def meter(self) -> Meter | None:
        """Know nothing of what is passed on."""
        return None

    async def send(self, call: Call, body: Pieces) -> Upstream:
        """Refuse: nothing is sent from here."""
        raise NotImplementedError(call, body)
