"""An upstream without a network: answers with the caller's own last message, at once and for nothing.

For first minutes, demos and tests: everything around it is real. A word counts as a token. `litellm_params` may say
`echo_delay_ms` (before the first byte), `echo_frame_delay_ms` (between frames), `echo_chunk_chars` (characters a frame),
`echo_status` (answer with this error status), `echo_tool_call` (call this tool: `{name, arguments}`), and
`mock_response` (answer this text instead; LiteLLM's error names answer that error).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import re
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from engine.call import Call
from engine.contracts import Deps, HttpRequest, Pieces, Target, Upstream

CHUNK_CHARS = 12
MOCKED_ERRORS = {
    "litellm.RateLimitError": 429,
    "litellm.InternalServerError": 500,
    "litellm.ContextWindowExceededError": 400,
    "litellm.AuthenticationError": 401,
}
_PIECE = re.compile(r"\S+\s*")
Body = dict[str, Any]


class Echo:
    """The provider `echo`."""

    stream_usage = "inject"

    def __init__(self, deps: Deps) -> None:
        self._time = deps.clock.time

    def endpoint(self, target: Target) -> EchoEndpoint:
        """Compose an endpoint; raises ValueError for an `echo_*` value that makes no sense."""
        return EchoEndpoint(Manner.of(target), self._time)


class Manner(NamedTuple):
    """How a deployment echoes."""

    model: str
    delay: float
    frame_delay: float
    chunk_chars: int
    status: int
    tool_call: Mapping[str, Any] | None
    text: str | None

    @classmethod
    def of(cls, target: Target) -> Manner:
        """Read `litellm_params`."""
        params = target.params
        tool = params.get("echo_tool_call")
        if isinstance(tool, str):
            tool = {"name": tool, "arguments": {}}
        if tool is not None and not (isinstance(tool, Mapping) and isinstance(tool.get("name"), str)):
            raise ValueError("echo_tool_call: must be a tool's name, or `{name, arguments}`")
        status = _whole_number(params, "echo_status", 200)
        mocked = params.get("mock_response")
        for name, value in MOCKED_ERRORS.items():
            status = value if isinstance(mocked, str) and mocked.startswith(name) else status
        if not (status == 200 or 400 <= status <= 599):
            raise ValueError("echo_status: must be 200 or an error status, 400 to 599")
        chars = _whole_number(params, "echo_chunk_chars", CHUNK_CHARS)
        if chars < 1:
            raise ValueError("echo_chunk_chars: must be at least 1")
        delay, frame_delay = (_number(params, f"echo_{name}_ms", 0) / 1000 for name in ("delay", "frame_delay"))
        return cls(target.model, delay, frame_delay, chars, status, tool, mocked if isinstance(mocked, str) else None)


class Generated:
    """An answer made here: the `Upstream` of the echo provider."""

    def __init__(self, status: int, kind: bytes, pieces: list[bytes], pause: float) -> None:
        self.status = status
        self.headers = [(b"content-type", kind)]
        self._pieces = pieces
        self._pause = pause

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body."""
        body = b"".join(self._pieces)
        return body if len(body) <= limit else None

    async def pump(self, write: Callable[[bytes], bool], drain: Callable[[], Awaitable[None]]) -> None:
        """Hand on frame by frame."""
        for piece in self._pieces:
            if not write(piece):
                await drain()
            # Even without a pause others get their turn, and a client that left is noticed.
            await asyncio.sleep(self._pause)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class EchoEndpoint:
    """One echoing deployment."""

    api_base = "echo://local"
    unsupported: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    renames: tuple[tuple[str, str], ...] = ()
    secrets: tuple[bytes, ...] = ()

    def __init__(self, manner: Manner, time: Callable[[], float]) -> None:
        self._manner = manner
        self._time = time

    def offer(self, call: Call, query: str) -> HttpRequest | None:
        """Speak no WebSocket."""
        del call, query
        return None

    async def send(self, call: Call, body: Pieces) -> Upstream:
        """Answer one request body."""
        manner = self._manner
        if manner.delay:
            await asyncio.sleep(manner.delay)
        if manner.status != 200:
            return _error(manner.status, manner.text or f"the echo provider was told to answer {manner.status}")
        if call.route.operation not in {"embeddings", *WRITERS}:
            return _error(404, f"the echo provider does not do {call.route.operation}")
        request: Body = orjson.loads(b"".join(body))
        request["model"] = request.get("model") or manner.model
        operation = call.route.operation
        if operation == "embeddings":
            return _whole(_embeddings(request))
        said = Said.of(request, manner)
        writer = WRITERS[operation](request, said, f"echo-{call.id}", int(self._time()))
        if not call.stream:
            return _whole(writer.whole())
        pieces = list(writer.frames(_cut(said.text, manner.chunk_chars)))
        return Generated(200, b"text/event-stream", pieces, manner.frame_delay)


class Said(NamedTuple):
    """What is answered, and what it counts."""

    text: str
    finish: str
    tool_call: Body | None
    input: int
    output: int
    choices: int

    @classmethod
    def of(cls, request: Body, manner: Manner) -> Said:
        """Echo the last user message within the request's output limit."""
        messages = _messages(request)
        asked = [text for role, text in messages if role == "user"] or [text for _, text in messages]
        words = _PIECE.findall(manner.text if manner.text is not None else (asked or [""])[-1])
        limits = (request.get(name) for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"))
        limit = next((max(0, value) for value in limits if isinstance(value, int)), len(words))
        given = request.get("n")
        choices = max(1, min(given, 128)) if isinstance(given, int) else 1
        prompt = sum(len(text.split()) for _, text in messages)
        if manner.tool_call is not None:
            arguments = orjson.dumps(manner.tool_call.get("arguments") or {}).decode()
            call = {"name": manner.tool_call["name"], "arguments": arguments}
            return cls("", "tool_calls", call, prompt, 1, choices)
        kept = "".join(words[:limit]) if limit < len(words) else "".join(words)
        finish = "length" if limit < len(words) else "stop"
        return cls(
            kept.rstrip() if finish == "length" else kept,
            finish,
            None,
            prompt,
            min(limit, len(words)) * choices,
            choices,
        )


class Chat:
    """Writes chat completions."""

    def __init__(self, request: Body, said: Said, answer_id: str, created: int) -> None:
        self._said = said
        self._usage_asked = bool((request.get("stream_options") or {}).get("include_usage"))
        self._head = {"id": answer_id, "created": created, "model": request["model"]}
        self._usage = {
            "prompt_tokens": said.input, "completion_tokens": said.output, "total_tokens": said.input + said.output,
        }  # fmt: skip

    def whole(self) -> Body:
        """Write the answer in one piece."""
        choices = [self._choice(index) for index in range(self._said.choices)]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": self._usage}

    def frames(self, pieces: list[str]) -> Iterator[bytes]:
        """Write the answer as a stream, with usage at its end if it was asked for."""
        for index in range(self._said.choices):
            yield self._chunk(index, {"role": "assistant", "content": ""})
            if self._said.tool_call is not None:
                yield self._chunk(index, {"tool_calls": [{"index": 0, **self._tool_call()}]})
            for piece in pieces:
                yield self._chunk(index, {"content": piece})
            yield self._chunk(index, {}, self._said.finish)
        if self._usage_asked:
            yield _data({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage})
        yield b"data: [DONE]\n\n"

    def _choice(self, index: int) -> Body:
        message: Body = {"role": "assistant", "content": self._said.text}
        if self._said.tool_call is not None:
            message = {"role": "assistant", "content": None, "tool_calls": [self._tool_call()]}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": self._said.finish}

    def _tool_call(self) -> Body:
        return {"id": f"call_{self._head['id'][-8:]}", "type": "function", "function": self._said.tool_call}

    def _chunk(self, index: int, delta: Body, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": finish}
        return _data({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


class Completions(Chat):
    """Writes legacy text completions."""

    def whole(self) -> Body:
        """Write the answer in one piece."""
        choices = [self._text(index, self._said.text, self._said.finish) for index in range(self._said.choices)]
        return {**self._head, "object": "text_completion", "choices": choices, "usage": self._usage}

    def frames(self, pieces: list[str]) -> Iterator[bytes]:
        """Write the answer as a stream."""
        for index in range(self._said.choices):
            for piece in pieces:
                yield self._frame([self._text(index, piece, None)])
            yield self._frame([self._text(index, "", self._said.finish)])
        if self._usage_asked:
            yield self._frame([], self._usage)
        yield b"data: [DONE]\n\n"

    def _frame(self, choices: list[Body], usage: Body | None = None) -> bytes:
        body = {**self._head, "object": "text_completion", "choices": choices}
        return _data(body if usage is None else {**body, "usage": usage})

    @staticmethod
    def _text(index: int, text: str, finish: str | None) -> Body:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


class Responses:
    """Writes responses."""

    def __init__(self, request: Body, said: Said, answer_id: str, created: int) -> None:
        self._said = said
        self._item_id = f"msg_{answer_id}"
        self._head = {"id": f"resp_{answer_id}", "object": "response", "created_at": created, "model": request["model"]}
        self._settings = {
            "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
            "temperature": request.get("temperature", 1.0), "tool_choice": "auto", "tools": [], "top_p": 1.0,
        }  # fmt: skip

    def whole(self) -> Body:
        """Write the answer in one piece."""
        said = self._said
        usage = {
            "input_tokens": said.input, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": said.output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.input + said.output,
        }  # fmt: skip
        cut = said.finish == "length"
        done: Body = {**self._head, **self._settings, "status": "incomplete" if cut else "completed"}
        if cut:
            done["incomplete_details"] = {"reason": "max_output_tokens"}
        return {**done, "output": [self._item()], "usage": usage}

    def frames(self, pieces: list[str]) -> Iterator[bytes]:
        """Write the answer as a stream of events."""
        whole, place = self.whole(), {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
        events: list[Body] = [{"type": "response.created", "response": begun}]
        item = {**self._item(), "status": "in_progress"}
        if self._said.tool_call is None:
            part = {"type": "output_text", "text": "", "annotations": []}
            events.append({"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}})
            events.append({"type": "response.content_part.added", **place, "part": part})
            events.extend({"type": "response.output_text.delta", **place, "delta": piece} for piece in pieces)
            events.append({"type": "response.output_text.done", **place, "text": self._said.text})
            events.append({"type": "response.content_part.done", **place, "part": {**part, "text": self._said.text}})
        else:
            call_place = {"item_id": self._item_id, "output_index": 0}
            arguments = self._said.tool_call["arguments"]
            events.append({"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}})
            events.append({"type": "response.function_call_arguments.delta", **call_place, "delta": arguments})
            events.append({"type": "response.function_call_arguments.done", **call_place, "arguments": arguments})
        events.append({"type": "response.output_item.done", "output_index": 0, "item": self._item()})
        events.append({"type": f"response.{whole['status']}", "response": whole})
        for number, event in enumerate(events):
            yield b"event: %b\n%b" % (event["type"].encode(), _data({**event, "sequence_number": number}))

    def _item(self) -> Body:
        if self._said.tool_call is not None:
            called = {"type": "function_call", "call_id": f"call_{self._item_id[-8:]}", "status": "completed"}
            return {"id": self._item_id, **called, **self._said.tool_call}
        content = [{"type": "output_text", "text": self._said.text, "annotations": []}]
        return {"id": self._item_id, "type": "message", "role": "assistant", "status": "completed", "content": content}


WRITERS: Mapping[str, type[Chat | Responses]] = {"chat": Chat, "completions": Completions, "responses": Responses}


def _embeddings(request: Body) -> Body:
    given = request.get("input", "")
    texts = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
    rows = [{"object": "embedding", "index": at, "embedding": _vector(text, request)} for at, text in enumerate(texts)]
    words = sum(
        len(text.split()) if isinstance(text, str) else len(text) for text in texts if isinstance(text, str | list)
    )
    usage = {"prompt_tokens": words, "total_tokens": words}
    return {"object": "list", "data": rows, "model": request["model"], "usage": usage}


def _vector(text: object, request: Body) -> list[float] | str:
    """Make a unit vector of 8 from a text's hash, as numbers or as base64 of little-endian floats."""
    raw = hashlib.sha256(orjson.dumps(text)).digest()
    values = [int.from_bytes(raw[at : at + 4]) / 2**31 - 1 for at in range(0, 32, 4)]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    vector = [value / length for value in values]
    if request.get("encoding_format") == "base64":
        return base64.b64encode(struct.pack("<8f", *vector)).decode()
    return vector


def _number(params: Mapping[str, Any], name: str, otherwise: float) -> float:
    """Read an amount; raises ValueError naming the parameter."""
    value = params.get(name)
    try:
        number = float(otherwise if value is None else value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be a number") from None
    if not 0 <= number < math.inf:
        raise ValueError(f"{name}: must be a number of at least 0")
    return number


def _whole_number(params: Mapping[str, Any], name: str, otherwise: int) -> int:
    number = _number(params, name, otherwise)
    if number != int(number):
        raise ValueError(f"{name}: must be a whole number")
    return int(number) or otherwise


def _messages(request: Body) -> list[tuple[str, str]]:
    """List role and text of all that was said, whichever member holds it."""
    given = request.get("messages", request.get("input", request.get("prompt", "")))
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    said = [("system", str(request["instructions"]))] if request.get("instructions") else []
    for message in given if isinstance(given, list) else ():
        if isinstance(message, dict):
            said.append((str(message.get("role", "user")), _text(message.get("content"))))
        else:
            said.append(("user", str(message)))
    return said


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _cut(text: str, chars: int) -> list[str]:
    return [text[at : at + chars] for at in range(0, len(text), chars)]


def _data(body: Body) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _whole(body: Body) -> Generated:
    return Generated(200, b"application/json", [orjson.dumps(body)], 0)


def _error(status: int, message: str) -> Generated:
    body = {"error": {"message": message, "type": "echo_error", "param": None, "code": str(status)}}
    return Generated(status, b"application/json", [orjson.dumps(body)], 0)
