"""Records that are known to be written, read piece by piece; what checks them is `recover`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.journal.record import HEAD, LONGEST, JournalError
from engine.journal.segment import HEADER, Position, path_of

PIECE = 128 * 1024
"""Bytes read at once."""


def records(directory: Path, since: Position, ends: Iterable[tuple[int, int]]) -> Iterator[tuple[Position, bytes]]:
    """Yield each record behind `since` and the position behind it; `ends` are segments, in order, and where they end.

    Raises JournalError when what was written is not there, OSError when it cannot be read.
    """
    for number, end in ends:
        begin = max(HEADER, since.offset if number == since.segment else HEADER)
        if begin < end:
            yield from _segment(path_of(directory, number), begin, end)


def between(directory: Path, since: Position, until: Position) -> Iterator[tuple[Position, bytes]]:
    """Yield the records that one writer wrote behind `since`, up to a position it has had."""
    return records(directory, since, _ends(directory, since, until))


def _ends(directory: Path, since: Position, until: Position) -> Iterator[tuple[int, int]]:
    for number in range(since.segment, until.segment):
        path = path_of(directory, number)
        # The first one may be folded to its end, and gone.
        if number > since.segment or path.exists():
            yield number, path.stat().st_size
    if until > since:
        yield until


def _segment(path: Path, begin: int, end: int) -> Iterator[tuple[Position, bytes]]:
    number, rest = int(path.stem), b""
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(PIECE, end - begin))):
            begin += len(piece)
            data, at = rest + piece, 0
            first = begin - len(data)
            while len(data) - at >= HEAD.size:
                stop = at + HEAD.size + HEAD.unpack_from(data, at)[0]
                if stop > len(data):
                    break
                yield Position(number, first + stop), data[at + HEAD.size : stop]
                at = stop
            rest = data[at:]
            if len(rest) > HEAD.size + LONGEST:
                break
    if rest or begin < end:
        raise JournalError(f"`{path}` offset {begin - len(rest)}: a record that was written is not there")
