"""An upstream without a network: answers with the caller's own last message, at once and for nothing.

For first minutes, demos and tests: everything around it is real. A word counts as a token. `litellm_params` may say
`echo_delay_ms` (before the first byte), `echo_frame_delay_ms` (between frames), `echo_chunk_chars` (characters a frame),
`echo_status` (answer with this error status), `echo_tool_call` (call this tool: `{name, arguments}`), and
`mock_response` (answer this text instead; LiteLLM's error names answer that error).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson

from adapters.providers.echo.words import Words, messages, words
from adapters.providers.echo.writers import WRITERS, Body, Said, cut, embeddings
from engine.call import Call
from engine.contracts import Deps, HttpRequest, Meter, Pieces, Target, Upstream

CHUNK_CHARS = 12
MOCKED_ERRORS = {
    "litellm.RateLimitError": 429,
    "litellm.InternalServerError": 500,
    "litellm.ContextWindowExceededError": 400,
    "litellm.AuthenticationError": 401,
}
_SAID = frozenset({"messages", "input", "prompt", "instructions"})


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
    asks_first = False

    def __init__(self, manner: Manner, time: Callable[[], float]) -> None:
        self._manner = manner
        self._time = time

    def offer(self, call: Call, query: str) -> HttpRequest | None:
        """Speak no WebSocket."""
        del call, query
        return None

    def input_tokens(self, call: Call) -> int | None:
        """Count the words of a request."""
        request = {name: orjson.loads(bytes(call.members[name])) for name in _SAID & call.members.keys()}
        if call.route.operation == "embeddings":
            return words(request.get("input", ""))
        return sum(len(text.split()) for _, text in messages(request))

    def meter(self) -> Meter | None:
        """Count the words of a text that comes in pieces."""
        return Words()

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
            return _whole(embeddings(request))
        said = Said.of(request, manner.text, manner.tool_call)
        writer = WRITERS[operation](request, said, f"echo-{call.id}", int(self._time()))
        if not call.stream:
            return _whole(writer.whole())
        pieces = list(writer.frames(cut(said.text, manner.chunk_chars)))
        return Generated(200, b"text/event-stream", pieces, manner.frame_delay)


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


def _whole(body: Body) -> Generated:
    return Generated(200, b"application/json", [orjson.dumps(body)], 0)


def _error(status: int, message: str) -> Generated:
    body = {"error": {"message": message, "type": "echo_error", "param": None, "code": str(status)}}
    return Generated(status, b"application/json", [orjson.dumps(body)], 0)
