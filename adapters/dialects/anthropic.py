"""Anthropic's Messages format.

Sources: docs.anthropic.com/en/api/{messages,messages-streaming,errors}. A stream reports its usage in two halves: the
input as it starts, the output as it ends; tokens read from and written to the cache stand beside the input, not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from engine import prompts
from engine.call import Usage
from engine.contracts import EVERY, Channel, Frame, TextSlot
from engine.errors import GatewayError
from engine.places import (
    UNREADABLE,
    Member,
    Place,
    again,
    decode,
    event,
    fill,
    inner,
    kind_of,
    measured,
    number,
    tokens,
)
from engine.slots import CALLS, INPUT, OUTPUT, RESULTS, Repeats, Slots

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""What an error is called, by its status; what is not here is the client's below 500, Anthropic's above."""
REASONS = {"length": "max_tokens", "content_filter": "refusal", "stop": "end_turn"}
_DELTAS = {
    "text_delta": ("text", Channel.CONTENT),
    "thinking_delta": ("thinking", Channel.REASONING),
    "input_json_delta": ("partial_json", Channel.TOOL_ARGUMENTS),
}
_STARTS = {"text": ("text", Channel.CONTENT), "thinking": ("thinking", Channel.REASONING)}
_KINDS = {channel: (kind, name) for kind, (name, channel) in _DELTAS.items()}
_SAID = ("title", "context", "text", "thinking")
_END = re.compile(rb'"type"\s*:\s*"(?:content_block_stop|message_delta|message_stop|error)"')


class _Counted(msgspec.Struct):
    """What of an answer is read."""

    usage: dict[str, Any] | None = None


class _Event(_Counted):
    """What of an event is read: the first has its usage in the message that it starts."""

    message: _Counted | None = None


_answer = msgspec.json.Decoder(_Counted)
_event = msgspec.json.Decoder(_Event)


class Anthropic:
    """The dialect of `/v1/messages`."""

    usage_pattern = re.compile(rb'"usage"\s*:\s*\{')
    asks = frozenset({"system", "messages"})
    asked = Slots({
        "system": INPUT, "system[].text": INPUT, "messages[].content": INPUT, "messages[].content[].text": INPUT,
        "messages[].content[].source.data": INPUT, "messages[].content[].title": INPUT, "messages[].content[].context": INPUT,
        "messages[].content[].thinking": INPUT, "messages[].content[type=tool_use].input.**": CALLS,
        "messages[].content[].content": RESULTS, "messages[].content[].content[].text": RESULTS,
    })  # fmt: skip
    answered = Slots({
        "content[].text": OUTPUT, "content[].thinking": OUTPUT, "content[type=tool_use].input.**": CALLS,
    })  # fmt: skip
    repeated = Repeats(("content[].citations",))

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List what is asked: the system's text, then the messages with what tools were passed and gave back."""
        asked = prompts.objects(members.get("messages"))
        said = [{"role": prompts.string(one.get("role")), "content": _text(one.get("content"))} for one in asked]
        system = _text(members.get("system"))
        return [{"role": "system", "content": system}, *said] if system else said

    def tools(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List the tools that are offered."""
        return prompts.tools(members)

    def usage(self, answer: bytes) -> Usage | None:
        """Read the usage of a whole answer."""
        try:
            return _usage(_answer.decode(answer))
        except UNREADABLE:
            return None

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read a frame's usage; none says nothing else. The first counts an output that is only begun."""
        try:
            found = _event.decode(frame.data)
        except UNREADABLE:
            return None, False
        usage = _usage(found)
        if usage is None and found.message is not None:
            usage = _usage(found.message)
            if usage is not None:
                usage.estimated = True
        return usage, False

    def merged(self, earlier: Usage, later: Usage) -> Usage:
        """Combine the halves: a later count replaces an earlier one, one that is missing or 0 does not."""
        cached = later.cached_input or earlier.cached_input
        written = later.cache_write or earlier.cache_write
        usage = Usage((_fresh(later) or _fresh(earlier)) + cached + written, later.output or earlier.output)
        usage.cached_input = cached
        usage.cache_write = written
        usage.reasoning = later.reasoning or earlier.reasoning
        usage.service_tier = later.service_tier or earlier.service_tier
        return usage

    def ends(self, frame: Frame) -> tuple[int, ...]:
        """Name the one choice when a block stops: blocks follow each other; `EVERY` when the message does."""
        if not _END.search(frame.data):
            return ()
        kind = kind_of(decode(frame.data))
        if kind == "content_block_stop":
            return (0,)
        return EVERY if kind in {"message_delta", "message_stop", "error"} else ()

    def texts(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the text that a frame continues, by its block."""
        return tuple(slot for _, _, slot in _places(decode(frame.data)))

    def repeats(self, frame: Frame) -> tuple[TextSlot, ...]:
        """Return nothing: no frame says a text whole."""
        del frame
        return ()

    def replace(self, frame: Frame, slots: Sequence[TextSlot]) -> bytes:
        """Rebuild a frame with other text; of a frame without `raw`, only the text is said again, as a delta."""
        if not frame.raw:
            return b"".join(map(_delta, slots))
        body = decode(frame.data)
        fill(_places(body), slots)
        return again(frame, body)

    def finish(self, frame: Frame, reason: str) -> bytes:
        """End the message early: the block that is open, then the message."""
        last = decode(frame.data)
        ending = b""
        if kind_of(last) in {"content_block_start", "content_block_delta"}:
            ending = _event_of({"type": "content_block_stop", "index": number(last.get("index"), 0)})
        delta = {"stop_reason": REASONS.get(reason, reason), "stop_sequence": None}
        ending += _event_of({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0}})
        return ending + _event_of({"type": "message_stop"})

    def error(self, error: GatewayError) -> bytes:
        """Render `{"type": "error", "error": {...}}`."""
        return orjson.dumps(_envelope(error))

    def stream_error(self, error: GatewayError) -> bytes:
        """Render an `error` event, which ends the stream."""
        return _event_of(_envelope(error))

    def is_error(self, answer: bytes) -> bool:
        """Tell whether an answer is `{"type": "error", "error": {"message": ...}}`."""
        body = decode(answer)
        return body.get("type") == "error" and isinstance(inner(body, "error").get("message"), str)


def _text(content: msgspec.Raw | None) -> str:
    return "\n".join(filter(None, _texts(content)))


def _texts(content: msgspec.Raw | None) -> Iterator[str]:
    """List the texts of a content, those of documents, search results and tools among them."""
    yield prompts.string(content)
    for raw in prompts.elements(content):
        yield prompts.string(raw)
        part = prompts.inside(raw)
        yield from (prompts.string(part.get(name)) for name in _SAID)
        yield from _texts(part.get("content"))
        source = prompts.inside(part.get("source"))
        if prompts.string(source.get("type")) == "text":
            yield prompts.string(source.get("data"))
        yield from _texts(source.get("content"))
        yield prompts.written(part.get("input"))


def _usage(counted: _Counted) -> Usage | None:
    reported = counted.usage
    if not reported:
        return None
    cached = tokens(reported, "cache_read_input_tokens")
    written = tokens(reported, "cache_creation_input_tokens")
    usage = Usage(tokens(reported, "input_tokens") + cached + written, tokens(reported, "output_tokens"))
    usage.cached_input = cached
    usage.cache_write = written
    lasting = tokens(inner(reported, "cache_creation"), "ephemeral_1h_input_tokens")
    if lasting:
        usage = measured(usage)
        usage.cache_write_1h = lasting
    usage.reasoning = min(tokens(inner(reported, "output_tokens_details"), "thinking_tokens"), usage.output)
    tier = reported.get("service_tier")
    usage.service_tier = tier if isinstance(tier, str) else ""
    return usage


def _fresh(usage: Usage) -> int:
    return usage.input - usage.cached_input - usage.cache_write


def _places(body: Member) -> Iterator[Place]:
    """Find the text of a delta, or that with which a block begins."""
    kind = kind_of(body)
    if kind == "content_block_delta":
        holder, named = inner(body, "delta"), _DELTAS
    elif kind == "content_block_start":
        holder, named = inner(body, "content_block"), _STARTS
    else:
        return
    name, channel = named.get(kind_of(holder), ("", Channel.CONTENT))
    if isinstance(holder.get(name), str):
        yield holder, name, TextSlot(channel, 0, number(body.get("index"), 0), holder[name])


def _delta(slot: TextSlot) -> bytes:
    kind, name = _KINDS[slot.channel]
    return _event_of({"type": "content_block_delta", "index": slot.index, "delta": {"type": kind, name: slot.text}})


def _event_of(body: Member) -> bytes:
    return event(body, body["type"])


def _envelope(error: GatewayError) -> Member:
    kind = TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": error.message}}
