"""The upstream of a trial: it takes what it is sent, answers as it is told, and nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from engine.call import Call
from engine.contracts import (
    Clock,
    Counters,
    Deps,
    Dialect,
    Endpoint,
    HttpRequest,
    Pieces,
    Provider,
    Registry,
    Sink,
    Target,
    Tunnel,
    Upstream,
)
from engine.detecting import Detector, RemoteDetector
from engine.errors import UpstreamError
from engine.policy import Policy
from engine.storing import Store

SAID = "This is a trial."
"""What an upstream says of which nothing else is wanted."""
_USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


class Canned(NamedTuple):
    """What an upstream answers; a `body` of None is a small good answer of the right shape."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: Any = None


class Scene:
    """What happens upstream during one trial: `answer` is said, `sent` is what came, None while nothing has."""

    def __init__(self) -> None:
        self.answer = Canned()
        self.sent: bytes | None = None

    def begin(self, answer: Canned) -> None:
        """Begin another trial."""
        self.answer, self.sent = answer, None


class StagedRegistry:
    """The extensions of a gateway, but for upstreams: every one of them is the scene."""

    def __init__(self, real: Registry, scene: Scene) -> None:
        self._real = real
        self._scene = scene

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the environment that extensions see."""
        return self._real.environ

    def provider(self, name: str) -> Provider:
        """Return a provider whose endpoints are composed as ever, and never called."""
        return _Provider(self._real.provider(name), self._scene)

    def dialect(self, name: str) -> Dialect:
        """Return a wire format."""
        return self._real.dialect(name)

    def sink(self, name: str, settings: Mapping[str, Any]) -> Sink:
        """Make a record sink."""
        return self._real.sink(name, settings)

    def counters(self, name: str, clock: Clock, settings: Mapping[str, Any] | None = None) -> Counters:
        """Make the place where counters live."""
        return self._real.counters(name, clock, settings)

    def store(self, name: str, settings: Mapping[str, Any]) -> Store:
        """Open a store."""
        return self._real.store(name, settings)

    def detector(self, name: str, said: Any) -> Detector:
        """Make a detector."""
        return self._real.detector(name, said)

    def remote_detector(self, name: str, settings: Mapping[str, Any], deps: Deps | None = None) -> RemoteDetector:
        """Make what asks a service about texts; in a trial it reaches nobody."""
        return self._real.remote_detector(name, settings, deps)

    def kind(self, name: str) -> type[Policy]:
        """Return a kind of policy, by its name in YAML."""
        return self._real.kind(name)

    def provider_names(self) -> Sequence[str]:
        """Name every provider."""
        return self._real.provider_names()


class _Provider:
    def __init__(self, real: Provider, scene: Scene) -> None:
        self._real = real
        self._scene = scene
        self.stream_usage: Literal["inject", "always", "never"] = real.stream_usage

    def endpoint(self, target: Target) -> Endpoint:
        return _Endpoint(self._real.endpoint(target), self._scene)


class _Endpoint:
    def __init__(self, real: Endpoint, scene: Scene) -> None:
        self._scene = scene
        self.api_base = real.api_base
        self.unsupported = real.unsupported
        self.drops = real.drops
        self.renames = real.renames
        self.secrets = real.secrets
        self.asks_first = False
        self.input_tokens = real.input_tokens
        self.meter = real.meter

    def offer(self, call: Call, query: str) -> HttpRequest | None:
        del call, query
        return None

    async def send(self, call: Call, body: Pieces) -> Upstream:
        self._scene.sent, canned = b"".join(body), self._scene.answer
        stream = call.stream and canned.body is None and canned.status < 400
        return _Answer(canned, _stream(call) if stream else _body(canned, call), stream=stream)


class StagedHttp:
    """The network of a trial: whatever is passed on meets the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def send(self, request: HttpRequest) -> Upstream:
        """Answer as the scene says."""
        self._scene.sent, canned = b"".join(request.body), self._scene.answer
        return _Answer(canned, _written(canned.body if canned.body is not None else {}), stream=False)

    async def tunnel(self, request: HttpRequest) -> Tunnel:
        """Refuse."""
        raise UpstreamError(
            502, "upstream_unreachable", f"`{request.origin.host}` is not called in a trial", sent=False
        )

    async def close(self) -> None:
        """Do nothing: nothing is open."""


class _Answer:
    def __init__(self, canned: Canned, body: bytes, *, stream: bool) -> None:
        self.status = canned.status
        kind = "text/event-stream" if stream else "application/json"
        named = {"content-type": kind, **{name.lower(): value for name, value in canned.headers.items()}}
        self.headers = [(name.encode(), value.encode("utf-8", "replace")) for name, value in named.items()]
        self._body = body

    async def read(self, limit: int) -> bytes | None:
        return self._body if len(self._body) <= limit else None

    async def pump(self, write: Callable[[bytes], bool], drain: Callable[[], Awaitable[None]]) -> None:
        if not write(self._body):
            await drain()

    def close(self) -> None:
        self._body = b""


def _body(canned: Canned, call: Call) -> bytes:
    if canned.body is not None:
        return _written(canned.body)
    if canned.status >= 400:
        return orjson.dumps(
            {"error": {"message": "the upstream refuses", "type": "upstream_error", "param": None, "code": None}}
        )
    return orjson.dumps(_good(call.route.operation, call.deployment.model if call.deployment else ""))


def _written(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


def _good(operation: str, model: str) -> dict[str, Any]:
    """Return a small good answer of an operation."""
    if operation == "embeddings":
        entry = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}
        return {"object": "list", "model": model, "data": [entry], "usage": {"prompt_tokens": 10, "total_tokens": 10}}
    if operation == "responses":
        part = {"type": "output_text", "text": SAID, "annotations": []}
        message = {"type": "message", "id": "msg_trial", "role": "assistant", "status": "completed", "content": [part]}
        usage = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
        return {"id": "resp_trial", "object": "response", "status": "completed", "model": model, "output": [message], "usage": usage}  # fmt: skip
    said = {"text": SAID} if operation == "completions" else {"message": {"role": "assistant", "content": SAID}}
    kind = "text_completion" if operation == "completions" else "chat.completion"
    choice = {"index": 0, **said, "finish_reason": "stop"}
    return {"id": "trial", "object": kind, "created": 0, "model": model, "choices": [choice], "usage": _USAGE}


def _stream(call: Call) -> bytes:
    """Return a small good stream of an operation, all of it at once."""
    operation = call.route.operation
    model = call.deployment.model if call.deployment else ""
    if operation == "responses":
        done = {"type": "response.completed", "sequence_number": 0, "response": _good(operation, model)}
        return b"event: response.completed\ndata: %b\n\n" % orjson.dumps(done)
    said = {"text": SAID} if operation == "completions" else {"delta": {"role": "assistant", "content": SAID}}
    kind = "text_completion" if operation == "completions" else "chat.completion.chunk"
    frame = {"id": "trial", "object": kind, "created": 0, "model": model}
    frames = [
        {**frame, "choices": [{"index": 0, **said, "finish_reason": "stop"}]},
        {**frame, "choices": [], "usage": _USAGE},
    ]
    return b"".join(b"data: %b\n\n" % orjson.dumps(one) for one in frames) + b"data: [DONE]\n\n"
