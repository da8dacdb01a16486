"""One deployment's upstream at a server that speaks OpenAI's API: addresses and request heads, composed at load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from adapters.providers.openai.rows import Row
from engine.call import Call
from engine.contracts import Http, HttpRequest, Meter, Origin, Pieces, Target, Upstream, address

PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
    "images.generations": "/images/generations",
    "images.edits": "/images/edits",
    "images.variations": "/images/variations",
    "audio.speech": "/audio/speech",
    "audio.transcriptions": "/audio/transcriptions",
    "audio.translations": "/audio/translations",
    "moderations": "/moderations",
    "rerank": "/rerank",
    "realtime": "/realtime",
}
"""Where each task is found, below the base."""
_ANY = {"accept": "*/*"}
_JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
_JSON_LINE = b"content-type: application/json\r\n"
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
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETERS = {
    "authorization": "api_key",
    "api-key": "api_key",
    "api-subscription-key": "api_key",
    "openai-organization": "organization",
}
"""Which parameter a header comes from, if not from `extra_headers`."""


class OpenAIEndpoint:
    """One deployment's upstream: request heads composed, one for each task.

    `headers` are the provider's own, the credential among them; `row` says what differs from OpenAI. `paths` may hold a
    query of their own.
    """

    asks_first = True

    def __init__(self, http: Http, target: Target, headers: Mapping[str, str], row: Row) -> None:
        params = target.params
        self.api_base = str(params["api_base"]).rstrip("/")
        self.unsupported = UNSUPPORTED_BY_REASONING if REASONING.match(target.model) else frozenset[str]()
        self.renames = tuple(row.renames.items())
        self.drops = row.drops
        self._http = http
        self._model = target.model
        self._timeouts = target.timeouts
        self._stream_timeouts = target.stream_timeouts
        self._origin, prefix, query = split(self.api_base, allow_link_local=bool(params.get("allow_link_local")))
        self._head = _head(self._origin, params, {**_JSON, **headers})
        bare = _head(self._origin, params, {**_ANY, **headers})
        self._requests = {
            task: (
                _joined(prefix, path, query),
                bare if task.startswith(("audio.", "images.", "realtime")) else self._head,
            )
            for task, path in {**PATHS, **row.paths}.items()
        }
        self.secrets = _secrets(params, headers)

    def input_tokens(self, call: Call) -> int | None:
        """Leave the count to be guessed: tokenizers differ, and templates are hidden."""
        del call
        return None

    def meter(self) -> Meter | None:
        """Leave the count to be guessed."""
        return None

    async def send(self, call: Call, body: Pieces) -> Upstream:
        """Send one request body."""
        route = call.route
        target, head = self._requests[route.task]
        if route.media:
            head += call.form.line if call.form is not None else _JSON_LINE
        for name in FORWARDED:
            value = call.headers.get(name)
            if value is not None:
                head += b"%b: %b\r\n" % (name.encode(), value.encode("utf-8", "surrogateescape"))
        timeouts = self._stream_timeouts if call.stream else self._timeouts
        request = HttpRequest(self._origin, target, head, body, timeouts)
        request.begun = call.account.begun
        return await self._http.send(request)

    def offer(self, call: Call, query: str) -> HttpRequest | None:
        """Compose the offer of a conversation in real time."""
        target, head = self._requests["realtime"]
        asked = [query] if query else []
        if b"deployment=" not in target:
            asked.insert(0, f"model={quote(self._model, safe='')}")
        if asked:
            target += (b"&" if b"?" in target else b"?") + "&".join(asked).encode("ascii", "ignore")
        for name in FORWARDED:
            if name in call.headers:
                head += b"%b: %b\r\n" % (name.encode(), call.headers[name].encode("utf-8", "surrogateescape"))
        request = HttpRequest(self._origin, target, head, (), self._timeouts)
        request.method = b"GET"
        return request


def _joined(prefix: str, path: str, query: str) -> bytes:
    """Write a request target: a path's own query stands before that of the base."""
    if query and "?" in path:
        query = "&" + query[1:]
    return f"{prefix}{path}{query}".encode("ascii")


def _secrets(params: Mapping[str, object], own: Mapping[str, str]) -> tuple[bytes, ...]:
    """List the credentials among the parameters, headers' without their scheme."""
    extra = params.get("extra_headers")
    headers = [*own.items(), *(extra.items() if isinstance(extra, Mapping) else ())]
    held = [str(params.get("api_key") or ""), *(str(value) for name, value in headers if _CREDENTIAL.search(str(name)))]
    # The last word: `Bearer` before a key is no secret, and adds nothing to its length.
    words = ("".join(text.split()[-1:]) for text in held)
    return tuple(dict.fromkeys(word.encode() for word in words if len(word) >= SHORTEST_SECRET))


def split(url: str, *, allow_link_local: bool = False) -> tuple[Origin, str, str]:
    """Take a base URL apart: its server, its path and its query; raises ValueError saying what is wrong with it."""
    try:
        found = address(url, allow_link_local=allow_link_local)
    except ValueError as error:
        raise ValueError(f"api_base: {error}") from None
    return found.origin, found.path, f"?{found.query}" if found.query else ""


def _head(origin: Origin, params: Mapping[str, object], own: Mapping[str, str]) -> bytes:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    default = origin.port == (443 if origin.scheme == "https" else 80)
    headers = {
        "host": host if default else f"{host}:{origin.port}",
        "accept-encoding": "identity",
        "user-agent": "interlock",
        **own,
    }
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
