"""What a client asks for: its body as members, and what the gateway itself must know of them.

Bodies are held in memory while they are in use, so their sum over all calls is bounded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from engine import body, form
from engine.aside import aside
from engine.call import Call
from engine.contracts import Arrival
from engine.errors import ClientError, InternalError, invalid_request

HELD = 256 * 1024 * 1024
"""Bytes of request bodies that all calls together may hold."""
UNSAID = 1024 * 1024
"""Bytes that count for a body whose length nobody has said, until it is there."""
ASIDE = 256 * 1024
"""Bytes of a body from which it is read in a thread: one made of brackets takes ten milliseconds a megabyte."""
FORBIDDEN = frozenset({"api_key", "api_base", "base_url", "user_config", "litellm_params", "router_settings_override"})
"""Members by which a client would choose upstream or credentials itself."""
OWN = frozenset(
    {
        "cache",
        "context_window_fallbacks",
        "content_policy_fallbacks",
        "disable_fallbacks",
        "disable_global_guardrails",
        "fallbacks",
        "guardrail_config",
        "guardrails",
        "litellm_metadata",
        "litellm_session_id",
        "litellm_trace_id",
        "no-log",
        "num_retries",
        "priority",
        "tags",
    }
)
"""Members that speak to the gateway; no upstream sees them."""
_KINDS = {
    "model": (b'"', "a string"),
    "stream": (b"tf", "true or false"),
    "messages": (b"[", "a list"),
    "tools": (b"[", "a list"),
    "stream_options": (b"{", "an object"),
    "metadata": (b"{", "an object"),
    "n": (b"-0123456789", "a number"),
    "max_tokens": (b"-0123456789", "a number"),
    "max_completion_tokens": (b"-0123456789", "a number"),
    "max_output_tokens": (b"-0123456789", "a number"),
    "temperature": (b"-0123456789", "a number"),
    "top_p": (b"-0123456789", "a number"),
    "user": (b'"', "a string"),
}
_text = msgspec.json.Decoder(str).decode
_STREAM = msgspec.Raw(b"true")
_NULL = msgspec.Raw(b"null")
_N = ord("n")
"""What `null` begins with: it stands for an absent member everywhere."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Named(msgspec.Struct):
    model: str | None = None


_named = msgspec.json.Decoder(_Named).decode
_options = msgspec.json.Decoder(_StreamOptions).decode


class Receiver:
    """Takes the bodies of calls, within one bound for all."""

    def __init__(self, bound: int = HELD) -> None:
        self._bound = bound
        self.held = 0

    async def receive(self, call: Call) -> None:
        """Set `call.members`, `model` and `stream`; raises ClientError 400, 413, 415 or InternalError 503."""
        if call.route.media:
            call.form = None
            kind = call.headers.get("content-type", "application/json").lower()
            if kind.startswith(form.KIND):
                await self._receive_form(call)
                return
            if "json" not in kind:
                raise ClientError(
                    415, "unsupported_media_type", f"send `content-type: {form.KIND}` with a form, or JSON"
                )
        data = call.source.at_hand()
        if data is None:
            data = await self._awaited(call, call.source.read, UNSAID)
        else:
            self.hold(call, len(data))
        call.members = body.read(data) if len(data) < ASIDE else await aside(body.read, data)
        read_members(call)

    async def look(self, call: Call, arrival: Arrival, *, judged: bool) -> bytes | None:
        """Return the body of a request that goes on as it came, None while it is still on its way and nobody reads it.

        One that policies judge is waited for, decoded and read: sets `members` and `model`. Raises as `receive`.
        """
        call.legible = False
        encoded = "content-encoding" in call.headers
        data = None if judged and encoded else arrival.here()
        if data is None:
            # A small body is waited for: what it names is what its call is priced by.
            small = not encoded and "json" in call.headers.get("content-type", "") and 0 < (arrival.length or 0) < ASIDE
            if not judged and not small:
                return None
            data = await self._awaited(call, arrival.whole, UNSAID)
            if encoded:
                call.headers = {name: value for name, value in call.headers.items() if name != "content-encoding"}
        else:
            self.hold(call, len(data))
        if judged and data:
            found = await _judged(data, call.headers.get("content-type", "application/json"))
            call.members, call.legible = found or {}, found is not None
        if data and not call.model:
            call.model = call.model_asked = named_model(data)
        return data

    async def _receive_form(self, call: Call) -> None:
        """Take a form, which may be all of what is allowed: recordings and pictures are large."""
        data = await self._awaited(call, call.source.whole, call.snapshot.settings.max_request_bytes)
        call.form = form.read(data, call.headers["content-type"])
        call.members = call.form.members.copy()
        read_members(call)

    async def _awaited(self, call: Call, read: Callable[[int], Awaitable[bytes]], unsaid: int) -> bytes:
        """Wait for a body; what its head announces counts before it comes, `unsaid` bytes where it announces nothing."""
        limit = call.snapshot.settings.max_request_bytes
        announced = min(int(call.headers.get("content-length", unsaid)), limit)
        if self.held + announced > self._bound:
            raise InternalError(503, "overloaded", "the gateway holds too many large requests; try again soon")
        self.hold(call, announced)
        data = await read(min(limit, self._bound - self.held + announced))
        self.release(call)
        self.hold(call, len(data))
        return data

    def hold(self, call: Call, size: int) -> None:
        """Count a body until `release`."""
        call.body_size = size
        self.held += size

    def release(self, call: Call) -> None:
        """Stop counting a call's body."""
        self.held -= call.body_size
        call.body_size = 0


async def _judged(data: bytes, kind: str) -> body.Members | None:
    """Read a body that policies judge: what claims to be JSON must be, what is not has no members and is None."""
    try:
        return body.read(data) if len(data) < ASIDE else await aside(body.read, data)
    except ClientError:
        if "json" in kind.lower():
            raise
        return None


def named_model(data: bytes) -> str:
    """Return the model that a JSON object names, empty where it is none or names none."""
    try:
        return _named(data).model or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def read_members(call: Call) -> None:
    """Read what the gateway must know of the members; raises ClientError 400 naming the member."""
    members = call.members
    for name, value in members.items():
        kind = _KINDS.get(name)
        if kind is not None:
            first = memoryview(value)[0]
            if first not in kind[0] and first != _N:
                raise invalid_request(f"`{name}` must be {kind[1]}", name)
        elif name in FORBIDDEN or name.startswith("mock_"):
            raise invalid_request(
                f"`{name}` is not allowed in the request body; it is set in the gateway's configuration", name
            )
    model = members.get("model")
    call.model = call.path_model or (_text(model) if model is not None and model != _NULL else "")
    call.stream = members.get("stream") == _STREAM
    if call.stream and "stream_options" in members:
        call.wants_usage = _wants_usage(members["stream_options"])


def _wants_usage(value: msgspec.Raw) -> bool:
    try:
        options = _options(value) if value != _NULL else None
    except msgspec.ValidationError:
        raise invalid_request("`stream_options.include_usage` must be true or false", "stream_options") from None
    return options is not None and options.include_usage is True
