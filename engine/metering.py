"""Counts the output of a stream while it passes, and lets no frame pass that nothing is held for.

What is counted is each text, as the provider will count it where it counts as we can, else by estimate: a token for each
piece at least. Frames wait, in order, until more is held for them; where no more is to be had the stream ends early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from engine.contracts import Channel, Dialect, Frame, Meter
from engine.frames import Relay, split
from engine.tokens import estimate

TextId = tuple[Channel, int, int]
REASONS = {"responses": "max_output_tokens"}
"""What dialects call an answer that was cut short; elsewhere `length`."""


class Estimated:
    """Counts a text by estimate."""

    __slots__ = ("_family",)

    def __init__(self, family: str) -> None:
        self._family = family

    def __call__(self, piece: str) -> int:
        """Return the tokens of a piece: one at least."""
        return estimate(piece, self._family) if piece else 0


class Metered:
    """Relays a stream as another relay does, as far as `granted` tokens go; frames beyond are `waiting`."""

    __slots__ = ("_dialect", "_last", "_make", "_meters", "_relay", "_waiting", "cut", "granted", "seen")

    def __init__(self, relay: Relay, dialect: Dialect, granted: int, make: Callable[[], Meter]) -> None:
        self._relay = relay
        self._dialect = dialect
        self._make = make
        self._meters: dict[TextId, Meter] = {}
        self._waiting: deque[tuple[Frame, int]] = deque()
        self._last: Frame | None = None
        self.granted = granted
        self.cut = False
        """Whether the stream was ended early."""
        self.seen = 0
        """Tokens of the frames that have passed."""

    @property
    def relay(self) -> Relay:
        """The relay that does the rest."""
        return self._relay

    @property
    def wants(self) -> int:
        """How many tokens would let the next frame pass; 0 when none waits."""
        return self.seen + self._waiting[0][1] if self._waiting else 0

    @property
    def wants_all(self) -> int:
        """How many tokens would let all frames pass that wait."""
        return self.seen + sum(tokens for _, tokens in self._waiting)

    def feed(self, data: bytes) -> bytes:
        """Return the frames that may pass of those that `data` completes, behind those that wait."""
        return self._take(self._relay.feed(data))

    def end(self) -> bytes:
        """Return the last frames, as far as they may pass."""
        return self._take(self._relay.end())

    def _take(self, whole: bytes) -> bytes:
        for frame in split(whole) if whole else ():
            self._waiting.append((frame, self._tokens(frame)))
        return self.passed()

    def passed(self) -> bytes:
        """Return the frames that may pass now."""
        out = []
        waiting = self._waiting
        while waiting and self.seen + waiting[0][1] <= self.granted:
            frame, tokens = waiting.popleft()
            self.seen += tokens
            self._last = frame if tokens else self._last or frame
            out.append(frame.raw)
        return b"".join(out)

    def finish(self, operation: str, said: str) -> bytes:
        """Write what ends the stream early, in the manner of the frame that passed last, with a comment that says why."""
        self.cut = True
        frame = self._last or self._waiting[0][0]
        self._waiting.clear()
        return f": {said}\n\n".encode() + self._dialect.finish(frame, REASONS.get(operation, "length"))

    def _tokens(self, frame: Frame) -> int:
        tokens = 0
        for slot in self._dialect.texts(frame):
            key = (slot.channel, slot.choice, slot.index)
            meter = self._meters.get(key)
            if meter is None:
                meter = self._meters[key] = self._make()
            tokens += meter(slot.text)
        return tokens
