"""The kinds of traffic: what a client sends and how much of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PATH = "/v1/chat/completions"
MODEL = "bench"
_SENTENCE = "The quick gateway reads the head, checks the key, and passes the body on as the bytes that came. "
_MESSAGE_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of request; `frames` of 0: the answer is not streamed, `slice_seconds`: a row's turn, `slow`: the rate of rows too slow for others."""

    name: str
    body_bytes: int
    connections: int
    rate: float
    ladder: tuple[float, ...]
    frames: int = 0
    pace_ms: int = 0
    slice_seconds: float = 0.03
    slow: float = 20

    @property
    def frames_in_all(self) -> int:
        """Return the frames of a whole answer: two more than `frames`, for usage and end."""
        return self.frames + 2 if self.frames else 0

    def body(self, more: int = 0) -> bytes:
        """Return a chat completion request of `body_bytes` and a few more; its first message tells the fake upstream what to stream."""
        order = f"Write a report. frames={self.frames} pace={self.pace_ms}ms "
        messages = [{"role": "system", "content": order}]
        request: dict[str, object] = {"model": MODEL, "messages": messages, "temperature": 0.2}
        if self.frames:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        roles = ("user", "assistant")
        while (missing := self.body_bytes + more - len(json.dumps(request))) > 0:
            size = min(missing, _MESSAGE_BYTES)
            text = (_SENTENCE * (size // len(_SENTENCE) + 1))[:size]
            messages.append({"role": roles[(len(messages) - 1) % 2], "content": text})
        return json.dumps(request, separators=(",", ":")).encode()

    def requests(self, keys: Sequence[str], headers: Iterable[tuple[str, str]] = ()) -> list[list[bytes]]:
        """Return what each client sends in turn: whole HTTP requests with its key, no two in a row of one length."""
        bodies = [self.body(more) for more in (0, 39, 13, 26)]
        more = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return [[_head(key, len(body), more) + body for body in bodies] for key in keys]


def _head(key: str, length: int, more: str) -> bytes:
    return (
        f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\naccept: application/json\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\nauthorization: Bearer {key}\r\n{more}\r\n"
    ).encode()


# Short slices are what makes ratios hold on a noisy machine: two rows that take turns within a few hundredths of a
# second meet the same noise. A stream's slice is as long as one stream: each connection carries exactly one.
_SMALL = (100, 300, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000)
_LARGE = (50, 150, 500, 1_000, 1_500, 2_000, 3_000)
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("1k", 1_000, 32, 300, _SMALL),
        Shape("10k", 10_000, 32, 300, _SMALL),
        Shape("100k", 100_000, 16, 150, _LARGE, slice_seconds=0.05, slow=10),
        Shape("stream", 1_000, 6, 10, (2, 10, 20, 40), frames=200, pace_ms=1, slice_seconds=0.25, slow=1),
        Shape("flood", 1_000, 8, 10, (2, 10, 20, 40), frames=200, slice_seconds=0.1, slow=1),
    )
}
