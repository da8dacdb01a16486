"""What the echo provider answers, written as OpenAI's API does, whole or frame by frame."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from adapters.providers.echo.words import messages, words

_PIECE = re.compile(r"\S+\s*")
Body = dict[str, Any]


class Said(NamedTuple):
    """What is answered, and what it counts."""

    text: str
    finish: str
    tool_call: Body | None
    input: int
    output: int
    choices: int

    @classmethod
    def of(cls, request: Body, text: str | None, tool: Mapping[str, Any] | None) -> Said:
        """Echo the last user message within the request's output limit."""
        told = messages(request)
        asked = [text for role, text in told if role == "user"] or [text for _, text in told]
        parts = _PIECE.findall(text if text is not None else (asked or [""])[-1])
        limits = (request.get(name) for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"))
        limit = next((max(0, value) for value in limits if isinstance(value, int)), len(parts))
        given = request.get("n")
        choices = max(1, min(given, 128)) if isinstance(given, int) else 1
        prompt = sum(len(text.split()) for _, text in told)
        if tool is not None:
            arguments = orjson.dumps(tool.get("arguments") or {}).decode()
            call = {"name": tool["name"], "arguments": arguments}
            return cls("", "tool_calls", call, prompt, 1, choices)
        kept = "".join(parts[:limit]) if limit < len(parts) else "".join(parts)
        finish = "length" if limit < len(parts) else "stop"
        return cls(
            kept.rstrip() if finish == "length" else kept,
            finish,
            None,
            prompt,
            min(limit, len(parts)) * choices,
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
            yield data({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage})
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
        return data({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


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
        return data(body if usage is None else {**body, "usage": usage})

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
            yield b"event: %b\n%b" % (event["type"].encode(), data({**event, "sequence_number": number}))

    def _item(self) -> Body:
        if self._said.tool_call is not None:
            called = {"type": "function_call", "call_id": f"call_{self._item_id[-8:]}", "status": "completed"}
            return {"id": self._item_id, **called, **self._said.tool_call}
        content = [{"type": "output_text", "text": self._said.text, "annotations": []}]
        return {"id": self._item_id, "type": "message", "role": "assistant", "status": "completed", "content": content}


WRITERS: Mapping[str, type[Chat | Responses]] = {"chat": Chat, "completions": Completions, "responses": Responses}


def embeddings(request: Body) -> Body:
    """Write the vectors of what is to be embedded."""
    given = request.get("input", "")
    texts = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
    rows = [{"object": "embedding", "index": at, "embedding": _vector(text, request)} for at, text in enumerate(texts)]
    counted = words(given)
    usage = {"prompt_tokens": counted, "total_tokens": counted}
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


def cut(text: str, chars: int) -> list[str]:
    """Cut a text into pieces."""
    return [text[at : at + chars] for at in range(0, len(text), chars)]


def data(body: Body) -> bytes:
    """Write one event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"
