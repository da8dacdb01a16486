"""Records on their way into the file, and those that wait in bounded memory for a disk that fails."""

from __future__ import annotations

from collections import deque

from engine.journal.segment import Position

BACKLOG = 64 * 1024 * 1024
"""Bytes of records that wait for a disk that fails; one more is lost, and counted."""
TOGETHER = 1024 * 1024
"""Bytes of the backlog written at once, or one record more."""


class Entry:
    """A record that was appended; `written` once it survives the process, and then (segment, offset) is behind it."""

    __slots__ = ("data", "kept", "offset", "segment")

    def __init__(self, data: bytes, kept: bool) -> None:
        self.data = data
        self.kept = kept
        self.segment = 0
        self.offset = 0

    @property
    def written(self) -> bool:
        """Whether it is in the file."""
        return self.segment > 0

    @property
    def end(self) -> Position:
        """The position behind it; START while it is not written."""
        return Position(self.segment, self.offset)


class Backlog:
    """Kept records of failed writes, in order; none is written twice."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self.size = 0
        """Bytes that wait."""
        self._first = 0

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, entry: Entry) -> bool:
        """Keep a record for later; False, and it is given up, when it is not to be kept or there is no room."""
        size = len(entry.data)
        if not entry.kept or self.size + size > BACKLOG:
            entry.data = b""
            return False
        self._entries.append(entry)
        self.size += size
        return True

    def first(self) -> list[Entry]:
        """Return what is to be written next, nothing when nothing waits."""
        together, size = [], 0
        for entry in self._entries:
            together.append(entry)
            size += len(entry.data)
            if size >= TOGETHER:
                break
        self._first = size
        return together

    def done(self, together: list[Entry]) -> None:
        """Let go of what `first` returned and was written."""
        for _ in together:
            self._entries.popleft()
        self.size -= self._first
