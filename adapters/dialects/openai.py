"""OpenAI's chat, completions and embeddings formats.

Sources: platform.openai.com/docs/api-reference/{chat,completions,embeddings}, and what compatible servers make of them:
Mistral streams content as parts, DeepSeek and others reasoning as `reasoning_content`, Groq reports the usage of a
stream under `x_groq`, Moonshot and Together cached tokens beside the sums, OpenRouter reasoning also as details.
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
from engine.places import UNREADABLE, Member, Place, decode, fill, inner, measured, number, objects, tokens
from engine.slots import CALLS, INPUT, OUTPUT, RESULTS, Repeats, Slots

DONE = b"[DONE]"
_WHOLES = frozenset({"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens"})
_USUAL = _WHOLES | {f"{of}_tokens_details" for of in ("prompt", "completion", "input", "output")}
"""Members of a usage that nearly all report; parts that stand elsewhere are only looked for beside others."""


class _Answer(msgspec.Struct):
    """What of an answer is read: its usage, wherever it stands."""

    usage: dict[str, Any] | None = None
    x_groq: dict[str, Any] | None = None
    service_tier: Any = None


class _Chunk(_Answer):
    """What of a frame is read to see whether it says anything but usage."""

    choices: list[msgspec.Raw] | None = None


_answer = msgspec.json.Decoder(_Answer)
_chunk = msgspec.json.Decoder(_Chunk)


class OpenAI:
    """The dialect of `/v1/chat/completions`, `/v1/completions` and `/v1/embeddings`."""

    usage_pattern = re.compile(rb'"usage"\s*:\s*\{')
    asks = frozenset({"messages", "prompt", "input"})
    asked = Slots({
        "messages[role!=tool].content": INPUT, "messages[role!=tool].content[].text": INPUT,
        "messages[role!=tool].content[].refusal": INPUT, "messages[].reasoning_content": INPUT, "messages[].refusal": INPUT,
        "messages[role=tool].content": RESULTS, "messages[role=tool].content[].text": RESULTS,
        "messages[].tool_calls[].function.arguments": CALLS, "messages[].tool_calls[].custom.input": CALLS,
        "messages[].function_call.arguments": CALLS,
        "prediction.content": INPUT, "prediction.content[].text": INPUT,
        "prompt": INPUT, "prompt[]": INPUT, "prompt[][]": INPUT, "suffix": INPUT,
        "input": INPUT, "input[]": INPUT, "input[][]": INPUT, "input[].text": INPUT,
    })  # fmt: skip
    answered = Slots({
        "choices[].message.content": OUTPUT, "choices[].message.content[].text": OUTPUT, "choices[].message.refusal": OUTPUT,
        "choices[].message.reasoning_content": OUTPUT, "choices[].message.reasoning": OUTPUT,
        "choices[].message.reasoning_details[].text": OUTPUT, "choices[].message.audio.transcript": OUTPUT,
        "choices[].message.tool_calls[].function.arguments": CALLS, "choices[].message.tool_calls[].custom.input": CALLS,
        "choices[].message.function_call.arguments": CALLS, "choices[].text": OUTPUT,
    })  # fmt: skip
    repeated = Repeats(("choices[].logprobs", "choices[].message.annotations", "choices[].message.audio"))

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List what is asked: a chat's messages, else the texts of `prompt` or `input`."""
        if "messages" in members:
            return prompts.messages(prompts.read(members, "messages"))
        return prompts.loose(prompts.read(members, "prompt" if "prompt" in members else "input"))

    def tools(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List the tools that are offered."""
        return prompts.tools(members)

    def usage(self, answer: bytes) -> Usage | None:
        """Read the usage of a whole answer."""
        try:
            return usage_of(_answer.decode(answer))
        except UNREADABLE:
            return None

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read a frame's usage; a frame with an empty `choices` and usage says nothing else."""
        try:
            chunk = _chunk.decode(frame.data)
        except UNREADABLE:
            return None, False
        usage = usage_of(chunk)
        return usage, usage is not None and chunk.usage is not None and chunk.choices == []

    def merged(self, earlier: Usage, later: Usage) -> Usage:
        """Take the later: what a stream reports, it reports whole."""
        del earlier
        return later

    def ends(self, frame: Frame) -> tuple[int, ...]:
        """Name the choices that finish with this frame; `EVERY` at `[DONE]`."""
        if frame.data == DONE:
            return EVERY
        if b'"finish_reason"' not in frame.data:
            return ()
        return tuple(index for index, choice in _choices(decode(frame.data)) if choice.get("finish_reason"))

    def texts(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the texts that a frame continues."""
        return tuple(slot for _, _, slot in _places(decode(frame.data)))

    def repeats(self, frame: Frame) -> tuple[TextSlot, ...]:
        """Return nothing: no frame says a text whole."""
        del frame
        return ()

    def replace(self, frame: Frame, slots: Sequence[TextSlot]) -> bytes:
        """Rebuild a frame with other text; texts that `slots` does not name become empty.

        Of a frame without `raw`, which has left already, only the text of the one slot is said again.
        """
        chunk = decode(frame.data)
        places = list(_places(chunk))
        for _, choice in _choices(chunk):
            # The likelihoods of tokens spell out the text that was there.
            if choice.get("logprobs") is not None:
                del choice["logprobs"]
        fill(places, slots)
        if not frame.raw:
            _strip(chunk, places, slots[0])
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def finish(self, frame: Frame, reason: str) -> bytes:
        """End every choice of a stream early."""
        chunk = decode(frame.data)
        chunk["choices"] = [
            {"index": index, "delta": {}, "finish_reason": reason} for index, _ in list(_choices(chunk)) or [(0, {})]
        ]
        return b"data: " + orjson.dumps(chunk) + b"\n\ndata: [DONE]\n\n"

    def error(self, error: GatewayError) -> bytes:
        """Render `{"error": {...}}`."""
        return orjson.dumps(envelope(error))

    def stream_error(self, error: GatewayError) -> bytes:
        """Render the error as a frame, then `[DONE]`."""
        return b"data: " + self.error(error) + b"\n\ndata: [DONE]\n\n"

    def is_error(self, answer: bytes) -> bool:
        """Tell whether an answer is `{"error": {"message": ...}}`."""
        return is_error(answer)


def _strip(chunk: Member, places: Sequence[Place], said: TextSlot) -> None:
    """Leave of a chunk what says one text: clients add up ids, names and roles that they see twice."""
    holder, name, _ = next(place for place in places if place[2][:3] == said[:3])
    found = _only(chunk["choices"], holder, name)
    chunk["choices"] = [{**choice, "finish_reason": None} for choice in found]
    for member in ("usage", "x_groq"):
        chunk.pop(member, None)


def _only(node: Any, holder: Member, name: str) -> Any:
    """Copy the way down to one member; None when it is not below `node`."""
    if isinstance(node, list):
        return [found for one in node if (found := _only(one, holder, name)) is not None] or None
    if not isinstance(node, dict):
        return None
    place = {key: node[key] for key in ("index", "type") if key in node}
    if node is holder:
        return {**place, name: node[name]}
    for key, value in node.items():
        found = _only(value, holder, name)
        if found is not None:
            return {**place, key: found}
    return None


def envelope(error: GatewayError) -> Member:
    """Shape an error as OpenAI's clients expect it; `code` is the status as text, as LiteLLM's users parse it."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code or str(error.status),
        }
    }


def is_error(answer: bytes) -> bool:
    """Tell whether a body is an error in OpenAI's shape, and not Anthropic's or Google's, which look alike."""
    try:
        body = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return False
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return False
    status = error.get("status")
    return body.get("type") != "error" and not (isinstance(status, str) and status.isupper())


def usage_of(answer: _Answer) -> Usage | None:
    """Read the usage that an answer or a frame reports."""
    reported = answer.usage
    if reported is None and answer.x_groq is not None:
        reported = answer.x_groq.get("usage")
    if not isinstance(reported, dict):
        return None
    usage = count(reported)
    if isinstance(answer.service_tier, str):
        usage.service_tier = answer.service_tier
    return usage


def count(reported: Member) -> Usage:
    """Turn a usage object into counts.

    Where the total exceeds input and output, the rest was produced and billed as output without being shown: xAI's and
    Gemini's reasoning tokens are reported so.
    """
    usage = Usage(
        tokens(reported, "prompt_tokens") or tokens(reported, "input_tokens"),
        tokens(reported, "completion_tokens") or tokens(reported, "output_tokens"),
        tokens(reported, "total_tokens"),
    )
    if not reported.keys() <= _WHOLES:
        usage = _count_parts(usage, reported)
    if not usage.input and not usage.output:
        # Voyage counts its embeddings in a total alone.
        usage.input = usage.total
    hidden = usage.total - usage.input - usage.output
    if hidden > 0:
        usage.output += hidden
    return usage


def _count_parts(usage: Usage, reported: Member) -> Usage:
    read = inner(reported, "prompt_tokens_details") or inner(reported, "input_tokens_details")
    written = inner(reported, "completion_tokens_details") or inner(reported, "output_tokens_details")
    usage.cached_input = tokens(read, "cached_tokens")
    usage.cache_write = tokens(read, "cache_write_tokens") or tokens(read, "cache_creation_tokens")
    usage.audio_input = tokens(read, "audio_tokens")
    usage.reasoning = tokens(written, "reasoning_tokens")
    usage.audio_output = tokens(written, "audio_tokens")
    if not reported.keys() <= _USUAL:
        _count_loose(usage, reported)
        if "search_context_size" in reported or "cache_creation" in reported:
            return _measure(usage, reported, written)
    return _measure(usage, reported, written) if "image_tokens" in written else usage


def _count_loose(usage: Usage, reported: Member) -> None:
    """Count the parts that some report beside the sums."""
    usage.cached_input = (
        usage.cached_input
        or tokens(reported, "cached_tokens")
        or tokens(reported, "prompt_cache_hit_tokens")
        or tokens(reported, "cache_read_input_tokens")
    )
    usage.cache_write = usage.cache_write or tokens(reported, "cache_creation_input_tokens")
    usage.reasoning = usage.reasoning or tokens(reported, "reasoning_tokens")


def _measure(usage: Usage, reported: Member, written: Member) -> Usage:
    """Count what few report: pictures among the output, what Anthropic keeps for an hour, what Perplexity searches.

    Perplexity's deep research reports its reasoning beside the completion, not in it.
    """
    found = measured(usage)
    found.image_output = tokens(written, "image_tokens")
    found.cache_write_1h = tokens(inner(reported, "cache_creation"), "ephemeral_1h_input_tokens")
    size = reported.get("search_context_size")
    if isinstance(size, str):
        found.variant = f"search_context_size_{size}"
        found.units["searches"] = tokens(reported, "num_search_queries") or 1
    if "citation_tokens" in reported:
        found.units["citations"] = tokens(reported, "citation_tokens")
        found.output += found.reasoning
        found.total = max(found.total, found.input + found.output)
    return found


def _choices(chunk: Member) -> Iterator[tuple[int, Member]]:
    for choice in objects(chunk.get("choices")):
        yield number(choice.get("index"), 0), choice


def _places(chunk: Member) -> Iterator[Place]:
    for index, choice in _choices(chunk):
        delta = choice.get("delta")
        if isinstance(delta, dict):
            yield from _delta_places(index, delta)
        elif isinstance(choice.get("text"), str):
            yield choice, "text", TextSlot(Channel.CONTENT, index, 0, choice["text"])


_PLAIN = (
    ("content", Channel.CONTENT, 0),
    ("reasoning_content", Channel.REASONING, 0),
    ("reasoning", Channel.REASONING, 1),
    ("refusal", Channel.REFUSAL, 0),
)
_DETAILS = 2
"""The index of the first reasoning detail: what is said twice in one frame are two texts."""


def _delta_places(choice: int, delta: Member) -> Iterator[Place]:
    for name, channel, index in _PLAIN:
        if isinstance(delta.get(name), str):
            yield delta, name, TextSlot(channel, choice, index, delta[name])
    for position, detail in enumerate(objects(delta.get("reasoning_details"))):
        place = _DETAILS + number(detail.get("index"), position)
        for name in ("text", "summary"):
            if isinstance(detail.get(name), str):
                yield detail, name, TextSlot(Channel.REASONING, choice, place, detail[name])
    if isinstance(delta.get("content"), list):
        yield from _part_places(choice, delta["content"])
    audio = delta.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("transcript"), str):
        yield audio, "transcript", TextSlot(Channel.TRANSCRIPT, choice, 0, audio["transcript"])
    calls = objects(delta.get("tool_calls"))
    for position, call in enumerate([*calls, {"function": delta.get("function_call")}]):
        function = call.get("function")
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            place = number(call.get("index"), position)
            yield function, "arguments", TextSlot(Channel.TOOL_ARGUMENTS, choice, place, function["arguments"])


def _part_places(choice: int, parts: list[Any]) -> Iterator[Place]:
    for part in objects(parts):
        if isinstance(part.get("text"), str):
            yield part, "text", TextSlot(Channel.CONTENT, choice, 0, part["text"])
        for thought in objects(part.get("thinking")):
            if isinstance(thought.get("text"), str):
                yield thought, "text", TextSlot(Channel.REASONING, choice, 0, thought["text"])
