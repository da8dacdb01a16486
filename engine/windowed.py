"""Shows a detector that wants texts whole one window after another, so that a stream need not wait for its end."""

from __future__ import annotations

from collections.abc import Sequence

from engine.detecting import Detector, Hit

LEAST = 64
"""Characters of the smallest window."""


class Windowed:
    """A detector of windows, each of which begins in the middle of the one before; a hit spans its window."""

    __slots__ = ("_detector", "_window", "longest", "types", "whole")

    def __init__(self, detector: Detector, window: int) -> None:
        if window < LEAST:
            raise ValueError(f"`window` is a number of characters, at least {LEAST}")
        self._detector = detector
        self._window = self.longest = window
        self.types: Sequence[str] = detector.types
        self.whole = False

    @property
    def mask(self) -> str:
        """Return what takes a hit's place."""
        return str(getattr(self._detector, "mask", "<{type}>"))

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return a hit for each window that has one; `start` is where a window starts."""
        found = []
        for at in range(start, len(text), self._window // 2):
            seen = text[at : at + self._window]
            found += [Hit(at, at + len(seen), hit.type, hit.score) for hit in self._detector.find(seen)[:1]]
        return found

    def pending(self, text: str, start: int = 0) -> int:
        """Return where the first window starts that is not full."""
        full = (len(text) - start) // (self._window // 2) - 1
        return start + max(0, full) * (self._window // 2)
