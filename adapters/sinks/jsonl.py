"""Records as JSON lines in one file, rotated by size.

Settings: `path`, `max_bytes` of a file before it is rotated, `keep` rotated files kept (`name.1` is the newest).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MAX_BYTES = 64 * 1024 * 1024
KEEP = 5
LAST = 64 * 1024
"""Bytes of the end of a file in which its last whole line is looked for; no record is as long."""


class Jsonl:
    """The sink `jsonl`; its files are readable by their owner alone."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._path = Path(settings["path"])
        self._max_bytes = int(settings.get("max_bytes", MAX_BYTES))
        self._keep = int(settings.get("keep", KEEP))
        self._file = self._open()

    def write(self, records: Sequence[bytes]) -> None:
        """Append lines in one write; raises OSError, having written all of them or none whole."""
        if not records:
            return
        data = b"\n".join(records) + b"\n"
        before = os.fstat(self._file).st_size
        if before and before + len(data) > self._max_bytes:
            self._rotate()
            before = os.fstat(self._file).st_size
        written = os.write(self._file, data)
        if written != len(data):
            # A short write is cut back, so that no half line stays.
            os.ftruncate(self._file, before)
            raise OSError(f"wrote {written} of {len(data)} bytes to `{self._path}`")

    def close(self) -> None:
        """Flush and let go."""
        os.close(self._file)

    def _open(self) -> int:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(file).st_size
        end = os.pread(file, min(size, LAST), max(0, size - LAST))
        if end and not end.endswith(b"\n"):
            # A half line of a writer that was killed would spoil the next one too.
            os.ftruncate(file, size - len(end) + end.rfind(b"\n") + 1)
        return file

    def _rotate(self) -> None:
        os.close(self._file)
        if not self._keep:
            self._path.unlink()
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self._file = self._open()
