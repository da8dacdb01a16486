"""One HTTP connection of the load generator, and the tally of what all of them saw."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import httptools

from bench.histogram import Histogram

clock = time.monotonic
HELD = 1
"""Frames that a stream may have more than it came with: who looks through texts holds the end of one back."""
_DONE = b"[DONE]\n\n"


class Tally:
    """What came back: counts, times in nanoseconds, errors by kind."""

    def __init__(self) -> None:
        self.requests = 0
        self.frames = 0
        self.errors: Counter[str] = Counter()
        self.latency = Histogram()
        self.ttft = Histogram()
        self.gap = Histogram()

    def answered(self, intended: float, first: float, last: float) -> None:
        """Count a good answer."""
        self.requests += 1
        self.latency.record(int((last - intended) * 1e9))
        self.ttft.record(int((first - intended) * 1e9))

    def burst(self, frames: int, gap: float | None) -> None:
        """Count frames that came in one read; all but the first of them follow without a gap."""
        self.frames += frames
        if gap is not None:
            self.gap.record(int(gap * 1e9))
        if frames > 1:
            self.gap.record(0, frames - 1)


class Counted(Protocol):
    """The owner of connections, who may change the tally between slices."""

    tally: Tally


class Connection(asyncio.Protocol):
    """A keep-alive connection that carries one request at a time; a stream must bring its `frames` frames."""

    def __init__(
        self, owner: Counted, frames: int, ended: Callable[["Connection"], None], requests: Sequence[bytes]
    ) -> None:
        self.requests = itertools.cycle(requests)
        self._owner = owner
        self._frames = frames
        self._ended = ended
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._intended = self._now = self._first = self._last_frame = 0.0
        self._burst = self._seen = 0
        self._tail = b""
        self.alive = False
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become usable."""
        # Not by isinstance: the transports of uvloop are no subclasses.
        self._transport = cast(asyncio.Transport, transport)
        self.alive = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request that was under way as lost."""
        self.alive = False
        if self.busy:
            self._fail("reset" if exc else "closed early")

    def send(self, request: bytes, intended: float) -> None:
        """Send a request that was meant to start at `intended`."""
        self.busy = True
        self._intended = intended
        self._first = self._last_frame = 0.0
        self._seen = 0
        self._tail = b""
        self._transport.write(request)

    def close(self) -> None:
        """Drop the connection without counting what was under way."""
        self.busy = False
        if self.alive:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse; the callbacks below note what is in it."""
        self._now = clock()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.alive = False
            self._transport.abort()
            if self.busy:
                self._fail("not http")
        self._count_burst()

    def _count_burst(self) -> None:
        if self._burst:
            self._owner.tally.burst(self._burst, self._now - self._last_frame if self._last_frame else None)
            self._last_frame = self._now
            self._seen += self._burst
            self._burst = 0

    def on_body(self, data: bytes) -> None:
        """Note the first byte and count the frames that end here."""
        if not self._first:
            self._first = self._now
        if self._frames:
            # A frame's end may be cut between two chunks: one byte of the last chunk tells.
            split = self._tail[-1:] == b"\n" and self._tail[-2:] != b"\n\n" and data[:1] == b"\n"
            self._burst += data.count(b"\n\n") + split
            self._tail = (self._tail + data)[-16:]

    def on_message_complete(self) -> None:
        """Judge the answer and become free."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        # Before the judgement: `ended` may send the next request from within.
        self._count_burst()
        keep = self._parser.should_keep_alive()
        if not keep:
            self.alive = False
            self._transport.close()
        if status != 200:
            self._fail(f"http {status}")
        elif self._frames and not self._tail.endswith(_DONE):
            self._fail("truncated")
        elif not 0 <= self._seen - self._frames <= HELD:
            self._fail("frames lost or added")
        else:
            self.busy = False
            self._owner.tally.answered(self._intended, self._first or self._now, self._now)
            self._ended(self)

    def _fail(self, kind: str) -> None:
        self.busy = False
        self._owner.tally.errors[kind] += 1
        self._ended(self)
