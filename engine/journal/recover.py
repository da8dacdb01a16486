"""Reading a journal after its writer's end.

A record that fails its check is the end of the journal when no whole record follows it, in its segment or later: so
looks a write that was interrupted, and it is cut off. When one follows, something was lost that had been written:
JournalError.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from engine.journal.read import records
from engine.journal.record import JournalError, any_from, ends
from engine.journal.segment import HEADER, START, Header, Position, header_of, numbers, path_of, sync_names

log = structlog.get_logger("interlock")


class Recovery:
    """What a journal holds behind `since`: iterate for (position behind the record, payload), in order of writing.

    `records` of them, `end` is the position behind the last; `cut` bytes of an interrupted write were cut off there. It
    is read from the files as it is iterated, before any of it is dropped.
    """

    def __init__(self, directory: Path, since: Position) -> None:
        self.since = since
        self.end = since
        self.records = 0
        self.cut = 0
        self.highest = since.segment
        """The highest number of a segment that was there."""
        self._directory = directory
        self._lengths: dict[int, int] = {}

    def __iter__(self) -> Iterator[tuple[Position, bytes]]:
        return records(self._directory, self.since, self._lengths.items())

    @property
    def last_segment(self) -> int:
        """The number of the segment that a new one follows."""
        return max(self._lengths, default=self.since.segment)

    def check(self) -> None:
        """Read all segments from `since` on, and cut off an interrupted write."""
        pending = [number for number in numbers(self._directory) if number >= self.since.segment]
        self.highest = max([self.highest, *pending])
        while pending:
            number = pending.pop(0)
            path = path_of(self._directory, number)
            data = path.read_bytes()
            header = header_of(data, path)
            if header is None:
                self._cut(number, 0, data, pending)
                return
            self._follows(header, path)
            length = self._walk(header, data)
            if length < len(data):
                if any_from(data, length + 1, header.salt):
                    raise JournalError(f"`{path}` offset {length}: a damaged record, and whole ones after it")
                self._cut(number, length, data, pending)
                return
            if length == HEADER:
                path.unlink()
            else:
                self._lengths[number] = length

    def _walk(self, header: Header, data: bytes) -> int:
        """Count the records of a segment; return where the last whole one ends."""
        reached = HEADER
        for end in ends(data, HEADER, header.salt):
            position = Position(header.number, end)
            if Position(header.number, reached) < self.since < position and self.since.offset > HEADER:
                path = path_of(self._directory, header.number)
                raise JournalError(
                    f"`{path}` offset {self.since.offset}: the position to start from is inside a record"
                )
            reached = end
            if position > self.since:
                self.records += 1
                self.end = position
        return reached

    def _follows(self, header: Header, path: Path) -> None:
        """Refuse a gap between two segments; before the first there is none to know of without a position."""
        known = self._lengths or self.since != START
        if known and header.number > self.since.segment and header.before > self.last_segment:
            missing = path_of(self._directory, header.before)
            raise JournalError(f"`{path}` offset 0: the segment before it, `{missing.name}`, is missing")

    def _cut(self, number: int, length: int, data: bytes, later: list[int]) -> None:
        """End the journal here; raises JournalError when a whole record comes later."""
        path = path_of(self._directory, number)
        for other in later:
            beyond = path_of(self._directory, other)
            after = beyond.read_bytes()
            header = header_of(after, beyond)
            if header is not None and any_from(after, HEADER, header.salt):
                raise JournalError(f"`{path}` offset {length}: a damaged record, and whole ones in `{beyond.name}`")
        self.cut = len(data) - length
        if length > HEADER:
            self._lengths[number] = length
            os.truncate(path, length)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        gone = later if length > HEADER else [number, *later]
        # From the end: a kill in between leaves no segment whose predecessor is missing.
        for other in reversed(gone):
            path_of(self._directory, other).unlink()
        log.warning("interrupted write cut off the journal", file=str(path), offset=length, bytes=self.cut)


def recover(directory: Path, since: Position = START) -> Recovery:
    """Check a journal nobody writes, and cut off what a killed writer left half written.

    For whom holds its lock (`Journal.open` does this). Folded records, up to `since`, are not read again. Raises
    JournalError with file and offset when a record, a header or a whole segment is damaged or missing.
    """
    recovery = Recovery(directory, since)
    try:
        recovery.check()
        sync_names(directory)
    except OSError as error:
        raise JournalError(f"journal `{directory}`: {(error.strerror or 'cannot be read').lower()}") from error
    return recovery
