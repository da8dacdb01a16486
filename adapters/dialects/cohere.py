"""Cohere's chat, embed and rerank formats, version 2 and what remains of version 1.

Source: docs.cohere.com/reference/{chat,chat-stream,embed,rerank}. Cohere counts twice: what its models read, with its own
preamble, and what it bills. The bill is what budgets are about, so it counts; the models' counts only where no bill is.
Version 1 streams lines of JSON, whose last holds the whole answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from engine import prompts
from engine.call import Usage
from engine.contracts import EVERY, WHOLE, Channel, Frame, TextSlot
from engine.errors import GatewayError
from engine.places import UNREADABLE, Member, Place, again, decode, event, fill, inner, kind_of, number, tokens
from engine.slots import CALLS, INPUT, OUTPUT, RESULTS, Repeats, Slots

DONE = b"data: [DONE]\n\n"
REASONS = {"length": "MAX_TOKENS", "content_filter": "ERROR", "stop": "COMPLETE"}
ROLES = {"CHATBOT": "assistant", "USER": "user", "SYSTEM": "system", "TOOL": "tool"}
"""Version 1's roles, in the words of the others."""
_PLAN = -1
"""The index of the plan for tools, to which the wire gives none."""
_STOPS = {"content-start": "content-end", "content-delta": "content-end"}
_STOPS.update({"tool-call-start": "tool-call-end", "tool-call-delta": "tool-call-end"})
_ENDS = frozenset({"content-end", "tool-call-start", "tool-call-end"})
"""Events that end the text before them; the plan ends where the first call begins."""
_CITED = re.compile(rb'"citation-start"')
_END = re.compile(rb'"(?:content-end|tool-call-start|tool-call-end|message-end)"')
Asked = Mapping[str, msgspec.Raw]
_Counts = dict[str, Any] | None


class _Answer(msgspec.Struct):
    """What of an answer is read."""

    usage: _Counts = None
    meta: _Counts = None


class _Event(_Answer):
    """What of an event is read: version 2's last has its usage in `delta`, version 1's an answer in `response`."""

    delta: _Answer | None = None
    response: _Answer | None = None


_event = msgspec.json.Decoder(_Event)


class Cohere:
    """The dialect of `/v2/chat`, `/v2/embed` and `/v2/rerank`, and of the same under `/v1`."""

    usage_pattern = re.compile(rb'"(?:usage|meta)"\s*:\s*\{')
    asks = frozenset(
        {"messages", "preamble", "chat_history", "message", "query", "texts", "inputs", "tool_results", "documents"}
    )

    asked = Slots({
        "messages[role!=tool].content": INPUT, "messages[role!=tool].content[].text": INPUT, "messages[].tool_plan": INPUT,
        "messages[role=tool].content": RESULTS, "messages[role=tool].content[].text": RESULTS,
        "messages[role=tool].content[].document.data.**": RESULTS, "messages[].tool_calls[].function.arguments": CALLS,
        "preamble": INPUT, "chat_history[].message": INPUT, "message": INPUT, "query": INPUT, "texts[]": INPUT,
        "inputs[].content[].text": INPUT, "documents[]": INPUT, "documents[].**": INPUT,
        "tool_results[].call.parameters.**": CALLS, "tool_results[].outputs[].**": RESULTS,
    })  # fmt: skip
    answered = Slots({
        "message.content[].text": OUTPUT, "message.content[].thinking": OUTPUT, "message.tool_plan": OUTPUT, "text": OUTPUT,
        "message.tool_calls[].function.arguments": CALLS, "tool_calls[].parameters.**": CALLS,
        "results[].document.text": OUTPUT,
    })  # fmt: skip
    repeated = Repeats(("message.citations", "citations", "logprobs", "chat_history"))

    def prompt(self, members: Asked) -> list[prompts.Said]:
        """List what is asked: a chat's messages and documents, a ranking's query and documents, or texts to embed."""
        said = list(map(_said, prompts.objects(members.get("messages"))))
        said += _alone("system", prompts.string(members.get("preamble")))
        said += map(_said, prompts.objects(members.get("chat_history")))
        for name in ("message", "query"):
            said += _alone("user", prompts.string(members.get(name)))
        for raw in prompts.elements(members.get("texts")):
            said += _alone("user", prompts.string(raw))
        for one in prompts.objects(members.get("inputs")):
            said += _alone("user", "\n".join(filter(None, _texts(one.get("content")))))
        for name, role in (("tool_results", "tool"), ("documents", "user")):
            for raw in prompts.elements(members.get(name)):
                said += _alone(role, prompts.written(raw))
        return said

    def tools(self, members: Asked) -> list[prompts.Said]:
        """List the tools that are offered."""
        return prompts.tools(members)

    def usage(self, answer: bytes) -> Usage | None:
        """Read the usage of a whole answer, or of the last of several lines."""
        found, _ = self._read(answer)
        return found or self._read(answer.rstrip().rpartition(b"\n")[2])[0]

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read a frame's usage; none says nothing else."""
        return self._read(frame.data)

    def merged(self, earlier: Usage, later: Usage) -> Usage:
        """Take the later: only the last event reports."""
        del earlier
        return later

    def ends(self, frame: Frame) -> tuple[int, ...]:
        """Name the one choice where a text stops; `EVERY` when the message does."""
        if frame.data == b"[DONE]":
            return EVERY
        if not _END.search(frame.data):
            return ()
        kind = kind_of(decode(frame.data))
        return EVERY if kind == "message-end" else (0,) if kind in _ENDS else ()

    def texts(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the texts that a frame continues."""
        return tuple(slot for _, _, slot in _places(decode(frame.data)))

    def repeats(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the words that a citation is of: the answer's own, over again."""
        if not _CITED.search(frame.data):
            return ()
        return tuple(slot for _, _, slot in _cited(decode(frame.data)))

    def replace(self, frame: Frame, slots: Sequence[TextSlot]) -> bytes:
        """Rebuild a frame with other text; of a frame without `raw`, only the text is said again, as a delta."""
        if not frame.raw:
            return b"".join(map(_delta, slots))
        body = decode(frame.data)
        if body.get("logprobs") is not None:
            del body["logprobs"]
        fill([*_places(body), *_cited(body)], slots)
        return again(frame, body)

    def finish(self, frame: Frame, reason: str) -> bytes:
        """End the message early: the text that is open, then the message."""
        last = decode(frame.data)
        stop = _STOPS.get(kind_of(last), "")
        ending = event({"type": stop, "index": number(last.get("index"), 0)}, stop) if stop else b""
        return ending + _message_end({"finish_reason": REASONS.get(reason, reason)})

    def error(self, error: GatewayError) -> bytes:
        """Render `{"message": ...}`."""
        return orjson.dumps({"message": error.message})

    def stream_error(self, error: GatewayError) -> bytes:
        """Render the error as Cohere does: as the reason for which the message ends."""
        return _message_end({"finish_reason": "ERROR", "error": error.message})

    def is_error(self, answer: bytes) -> bool:
        """Tell whether an answer is `{"message": ...}` with a text; an answer's message is an object."""
        return isinstance(decode(answer).get("message"), str)

    def _read(self, data: bytes) -> tuple[Usage | None, bool]:
        try:
            found = _event.decode(data)
        except UNREADABLE:
            return None, False
        answers = [one for one in (found, found.delta, found.response) if one is not None]
        reported = next((one.usage or one.meta for one in answers if one.usage or one.meta), None)
        return (_usage(reported) if reported else None), False


def _said(message: Asked) -> prompts.Said:
    """Read a message: its text and documents, its plan, and what it passes to tools or brings from them."""
    role = prompts.string(message.get("role"))
    texts = [prompts.string(message.get("message")), *_texts(message.get("content"))]
    texts.append(prompts.string(message.get("tool_plan")))
    for call in prompts.objects(message.get("tool_calls")):
        texts.append(prompts.written(prompts.inside(call.get("function")).get("arguments")))
        texts.append(prompts.written(call.get("parameters")))
    texts += map(prompts.written, prompts.elements(message.get("tool_results")))
    return {"role": ROLES.get(role, role), "content": "\n".join(filter(None, texts))}


def _texts(content: msgspec.Raw | None) -> Iterator[str]:
    yield prompts.string(content)
    for raw in prompts.elements(content):
        yield prompts.string(raw)
        part = prompts.inside(raw)
        yield prompts.string(part.get("text"))
        yield prompts.string(part.get("thinking"))
        if "document" in part:
            yield prompts.written(part["document"])


def _alone(role: str, text: str) -> list[prompts.Said]:
    return [{"role": role, "content": text}] if text else []


def _usage(reported: Member) -> Usage | None:
    """Count what is billed, else what the models counted; searches are no tokens, so a ranking alone counts none."""
    billed, counted = inner(reported, "billed_units"), inner(reported, "tokens")
    if not billed and not counted:
        return None
    asked = tokens(billed, "input_tokens") + tokens(billed, "image_tokens")
    answered = tokens(billed, "output_tokens")
    if asked or answered or not counted:
        return Usage(asked, answered)
    usage = Usage(tokens(counted, "input_tokens"), tokens(counted, "output_tokens"))
    usage.cached_input = min(tokens(reported, "cached_tokens"), usage.input)
    return usage


def _places(body: Member) -> Iterator[Place]:
    kind = kind_of(body)
    index = number(body.get("index"), 0)
    message = inner(inner(body, "delta"), "message")
    if kind in {"content-delta", "content-start"}:
        content = inner(message, "content")
        for name, channel in (("text", Channel.CONTENT), ("thinking", Channel.REASONING)):
            if isinstance(content.get(name), str):
                yield content, name, TextSlot(channel, 0, index, content[name])
    elif kind == "tool-plan-delta" and isinstance(message.get("tool_plan"), str):
        yield message, "tool_plan", TextSlot(Channel.REASONING, 0, _PLAN, message["tool_plan"])
    elif kind in {"tool-call-delta", "tool-call-start"}:
        function = inner(inner(message, "tool_calls"), "function")
        if isinstance(function.get("arguments"), str):
            yield function, "arguments", TextSlot(Channel.TOOL_ARGUMENTS, 0, index, function["arguments"])


def _cited(body: Member) -> Iterator[Place]:
    if kind_of(body) == "citation-start":
        citation = inner(inner(inner(body, "delta"), "message"), "citations")
        if isinstance(citation.get("text"), str):
            index = WHOLE + number(body.get("index"), 0)
            yield citation, "text", TextSlot(Channel.CONTENT, 0, index, citation["text"])


def _delta(slot: TextSlot) -> bytes:
    """Write the event that says one text."""
    if slot.channel is Channel.TOOL_ARGUMENTS:
        return _event_of("tool-call-delta", slot.index, {"tool_calls": {"function": {"arguments": slot.text}}})
    if slot.index == _PLAN:
        return _event_of("tool-plan-delta", None, {"tool_plan": slot.text})
    name = "thinking" if slot.channel is Channel.REASONING else "text"
    return _event_of("content-delta", slot.index, {"content": {name: slot.text}})


def _event_of(kind: str, index: int | None, message: Member) -> bytes:
    place = {} if index is None else {"index": index}
    return event({"type": kind, **place, "delta": {"message": message}}, kind)


def _message_end(delta: Member) -> bytes:
    return event({"type": "message-end", "delta": {**delta, "usage": {}}}, "message-end") + DONE
