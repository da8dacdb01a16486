"""A fake provider: precomputed OpenAI answers over a raw protocol, light enough never to be the bottleneck."""

import asyncio
import gc
import json
import re
from typing import Any, cast

import httptools
import uvloop

_USAGE = {"prompt_tokens": 212, "completion_tokens": 180, "total_tokens": 392}
_ID = "chatcmpl-BenchBenchBenchBenchBench01"
_TEXT = "A gateway earns its place when it is not felt: it checks, counts and passes on what came. "
_WORDS = _TEXT.split()
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_INCLUDE_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
_ORDER = re.compile(rb"frames=(\d{1,6}) pace=(\d{1,5})ms")
_MAX_FRAMES = 100_000
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\nx-request-id: req_bench\r\n\r\n"
)


def _answer(body: dict[str, object], status: str = "200 OK") -> bytes:
    payload = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(payload)}\r\n"
        "openai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\nx-request-id: req_bench\r\n\r\n"
    )
    return head.encode() + payload


def _completion() -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": _TEXT * 8, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": _ID, "object": "chat.completion", "created": 1754000000, "model": "bench-model"}
    return _answer(head | {"choices": [choice], "usage": _USAGE, "system_fingerprint": "fp_bench0001"})


def _embedding() -> bytes:
    row = {"object": "embedding", "index": 0, "embedding": [0.0123456] * 64}
    usage = {"prompt_tokens": 212, "total_tokens": 212}
    return _answer({"object": "list", "data": [row], "model": "bench-model", "usage": usage})


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def _frame(choices: list[dict[str, Any]], usage: dict[str, int] | None) -> bytes:
    head = {"id": _ID, "object": "chat.completion.chunk", "created": 1754000000, "model": "bench-model"}
    head |= {"service_tier": "default", "system_fingerprint": "fp_bench0001"}
    return _chunk(b"data: %s\n\n" % json.dumps(head | {"choices": choices, "usage": usage}).encode())


def _delta(word: str) -> bytes:
    return _frame([{"index": 0, "delta": {"content": word}, "logprobs": None, "finish_reason": None}], None)


_COMPLETION = _completion()
_EMBEDDING = _embedding()
_OK = _answer({"status": "ok"})
_NOT_FOUND = _answer({"error": {"message": "no such path", "type": "invalid_request_error"}}, "404 Not Found")
_ROLE = _frame([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}], None)
_DELTAS = [_delta(word + " ") for word in _WORDS]
_STOP = _frame([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}], None)
_USAGE_FRAME = _frame([], _USAGE)
_DONE = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def frames_for(body: bytes) -> tuple[list[bytes], float]:
    """Return the frames a request asks for, the usage frame and the end apart from its count, and their pace in seconds."""
    order = _ORDER.search(body)
    count, pace = (min(_MAX_FRAMES, int(order[1])), int(order[2]) / 1_000) if order else (200, 0.0)
    deltas = (_DELTAS * (count // len(_DELTAS) + 1))[: max(0, count - 2)]
    tail = [_USAGE_FRAME] if _INCLUDE_USAGE.search(body) else []
    return [_ROLE, *deltas, _STOP, *tail, _DONE], pace


class Upstream(asyncio.Protocol):
    """One client connection: requests in, precomputed answers out."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._url = b""
        self._body: list[bytes] = []
        self._open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Not by isinstance: the transports of uvloop are no subclasses.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a stream that is still being written."""
        del exc
        self._open = False

    def data_received(self, data: bytes) -> None:
        """Parse; what is not HTTP closes the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """Keep the path."""
        self._url += url

    def on_body(self, data: bytes) -> None:
        """Keep the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Answer the request that just ended."""
        url, body = self._url, b"".join(self._body)
        self._url = b""
        self._body.clear()
        if self._parser.get_method() == b"GET":
            self._transport.write(_OK)
        elif url.endswith(b"/chat/completions"):
            if b'"stream"' in body and _STREAM.search(body):
                self._stream(*frames_for(body))
            else:
                self._transport.write(_COMPLETION)
        else:
            self._transport.write(_EMBEDDING if url.endswith(b"/embeddings") else _NOT_FOUND)

    def _stream(self, frames: list[bytes], pace: float) -> None:
        loop = asyncio.get_running_loop()
        left = iter(frames)

        def step() -> None:
            frame = next(left, None)
            if frame is None or not self._open:
                return
            self._transport.write(frame)
            if frame is not _DONE:
                loop.call_later(pace, step) if pace else loop.call_soon(step)

        self._transport.write(_STREAM_HEAD)
        step()


async def serve(port: int = 0) -> asyncio.Server:
    """Listen on loopback and return the server."""
    return await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1_024)


async def _main() -> None:
    server = await serve()
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.freeze()
    uvloop.run(_main())
