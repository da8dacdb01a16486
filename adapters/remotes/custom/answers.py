"""Answers as LiteLLM hands them to hooks: members by name and by item, classes that `isinstance` knows.

A `Shape` looks at a mapping and changes it: `choice.message.content = "…"` is a change of the answer's own member. Members that
an answer may leave out (`message.tool_calls`) are None, others that it does not have raise AttributeError.

Source: docs.litellm.ai/docs/completion/output.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar


class Shape:
    """A mapping whose members are attributes, too."""

    absent: ClassVar[frozenset[str]] = frozenset()
    """Members that are None where nothing stands."""

    def __init__(self, of: Mapping[str, Any] | None = None, **members: Any) -> None:
        given = of if isinstance(of, dict) else dict(of or {})
        given.update(members)
        object.__setattr__(self, "_of", given)

    def __getattr__(self, name: str) -> Any:
        of = self.__dict__.get("_of", {})
        if name in of:
            return of[name]
        if name in self.absent:
            return None
        raise AttributeError(f"`{type(self).__name__}` has no member `{name}`")

    def __setattr__(self, name: str, value: Any) -> None:
        self._of[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._of:
            raise AttributeError(f"`{type(self).__name__}` has no member `{name}`")
        del self._of[name]

    def __getitem__(self, name: str) -> Any:
        return self._of[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._of[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._of

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter([*self._of.items()])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and plain(self) == plain(other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._of.items())})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Shape:
        del memo
        return shaped(plain(self), type(self))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a member, or the default."""
        return self._of.get(name, default)

    def model_dump(self, *, exclude_none: bool = False, **how: Any) -> dict[str, Any]:
        """Return the members as plain values; of pydantic's other options none means anything here."""
        del how
        members: dict[str, Any] = plain(self)
        return {name: value for name, value in members.items() if value is not None} if exclude_none else members

    def dict(self, **how: Any) -> Any:
        """Return the members as plain values."""
        return self.model_dump(**how)

    def json(self, **how: Any) -> Any:
        """Return the members as plain values, as LiteLLM's answers do."""
        return self.model_dump(**how)

    def model_dump_json(self, **how: Any) -> str:
        """Write the members as JSON."""
        return json.dumps(self.model_dump(**how))

    def model_copy(self, **how: Any) -> Shape:
        """Return a copy."""
        del how
        return shaped(plain(self), type(self))


def members(value: Any) -> Any:
    """Return what a shape looks at; any other value as it is."""
    return value.__dict__["_of"] if isinstance(value, Shape) else value


def plain(value: Any) -> Any:
    """Copy a value without its shapes."""
    value = members(value)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


class Function(Shape):
    """What of a tool is called."""

    absent = frozenset({"name"})


class ChatCompletionMessageToolCall(Shape):
    """One call of a tool."""

    absent = frozenset({"type", "id"})


class Message(Shape):
    """What a model says."""

    absent = frozenset({"content", "tool_calls", "function_call", "provider_specific_fields"})


class Delta(Message):
    """A piece of what a model says."""

    absent = Message.absent | {"role"}


class Choices(Shape):
    """One of the answers."""

    absent = frozenset({"finish_reason", "logprobs"})


class StreamingChoices(Choices):
    """A piece of one of the answers."""


class TextChoices(Shape):
    """One of the answers to a prompt."""

    absent = frozenset({"finish_reason", "logprobs"})


class Usage(Shape):
    """What an answer took."""

    absent = frozenset({"prompt_tokens_details", "completion_tokens_details"})


class ModelResponse(Shape):
    """The answer to a chat."""

    absent = frozenset({"system_fingerprint", "usage"})


class ModelResponseStream(ModelResponse):
    """A piece of the answer to a chat."""


class TextCompletionResponse(Shape):
    """The answer to a prompt."""

    absent = frozenset({"usage"})


class EmbeddingResponse(Shape):
    """Vectors of texts."""

    absent = frozenset({"usage"})


class ImageResponse(Shape):
    """Pictures."""

    absent = frozenset({"usage"})


class TranscriptionResponse(Shape):
    """What was heard."""


class ResponsesAPIResponse(Shape):
    """An answer of the Responses API; all that it holds are shapes."""

    absent = frozenset({"usage", "error", "instructions", "metadata"})


_WITHIN: Mapping[type[Shape], Mapping[str, type[Shape]]] = {
    ModelResponse: {"choices": Choices, "usage": Usage},
    ModelResponseStream: {"choices": StreamingChoices, "usage": Usage},
    TextCompletionResponse: {"choices": TextChoices, "usage": Usage},
    EmbeddingResponse: {"usage": Usage},
    Choices: {"message": Message},
    StreamingChoices: {"delta": Delta},
    Message: {"tool_calls": ChatCompletionMessageToolCall, "function_call": Function},
    Delta: {"tool_calls": ChatCompletionMessageToolCall, "function_call": Function},
    ChatCompletionMessageToolCall: {"function": Function},
}
"""What the members of a shape are, if they are mappings or lists of mappings."""


def shaped(of: Any, kind: type[Shape]) -> Shape:
    """Give a mapping its shape, and what it holds theirs; the mapping itself is what the shape looks at."""
    for name, inner in _WITHIN.get(kind, {}).items():
        if name in of:
            of[name] = _each(of[name], inner)
    if kind is ResponsesAPIResponse:
        for name, value in of.items():
            of[name] = _deep(value)
    return kind(of)


def _each(value: Any, kind: type[Shape]) -> Any:
    if isinstance(value, list):
        for at, one in enumerate(value):
            value[at] = _each(one, kind)
    return shaped(value, kind) if isinstance(value, dict) else value


def _deep(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        value[key] = _deep(inner)
    return Shape(value) if isinstance(value, dict) else value


def kind_of(body: Any) -> type[Shape] | None:
    """Tell what LiteLLM makes of an answer; None where hooks see a mapping, as of Anthropic's Messages."""
    if not isinstance(body, dict):
        return None
    if body.get("object") == "response":
        return ResponsesAPIResponse
    choices = body.get("choices")
    if isinstance(choices, list):
        texts = any(isinstance(one, dict) and "text" in one for one in choices)
        return TextCompletionResponse if texts else ModelResponse
    return None


def stream_chunk_builder(chunks: Iterable[Any], *of: Any, **more: Any) -> Shape | None:
    """Join the pieces of a stream to the answer that they are; None of no pieces."""
    del of, more
    texts: dict[int, list[str]] = {}
    first: dict[str, Any] = {}
    for chunk in chunks:
        piece = plain(chunk)
        first = first or piece
        for choice in piece.get("choices") or ():
            texts.setdefault(choice.get("index", 0), []).append((choice.get("delta") or {}).get("content") or "")
    choices = [
        {"index": at, "message": {"role": "assistant", "content": "".join(said)}, "finish_reason": "stop"}
        for at, said in texts.items()
    ]
    return shaped({**first, "object": "chat.completion", "choices": choices}, ModelResponse) if first else None


class MockResponseIterator:
    """An answer as a stream of one piece."""

    def __init__(self, model_response: Any, json_mode: bool | None = False) -> None:
        del json_mode
        self._left = [plain(model_response)]

    def __aiter__(self) -> MockResponseIterator:
        return self

    async def __anext__(self) -> Shape:
        if not self._left:
            raise StopAsyncIteration
        answer = self._left.pop()
        choices = [
            {
                "index": choice.get("index", at),
                "delta": choice.get("message") or {},
                "finish_reason": choice.get("finish_reason"),
            }
            for at, choice in enumerate(answer.get("choices") or ())
        ]
        return shaped({**answer, "object": "chat.completion.chunk", "choices": choices}, ModelResponseStream)
