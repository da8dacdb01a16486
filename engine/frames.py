"""Server-sent events as bytes: where frames end, what they report, and two of the three ways to relay them.

`Chunks` passes bytes on as they came and only looks; `Frames` passes whole frames and may leave one out; the third
way, which changes text, is in `holdback.py`. All are pure: bytes in, bytes out, and any cutting of the input gives
the same output in sum. Nothing here allocates per frame unless the frame reports usage.

Source: WHATWG HTML, server-sent events (a frame ends at a blank line; a line at LF, CRLF or CR).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from engine.call import Usage
from engine.contracts import Dialect, Frame
from engine.errors import GatewayError

FRAME_LIMIT = 16 * 1024 * 1024
"""Bytes an unfinished frame may hold back; beyond it the bytes go on as they are."""
_FRAME = re.compile(rb"(?:[^\r\n]++(?:\r\n?+|\n))*+(?:\r\n?+|\n)")
"""Lines up to a blank one; a blank line where a frame would begin is a frame of its own, which says nothing."""
_LINE = re.compile(rb"\r\n|\n|\r")


class Relay(Protocol):
    """Turns the bytes of an upstream stream into those for the client."""

    @property
    def usage(self) -> Usage | None:
        """The usage that the stream has reported so far."""

    @property
    def tokens(self) -> int:
        """How many tokens have passed, by guess."""

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought; return what may be written now."""

    def end(self) -> bytes:
        """Return what is left when the upstream has ended properly."""

    def broken(self, error: GatewayError) -> bytes:
        """Return what makes a clean end of a stream that broke off."""


def last_boundary(data: bytes) -> int:
    """Find the index behind the last complete frame, 0 when there is none."""
    at = max(data.rfind(b"\n\n"), data.rfind(b"\n\r\n"))
    if at >= 0:
        return at + (2 if data[at + 1 : at + 2] == b"\n" else 3)
    at = data.rfind(b"\r\r") if b"\n" not in data else -1
    return at + 2 if at >= 0 else 0


def cut(data: bytes) -> list[bytes]:
    """Cut whole frames apart."""
    if data.endswith(b"\n\n") and data.count(b"\n") == 2 and b"\r" not in data:
        return [data]
    frames, start = [], 0
    while found := _FRAME.match(data, start):
        frames.append(found[0])
        start = found.end()
    if start < len(data):
        frames.append(data[start:])
    return frames


def split(data: bytes) -> Iterator[Frame]:
    """Cut whole frames apart and read them."""
    return map(parse, cut(data))


def parse(raw: bytes) -> Frame:
    """Read the fields of one frame."""
    if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and raw.count(b"\n") == 2 and b"\r" not in raw:
        return Frame(raw, raw[6:-2])
    data, event = [], b""
    for line in _LINE.split(raw):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ")
    return Frame(raw, b"\n".join(data), event)


class Frames:
    """Relay whole frames, written together once per read; leave out usage that nobody asked for.

    `hide_usage` drops the one frame that says nothing but usage.
    """

    __slots__ = ("_beside", "_dialect", "_held", "_hide", "_parts", "_texts", "_torn", "frames", "usage")

    def __init__(self, dialect: Dialect, *, hide_usage: bool = False) -> None:
        self._dialect = dialect
        self._hide = hide_usage
        self._parts: list[bytes] = []
        self._held = 0
        self._torn = False
        self._texts = 0
        self._beside = -1
        """Bytes of a frame beside its text, once one with text has passed."""
        self.frames = 0
        self.usage: Usage | None = None

    @property
    def tokens(self) -> int:
        """How many tokens have passed, by guess: four bytes of text each, and one a frame at least."""
        return max(self.frames, self._texts // 4)

    @property
    def between_frames(self) -> bool:
        """Whether everything fed so far was whole frames."""
        return not (self._parts or self._torn)

    def feed(self, data: bytes) -> bytes:
        """Return the whole frames that `data` completes."""
        if not self._parts and data.endswith(b"\n\n"):
            self._torn = False
            self._passed(data, data.count(b"\ndata:") + data.startswith(b"data:"), len(data))
            return self._look(data) if self._dialect.usage_pattern.search(data) else data
        if b"\n" not in data and b"\r" not in data:
            return self._hold(data)
        if self._parts:
            self._parts.append(data)
            data = b"".join(self._parts)
            self._parts = []
            self._held = 0
        end = last_boundary(data)
        if not end:
            return self._hold(data)
        mark = b"\ndata:" if b"\n" in data else b"\rdata:"
        self._passed(data, data.count(mark, 0, end) + data.startswith(b"data:"), end)
        self._torn = False
        if end < len(data):
            self._hold(data[end:])
            data = data[:end]
        return self._look(data)

    def passed_alike(self, size: int) -> None:
        """Count one whole frame with text, of `size` bytes, that reports nothing and came between others."""
        self.frames += 1
        self._texts += size - self._beside if self._beside >= 0 else 0

    def _passed(self, data: bytes, frames: int, size: int) -> None:
        self.frames += frames
        if self._beside < 0:
            self._gauge(data[:size])
        else:
            self._texts += size - frames * self._beside

    def _gauge(self, data: bytes) -> None:
        """Learn from the first frame with text how much of a frame is none; one that is padded tells nothing of others."""
        for frame in split(data):
            size = len(frame.raw)
            if self._beside < 0:
                text = sum(len(slot.text.encode("utf-8", "replace")) for slot in self._dialect.texts(frame))
                if not text:
                    continue
                self._beside = FRAME_LIMIT if b'"obfuscation"' in frame.raw else size - text
            self._texts += size - self._beside

    def end(self) -> bytes:
        """Return the last frame, which lacks its blank line."""
        data = b"".join(self._parts)
        self._parts = []
        return self._look(data)

    def broken(self, error: GatewayError) -> bytes:
        """Drop the half frame and say what happened."""
        self._parts = []
        return (b"\n\n" if self._torn else b"") + self._dialect.stream_error(error)

    def _hold(self, data: bytes) -> bytes:
        self._parts.append(data)
        self._held += len(data)
        if self._held <= FRAME_LIMIT:
            return b""
        data = b"".join(self._parts)
        self._parts = []
        self._held = 0
        self._torn = True
        return data

    def _look(self, data: bytes) -> bytes:
        """Read the usage that whole frames report, and leave out the frame that says nothing else."""
        if not self._dialect.usage_pattern.search(data):
            return data
        kept = []
        for frame in split(data):
            usage, only = self._dialect.frame_usage(frame)
            if usage is not None:
                self.usage = usage if self.usage is None else self._dialect.merged(self.usage, usage)
            if not (only and self._hide):
                kept.append(frame.raw)
        return b"".join(kept)


class Chunks:
    """Relay bytes as they came; look only for usage and for where frames end.

    For streams whose every byte must leave at once, whatever becomes of the rest: what is passed through.
    """

    __slots__ = ("_frames",)

    def __init__(self, dialect: Dialect) -> None:
        self._frames = Frames(dialect)

    @property
    def usage(self) -> Usage | None:
        """The usage that the stream has reported so far."""
        return self._frames.usage

    @property
    def frames(self) -> int:
        """How many frames have passed."""
        return self._frames.frames

    @property
    def tokens(self) -> int:
        """How many tokens have passed, by guess."""
        return self._frames.tokens

    def feed(self, data: bytes) -> bytes:
        """Return `data`."""
        self._frames.feed(data)
        return data

    def end(self) -> bytes:
        """Return nothing: all of it is out."""
        self._frames.end()
        return b""

    def broken(self, error: GatewayError) -> bytes:
        """End the half frame that is out, then say what happened."""
        half = b"" if self._frames.between_frames else b"\n\n"
        return half + self._frames.broken(error)
