"""Gemini's generateContent format, as Google AI and Vertex AI speak it.

Sources: ai.google.dev/api/{generate-content,embeddings} and cloud.google.com/vertex-ai/generative-ai/docs/reference. Both
spellings of proto3's JSON are read of requests, and one object where a list belongs. Vertex AI leaves out an index of 0,
and its frames before the last report no counts. Without `alt=sse` a stream is one JSON array of what would be frames.
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
from engine.places import UNREADABLE, Member, Place, again, decode, event, fill, inner, number, objects, tokens
from engine.slots import CALLS, INPUT, OUTPUT, RESULTS, Repeats, Slots

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""What an error is called, by its status; what is not here is the client's below 500, Google's above."""
REASONS = {"length": "MAX_TOKENS", "content_filter": "SAFETY", "stop": "STOP"}
_ENDS = re.compile(rb'"(?:finishReason|blockReason|error)"')
_UNFINISHED = (None, "", 0, "FINISH_REASON_UNSPECIFIED")
_AUDIO = ("AUDIO", 4)
_TIERS = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
"""Vertex AI's names of service tiers."""


class _Answer(msgspec.Struct):
    """What of an answer, or of one of a stream, is read."""

    usage: dict[str, Any] | None = msgspec.field(default=None, name="usageMetadata")


_answer = msgspec.json.Decoder(_Answer)
_answers = msgspec.json.Decoder(_Answer | list[_Answer])


class Gemini:
    """The dialect of `:generateContent`, `:streamGenerateContent`, `:embedContent` and `:batchEmbedContents`."""

    usage_pattern = re.compile(rb'"usageMetadata"\s*:\s*\{')
    asks = frozenset({"systemInstruction", "system_instruction", "contents", "content", "requests"})
    asked = Slots({
        path: phase
        for of in ("systemInstruction", "system_instruction", "contents[]", "contents", "content", "requests[].content")
        for path, phase in {
            f"{of}.parts[].text": INPUT, f"{of}.parts.text": INPUT,
            **{f"{of}.parts[].{name}.args.**": CALLS for name in ("functionCall", "function_call")},
            **{f"{of}.parts[].{name}.response.**": RESULTS for name in ("functionResponse", "function_response")},
        }.items()
    })  # fmt: skip
    answered = Slots({
        "candidates[].content.parts[].text": OUTPUT, "candidates[].content.parts[].functionCall.args.**": CALLS,
        "candidates[].content.parts[].executableCode.code": CALLS,
        "candidates[].content.parts[].codeExecutionResult.output": OUTPUT,
    })  # fmt: skip
    repeated = Repeats(
        ("candidates[].logprobsResult", "candidates[].citationMetadata", "candidates[].groundingMetadata")
    )

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List what is asked: the system's text, then the contents with what functions were passed and gave back.

        Roles are those of the other dialects: `model` is `assistant`, none is `user`.
        """
        systems = [_text(members.get(name)) for name in ("systemInstruction", "system_instruction")]
        said = [{"role": "system", "content": text} for text in systems if text]
        asked = _listed(members.get("contents")) + _listed(members.get("content"))
        asked += [one["content"] for one in prompts.objects(members.get("requests")) if "content" in one]
        for one in asked:
            role = prompts.string(prompts.inside(one).get("role")) or "user"
            said.append({"role": "assistant" if role == "model" else role, "content": _text(one)})
        return said

    def tools(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List the tools that are offered: functions by name, Google's own by their member's name."""
        found = []
        for tool in _listed(members.get("tools")):
            for name, value in prompts.inside(tool).items():
                if name in {"functionDeclarations", "function_declarations"}:
                    found += [prompts.string(prompts.inside(one).get("name")) for one in _listed(value)]
                else:
                    found.append(name)
        return [{"name": name} for name in found]

    def usage(self, answer: bytes) -> Usage | None:
        """Read the usage of a whole answer; of a stream that came as an array, the last."""
        try:
            decoded = _answers.decode(answer)
        except UNREADABLE:
            return None
        found = map(_usage, reversed(decoded if isinstance(decoded, list) else [decoded]))
        return next((usage for usage in found if usage is not None), None)

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read a frame's usage, which counts what came before too; none says nothing else."""
        try:
            return _usage(_answer.decode(frame.data)), False
        except UNREADABLE:
            return None, False

    def merged(self, earlier: Usage, later: Usage) -> Usage:
        """Take the later: it counts what came before."""
        del earlier
        return later

    def ends(self, frame: Frame) -> tuple[int, ...]:
        """Name the candidates that finish with this frame; `EVERY` when the prompt is blocked, or at an error."""
        if not _ENDS.search(frame.data):
            return ()
        body = decode(frame.data)
        if body.get("error") or inner(body, "promptFeedback").get("blockReason"):
            return EVERY
        finished = [one for one in objects(body.get("candidates")) if one.get("finishReason") not in _UNFINISHED]
        return tuple(number(one.get("index"), 0) for one in finished)

    def texts(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the texts that a frame continues: a candidate's text is one, and its thoughts another."""
        return tuple(slot for _, _, slot in _places(decode(frame.data)))

    def repeats(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the arguments of calls, which come whole, as they would be written."""
        return tuple(slot for _, _, slot in _calls(decode(frame.data)))

    def replace(self, frame: Frame, slots: Sequence[TextSlot]) -> bytes:
        """Rebuild a frame with other text, without what says it again; of a frame without `raw`, only the text is said again."""
        body = decode(frame.data)
        if not frame.raw:
            return again(frame, {**_origin(body), "candidates": list(map(_saying, slots))})
        self.repeated.drop(body)
        named = {slot[:3] for slot in slots}
        calls = [place for place in _calls(body) if place[2][:3] in named]
        fill([*_places(body), *calls], slots)
        for holder, name, _ in calls:
            holder[name] = decode(holder[name].encode("utf-8", "replace"))
        return again(frame, body)

    def finish(self, frame: Frame, reason: str) -> bytes:
        """End every candidate of a stream early."""
        body = decode(frame.data)
        indices = dict.fromkeys(number(one.get("index"), 0) for one in objects(body.get("candidates"))) or {0: None}
        content = {"parts": [{"text": ""}], "role": "model"}
        candidates = [
            {"content": content, "finishReason": REASONS.get(reason, "OTHER"), "index": index} for index in indices
        ]
        return again(frame, {**body, "candidates": candidates})

    def error(self, error: GatewayError) -> bytes:
        """Render `{"error": {...}}`."""
        return orjson.dumps(_envelope(error))

    def stream_error(self, error: GatewayError) -> bytes:
        """Render the error as a frame, which ends the stream."""
        return event(_envelope(error))

    def is_error(self, answer: bytes) -> bool:
        """Tell whether an answer is `{"error": {"message": ..., "status": ...}}`, perhaps as an array's only element."""
        try:
            body = orjson.loads(answer)
        except orjson.JSONDecodeError:
            return False
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        error = inner(body, "error") if isinstance(body, dict) else {}
        return isinstance(error.get("message"), str) and isinstance(error.get("status"), str)


def _listed(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    """List what may stand alone, as proto3's JSON allows."""
    return prompts.elements(raw) or ([raw] if raw is not None and prompts.inside(raw) else [])


def _text(content: msgspec.Raw | None) -> str:
    return "\n".join(filter(None, _texts(content)))


def _texts(content: msgspec.Raw | None) -> Iterator[str]:
    """List the texts of a content's parts, with what functions were passed and gave back, and code that was run."""
    yield prompts.string(content)
    parts = prompts.inside(content).get("parts")
    yield prompts.string(parts)
    for raw in _listed(parts):
        yield prompts.string(raw)
        part = prompts.inside(raw)
        yield prompts.string(part.get("text"))
        for name, passed in _PASSED:
            if name in part:
                yield prompts.written(prompts.inside(part[name]).get(passed))


_PASSED = (
    ("functionCall", "args"),
    ("function_call", "args"),
    ("functionResponse", "response"),
    ("function_response", "response"),
    ("executableCode", "code"),
    ("executable_code", "code"),
    ("codeExecutionResult", "output"),
    ("code_execution_result", "output"),
)


def _usage(answer: _Answer) -> Usage | None:
    """Count what is reported; None where it names no count.

    What the total exceeds the counts by is the prompt where none is named, else output that was not shown.
    """
    reported = answer.usage or {}
    thoughts = tokens(reported, "thoughtsTokenCount")
    output = tokens(reported, "candidatesTokenCount") + thoughts
    total = tokens(reported, "totalTokenCount")
    asked = tokens(reported, "promptTokenCount") + tokens(reported, "toolUsePromptTokenCount")
    hidden = max(0, total - asked - output)
    usage = Usage(asked or hidden, output + hidden if asked else output, total)
    if not usage.total:
        return None
    usage.cached_input = min(tokens(reported, "cachedContentTokenCount"), usage.input)
    usage.reasoning = thoughts
    usage.audio_input = min(_audio(reported, "promptTokensDetails", "promptTokenDetails"), usage.input)
    usage.audio_output = min(_audio(reported, "candidatesTokensDetails"), output - thoughts)
    tier = reported.get("serviceTier") or _TIERS.get(str(reported.get("trafficType")))
    usage.service_tier = tier.lower() if isinstance(tier, str) else ""
    return usage


def _audio(reported: Member, *names: str) -> int:
    details = [one for name in names for one in objects(reported.get(name))]
    return sum(tokens(one, "tokenCount") for one in details if one.get("modality") in _AUDIO)


def _places(body: Member) -> Iterator[Place]:
    for candidate in objects(body.get("candidates")):
        choice = number(candidate.get("index"), 0)
        calls = 0
        for part in objects(inner(candidate, "content").get("parts")):
            if isinstance(part.get("text"), str):
                channel = Channel.REASONING if part.get("thought") is True else Channel.CONTENT
                yield part, "text", TextSlot(channel, choice, 0, part["text"])
            call = part.get("functionCall")
            if isinstance(call, dict):
                if isinstance(call.get("args"), str):
                    yield call, "args", TextSlot(Channel.TOOL_ARGUMENTS, choice, calls, call["args"])
                calls += 1


def _calls(body: Member) -> Iterator[Place]:
    index = WHOLE
    for candidate in objects(body.get("candidates")):
        for part in objects(inner(candidate, "content").get("parts")):
            call = part.get("functionCall")
            if isinstance(call, dict) and isinstance(call.get("args"), dict):
                written = orjson.dumps(call["args"]).decode()
                yield call, "args", TextSlot(Channel.TOOL_ARGUMENTS, number(candidate.get("index"), 0), index, written)
                index += 1


def _saying(slot: TextSlot) -> Member:
    """Make a candidate that says one text."""
    if slot.channel is Channel.TOOL_ARGUMENTS:
        part: Member = {"functionCall": {"args": slot.text}}
    else:
        part = {"text": slot.text, **({"thought": True} if slot.channel is Channel.REASONING else {})}
    return {"content": {"parts": [part], "role": "model"}, "index": slot.choice}


def _origin(body: Member) -> Member:
    return {name: body[name] for name in ("modelVersion", "responseId") if name in body}


def _envelope(error: GatewayError) -> Member:
    status = STATUSES.get(error.status) or ("INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": error.status, "message": error.message, "status": status}}
