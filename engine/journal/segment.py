"""Segment files: `<number>.journal`, a header and records. Numbers only grow, and none is given twice.

Header: magic, version, salt of the checks, own number, number of the segment before, CRC-32C of all that.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import NamedTuple

from google_crc32c import value

from engine.journal.record import JournalError

SEGMENT = 64 * 1024 * 1024
"""Bytes of a segment at most, unless one write is longer."""
MAGIC = b"ilk-jrnl"
VERSION = 1
FIELDS = struct.Struct("<8sIIQQ")
CHECK = struct.Struct("<I")
HEADER = FIELDS.size + CHECK.size
SUFFIX = ".journal"


class Position(NamedTuple):
    """A place between two records; places compare in the order of writing."""

    segment: int
    offset: int


START = Position(0, 0)
"""Before every record."""


class Header(NamedTuple):
    """What a segment says of itself; `before` is 0 in the first one ever."""

    salt: int
    number: int
    before: int

    def encoded(self) -> bytes:
        """Return its bytes in the file."""
        fields = FIELDS.pack(MAGIC, VERSION, *self)
        return fields + CHECK.pack(value(fields))


def path_of(directory: Path, number: int) -> Path:
    """Return where a segment is."""
    return directory / f"{number:012}{SUFFIX}"


def numbers(directory: Path) -> list[int]:
    """Return the numbers of the segments that are there, ascending; other files are nobody's."""
    stems = [path.stem for path in directory.iterdir() if path.suffix == SUFFIX]
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def header_of(data: bytes, path: Path) -> Header | None:
    """Read a segment's header; None when it was never written whole, raises JournalError when it is damaged."""
    if len(data) < HEADER or not data.strip(b"\0"):
        return None
    magic, version, salt, number, before = FIELDS.unpack_from(data)
    if magic == MAGIC and version != VERSION:
        raise JournalError(f"`{path}` offset 0: a journal of version {version}; this program reads version {VERSION}")
    header = Header(salt, number, before)
    if data[:HEADER] != header.encoded() or path.name != path_of(path.parent, number).name:
        raise JournalError(f"`{path}` offset 0: damaged, not the header of this segment")
    return header


def create(directory: Path, header: Header) -> int:
    """Make a segment and return its open file; raises OSError, leaving none behind."""
    path = path_of(directory, header.number)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_whole(file, header.encoded())
    except OSError:
        os.close(file)
        path.unlink(missing_ok=True)
        raise
    return file


def write_whole(file: int, data: bytes) -> None:
    """Write in one call; raises OSError when not all of it went."""
    written = os.write(file, data)
    if written != len(data):
        raise OSError(f"wrote {written} of {len(data)} bytes")


def sync_names(directory: Path) -> None:
    """Make files that came or went in a directory last."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def lock(directory: Path) -> int:
    """Make a directory and lock its file `lock` until the returned one is closed; raises JournalError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"journal `{directory}`: {(error.strerror or 'cannot be used').lower()}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise JournalError(f"journal `{directory}` is in use by another process; stop it first") from error
    return file
