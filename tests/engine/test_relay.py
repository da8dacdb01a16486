"""What an answer used, where it is too large to hold or its stream breaks off: in every dialect."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.dialects.anthropic import Anthropic
from adapters.dialects.cohere import Cohere
from adapters.dialects.gemini import Gemini
from adapters.dialects.openai import OpenAI
from engine.call import Call, Route
from engine.contracts import Dialect
from engine.errors import UpstreamError
from engine.relay import TAIL, Answer, Large
from engine.snapshot import Settings, Snapshot
from tests.engine.building import Asked
from tests.engine.streams import chat, choice, every, frame, relayed

LONG = "a" * 2 * TAIL
BEFORE: dict[str, Any] = {"text": LONG, "see": '"usage":{"prompt_tokens":9}', "usageMetadata": None}
AFTER: dict[str, Any] = {"modelVersion": "m", "response_type": "embeddings_by_type"}


@pytest.mark.parametrize(
    ("dialect", "reported"),
    [
        (OpenAI(), {"usage": {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}}),
        (Anthropic(), {"usage": {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 3}}),
        (Gemini(), {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "cachedContentTokenCount": 2}}),
        (Cohere(), {"meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5, "output_tokens": 3}}}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("indent", [None, 1])
def test_usage_of_an_answer_too_large_to_hold_is_read_from_its_end(dialect: Dialect, reported, indent):
    answer = json.dumps({**BEFORE, **reported, **AFTER}, indent=indent).encode()
    for size in (1000, TAIL + 1, len(answer)):
        relay = Large(dialect)
        assert relayed(relay, every(answer, size)) == answer
        assert relay.usage is not None
        assert (relay.usage.input, relay.usage.output) == (5, 3)
        assert relay.usage.cached_input == (0 if isinstance(dialect, Cohere) else 2)


@pytest.mark.parametrize("tail", [b'"usage":{', b'"usage":{"a":' + b'{"a":' * 9000, b'"usage":{"a":\xff}', b""])
def test_an_end_that_cannot_be_read_reports_no_usage(tail):
    relay = Large(OpenAI())
    assert relayed(relay, [tail]) == tail
    assert relay.usage is None or relay.usage.total == 0


class Stream:
    """An upstream whose stream ends, or breaks off, after these pieces."""

    status = 200
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"text/event-stream"),)

    def __init__(self, pieces: Sequence[bytes], *, breaks: bool) -> None:
        self._pieces = pieces
        self._breaks = breaks

    async def pump(self, write: Callable[[bytes], bool], drain: Callable[[], Awaitable[None]]) -> None:
        for piece in self._pieces:
            if not write(piece):
                await drain()
        if self._breaks:
            raise UpstreamError(502, "upstream_error", "broke off")


class Client:
    """A client that takes everything."""

    started = False

    def __init__(self) -> None:
        self.took = b""

    def start(self, status: int, headers: bytes) -> None:
        del status, headers
        self.started = True

    def write(self, data: bytes) -> bool:
        self.took += data
        return True

    async def drain(self) -> None: ...

    def end(self) -> None: ...


async def carried(dialect: Dialect, pieces: Sequence[bytes], *, breaks: bool) -> Call:
    """Relay a stream to a client; return the call."""
    call = Call("c-1", Route("/x", "chat", dialect), Snapshot(1, Settings()), Asked())  # type: ignore[arg-type]
    call.stream, call.wants_usage, call.body_size = True, True, 400
    deployment: Any = SimpleNamespace(price=None, stream_usage="always")
    upstream: Any = Stream(pieces, breaks=breaks)
    ledger: Any = SimpleNamespace(settle=lambda *_: None)
    client: Any = Client()
    await Answer(call, deployment, upstream, ledger, lambda: 0.0).relay(client, ())
    return call


def messages(output: dict[str, Any]) -> Iterator[bytes]:
    usage = {"input_tokens": 20, "cache_read_input_tokens": 50, "output_tokens": 1}
    yield frame({"type": "message_start", "message": {"usage": usage}}, b"\n", "message_start")
    for _ in range(12):
        delta = {"type": "text_delta", "text": "word"}
        yield frame({"type": "content_block_delta", "index": 0, "delta": delta}, b"\n", "content_block_delta")
    yield frame({"type": "message_delta", "delta": {}, **output}, b"\n", "message_delta")


@pytest.mark.parametrize(
    ("dialect", "pieces", "breaks", "expected"),
    [
        (Anthropic(), list(messages({"usage": {"output_tokens": 40}})), False, (70, 40, 50, False)),
        (Anthropic(), list(messages({"usage": {"output_tokens": 40}})), True, (70, 40, 50, False)),
        (Anthropic(), list(messages({}))[:-1], True, (70, 13, 50, True)),
        (Anthropic(), list(messages({})), False, (70, 14, 50, True)),
        (OpenAI(), [chat(choice(content="a"))] * 7, True, (100, 7, 0, True)),
    ],
)  # fmt: skip
async def test_an_output_that_broke_off_is_counted_by_its_frames(dialect, pieces, breaks, expected):
    usage = (await carried(dialect, pieces, breaks=breaks)).usage
    assert usage is not None
    assert (usage.input, usage.output, usage.cached_input, usage.estimated) == expected
    assert usage.total == usage.input + usage.output
