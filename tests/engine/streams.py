"""Streams for tests: how they are made, cut and read, written apart from the code they test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from engine.contracts import Channel, TextSlot

DONE = b"data: [DONE]\n\n"
SIZES = (1, 2, 3, 5, 7, 100, 4096)
_LINE = re.compile(rb"\r\n|\n|\r")
_BLOCK = re.compile(rb"((?:\r?\n){2,})")


def events(stream: bytes) -> list[tuple[str, bytes]]:
    """Read a stream as the standard says: (event, data) of every event that a blank line ended."""
    found, event, data = [], "", []
    for line in _LINE.split(stream)[:-1]:
        if not line:
            if data:
                found.append((event, b"\n".join(data)))
            event, data = "", []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"event:"):
            event = line[6:].removeprefix(b" ").decode()
    return found


def chunks(stream: bytes) -> Iterator[dict[str, Any]]:
    """Parse the JSON of every event."""
    for _, data in events(stream):
        if data != b"[DONE]":
            yield json.loads(data)


def without_usage(stream: bytes) -> bytes:
    """Leave out the frames that say nothing but usage."""
    parts = _BLOCK.split(stream)
    return b"".join(
        block + blank for block, blank in zip(parts[::2], [*parts[1::2], b""], strict=True) if not _only(block)
    )


def _only(block: bytes) -> bool:
    data = b"".join(line[5:] for line in block.splitlines() if line.startswith(b"data:")).strip()
    if not data.startswith(b"{"):
        return False
    try:
        chunk = json.loads(data)
    except ValueError:
        return False
    return chunk.get("choices") == [] and chunk.get("usage") is not None


def every(data: bytes, size: int) -> list[bytes]:
    """Cut every `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def relayed(relay: Any, pieces: Iterable[bytes]) -> bytes:
    """Feed pieces to a relay and end it."""
    return b"".join([*map(relay.feed, pieces), relay.end()])


@st.composite
def cuttings(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cut anywhere: at places drawn, or in even pieces."""
    if draw(st.booleans()):
        return every(data, draw(st.integers(1, 40)))
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=24)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def frame(body: dict[str, Any], eol: bytes = b"\n", event: str = "") -> bytes:
    """Write one frame."""
    head = b"event: %b%b" % (event.encode(), eol) if event else b""
    return b"%bdata: %b%b%b" % (head, json.dumps(body).encode(), eol, eol)


def chat(*choices: dict[str, Any], **members: Any) -> bytes:
    """Write one chat chunk."""
    return frame({"id": "c", "object": "chat.completion.chunk", "choices": list(choices), **members})


def choice(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """Make one choice of a chunk."""
    return {"index": index, "delta": delta, "finish_reason": finish}


class Mask:
    """The guard that replaces a word, and holds back what could become it."""

    def __init__(self, word: str, mask: str) -> None:
        self._word = word
        self._mask = mask
        self._held: dict[tuple[Channel, int, int], str] = {}

    def feed(self, slot: TextSlot) -> str:
        """Return the text less a tail that could begin the word."""
        key = (slot.channel, slot.choice, slot.index)
        *before, rest = (self._held.pop(key, "") + slot.text).split(self._word)
        keep = max(n for n in range(len(self._word)) if rest.endswith(self._word[:n]))
        self._held[key] = rest[len(rest) - keep :]
        return "".join(part + self._mask for part in before) + rest[: len(rest) - keep]

    def flush(self, channel: Channel, choice: int, index: int) -> str:
        """Return the tail."""
        return self._held.pop((channel, choice, index), "")


def masked(text: str, guards: Sequence[tuple[str, str]]) -> str:
    """Replace words in a whole text."""
    for word, mask in guards:
        text = text.replace(word, mask)
    return text
