"""OpenAI's Responses format.

Source: platform.openai.com/docs/api-reference/responses and its streaming events. Usage comes with the event that
ends the stream, inside its `response`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from adapters.dialects.openai import count, envelope, is_error
from engine import prompts
from engine.call import Usage
from engine.contracts import EVERY, WHOLE, Channel, Frame, TextSlot
from engine.errors import GatewayError
from engine.places import UNREADABLE, Member, Place, decode, fill, number
from engine.slots import CALLS, INPUT, OUTPUT, RESULTS, Repeats, Slots

LAST = ("response.completed", "response.incomplete", "response.failed", "error")
DELTAS = {
    "response.output_text.delta": Channel.CONTENT,
    "response.reasoning_text.delta": Channel.REASONING,
    "response.reasoning_summary_text.delta": Channel.REASONING,
    "response.refusal.delta": Channel.REFUSAL,
    "response.function_call_arguments.delta": Channel.TOOL_ARGUMENTS,
    "response.mcp_call_arguments.delta": Channel.TOOL_ARGUMENTS,
    "response.custom_tool_call_input.delta": Channel.TOOL_ARGUMENTS,
    "response.code_interpreter_call_code.delta": Channel.TOOL_ARGUMENTS,
    "response.audio.transcript.delta": Channel.TRANSCRIPT,
}

SAID = {
    "text": Channel.CONTENT, "refusal": Channel.REFUSAL, "transcript": Channel.TRANSCRIPT, "arguments": Channel.TOOL_ARGUMENTS,
    "input": Channel.TOOL_ARGUMENTS, "code": Channel.TOOL_ARGUMENTS,
}  # fmt: skip
"""The members that say a text whole."""
_DELTA = re.compile(rb'"type"\s*:\s*"response\.[a-z_.]+\.delta"')


class _Body(msgspec.Struct):
    usage: dict[str, Any] | None = None
    service_tier: Any = None


class _Event(msgspec.Struct):
    response: _Body | None = None


_body = msgspec.json.Decoder(_Body)
_event = msgspec.json.Decoder(_Event)


class Responses:
    """The dialect of `/v1/responses`."""

    usage_pattern = re.compile(rb'"usage"\s*:\s*\{')
    asks = frozenset({"input", "instructions"})
    asked = Slots({
        "instructions": INPUT, "input": INPUT, "input[].content": INPUT, "input[].content[].text": INPUT,
        "input[].content[].refusal": INPUT, "input[].summary[].text": INPUT, "input[].arguments": CALLS, "input[].input": CALLS,
        "input[].output": RESULTS, "input[].output[].text": RESULTS, "prompt.variables.**": INPUT,
    })  # fmt: skip
    answered = Slots({
        "output[].content[].text": OUTPUT, "output[].content[].refusal": OUTPUT, "output[].summary[].text": OUTPUT,
        "output[].arguments": CALLS, "output[].input": CALLS, "output_text": OUTPUT,
    })  # fmt: skip
    repeated = Repeats(("output[].content[].logprobs", "output[].content[].annotations", "instructions"))

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List what is asked: the instructions, then the texts and messages of `input`, outputs of tools among them."""
        asked = prompts.read(members, "input")
        instructions = prompts.text(prompts.read(members, "instructions"))
        before = [{"role": "system", "content": instructions}] if instructions else []
        if not isinstance(asked, list):
            return before + prompts.loose(asked)
        listed = [one if isinstance(one, dict) else {"role": "user", "content": one} for one in asked]
        outputs = [{"role": "tool", "content": one["output"]} if "output" in one else one for one in listed]
        return before + prompts.messages(outputs)

    def tools(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List the tools that are offered."""
        return prompts.tools(members)

    def usage(self, answer: bytes) -> Usage | None:
        """Read the usage of a whole answer."""
        try:
            return _usage(_body.decode(answer))
        except UNREADABLE:
            return None

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read a frame's usage; none says nothing else."""
        try:
            event = _event.decode(frame.data)
        except UNREADABLE:
            return None, False
        return (_usage(event.response) if event.response else None), False

    def merged(self, earlier: Usage, later: Usage) -> Usage:
        """Take the later: only the last event reports."""
        del earlier
        return later

    def ends(self, frame: Frame) -> tuple[int, ...]:
        """Name the output item that, or a text of which, is done; `EVERY` when the response is."""
        if _DELTA.search(frame.data):
            return ()
        event = decode(frame.data)
        kind = str(event.get("type"))
        if kind in LAST:
            return EVERY
        place = number(event.get("output_index"), -1)
        return (place,) if kind.endswith(".done") and place >= 0 else ()

    def texts(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the texts that a frame continues."""
        return tuple(slot for _, _, slot in _places(decode(frame.data)))

    def repeats(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the texts of items that begin or are done, and of a response: all that deltas said, over again."""
        return () if _DELTA.search(frame.data) else tuple(slot for _, _, slot in _wholes(decode(frame.data)))

    def replace(self, frame: Frame, slots: Sequence[TextSlot]) -> bytes:
        """Rebuild a frame with other text; the likelihoods of its tokens, which spell it out, go."""
        event = decode(frame.data)
        for holder in _likely(event):
            holder["logprobs"] = []
        named = {slot[:3] for slot in slots}
        fill([*_places(event), *(place for place in _wholes(event) if place[2][:3] in named)], slots)
        return _frame(event)

    def finish(self, frame: Frame, reason: str) -> bytes:
        """End the response early, as incomplete."""
        last = decode(frame.data)
        response = {"id": last.get("item_id", ""), "object": "response", "status": "incomplete", "output": []}
        response["incomplete_details"] = {"reason": reason}
        following = number(last.get("sequence_number"), -1) + 1
        return _frame({"type": "response.incomplete", "sequence_number": following, "response": response})

    def error(self, error: GatewayError) -> bytes:
        """Render `{"error": {...}}`."""
        return orjson.dumps(envelope(error))

    def stream_error(self, error: GatewayError) -> bytes:
        """Render an `error` event, which ends the stream."""
        return _frame({"type": "error", "code": error.type, "message": error.message, "param": error.param})

    def is_error(self, answer: bytes) -> bool:
        """Tell whether an answer is `{"error": {"message": ...}}`."""
        return is_error(answer)


def _usage(body: _Body) -> Usage | None:
    if body.usage is None:
        return None
    usage = count(body.usage)
    if isinstance(body.service_tier, str):
        usage.service_tier = body.service_tier
    return usage


def _frame(event: Member) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event.get("type", "")).encode(), orjson.dumps(event))


def _wholes(event: Member) -> Iterator[Place]:
    """Yield the texts of a `done` event, of the part or item in it, and of every item of its response."""
    choice = number(event.get("output_index"), 0)
    found = [*_texts_of(event), *_texts_of(event.get("part")), *_texts_of(event.get("item"))]
    response = event.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    found += [place for item in (output if isinstance(output, list) else ()) for place in _texts_of(item)]
    for index, (holder, name, channel) in enumerate(found, WHOLE):
        yield holder, name, TextSlot(channel, choice, index, holder[name])


def _texts_of(holder: Any) -> Iterator[tuple[Member, str, Channel]]:
    if not isinstance(holder, dict):
        return
    for name, channel in SAID.items():
        if isinstance(holder.get(name), str):
            yield holder, name, channel
    for name in ("content", "summary"):
        inner = holder.get(name)
        for one in inner if isinstance(inner, list) else ():
            yield from _texts_of(one)


def _likely(event: Member) -> Iterator[Member]:
    """Yield every object in an event that has likelihoods."""
    waiting: list[Any] = [event]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get("logprobs"):
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _places(event: Member) -> Iterator[Place]:
    channel = DELTAS.get(str(event.get("type")))
    text = event.get("delta")
    if channel is not None and isinstance(text, str):
        index = event.get("content_index", event.get("summary_index"))
        yield event, "delta", TextSlot(channel, number(event.get("output_index"), 0), number(index, 0), text)
