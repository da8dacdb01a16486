"""Writing a journal: the records of one loop tick go out in one write, or none of them does.

All but `sync`, `written` and `drop_through`, which may run in a thread, belongs to one thread: the loop's.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from engine.journal.backlog import Backlog, Entry
from engine.journal.read import between
from engine.journal.record import JournalError, encode
from engine.journal.recover import Recovery, recover
from engine.journal.segment import (
    HEADER,
    SEGMENT,
    START,
    Header,
    Position,
    create,
    lock,
    numbers,
    path_of,
    sync_names,
    write_whole,
)

log = structlog.get_logger("interlock")

PAUSE = 0.2
"""Seconds between two syncs, and between two attempts to write again."""
PROBE = bytes(4096)


class Journal:
    """The journal of one process, held by a lock until `close`.

    `soon`, when set, is called with `tick` at the first append of a tick: `journal.soon = loop.call_soon`.
    `recovery` is what was there before; `reason` says why it is not `healthy`; `lost` counts records given up.
    """

    def __init__(self, directory: Path, held: int, recovery: Recovery, limit: int) -> None:
        self.recovery = recovery
        self.soon: Callable[[Callable[[], object]], object] | None = None
        self.lost = 0
        self._directory, self._held, self._limit = directory, held, limit
        # 0 is the one salt under which zeros would be records.
        self._salt = int.from_bytes(os.urandom(4), "little") or 1
        self._number = recovery.highest + 1
        self._file = create(directory, Header(self._salt, self._number, recovery.last_segment))
        self._offset = HEADER
        self._tick: list[Entry] = []
        self._backlog = Backlog()
        self._syncing = threading.Lock()
        self._retired: list[int] = []
        self._written, self._synced = 0, -1
        self._names_changed = True
        self._cannot_write = self._cannot_sync = ""
        self._closed = False

    @classmethod
    def open(cls, directory: Path, *, since: Position = START, limit: int = SEGMENT) -> Journal:
        """Lock and recover a directory of its own and begin a segment of at most `limit` bytes; may take long.

        `since` is the position that has been folded. Raises JournalError: in use, cannot be written, damaged.
        """
        held = lock(directory)
        try:
            return cls(directory, held, recover(directory, since), limit)
        except OSError as error:
            os.close(held)
            raise JournalError(f"journal `{directory}`: {(error.strerror or 'cannot be written').lower()}") from error
        except JournalError:
            os.close(held)
            raise

    @property
    def healthy(self) -> bool:
        """Whether the last write and the last sync succeeded; if not, nothing may begin that needs a record."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why the first write or sync of those that fail failed; empty while it is healthy."""
        return self._cannot_write or self._cannot_sync

    @property
    def position(self) -> Position:
        """The position behind all that is written."""
        return Position(self._number, self._offset)

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return len(self._tick) + len(self._backlog)

    def append(self, payload: bytes, *, kept: bool = True) -> Entry:
        """Add a record to this tick; plain, never waiting. Raises ValueError for a payload over LONGEST.

        When the write fails, a kept one waits for a later write (a settlement); another is given up and stays
        unwritten forever (a hold, which is then not granted).
        """
        entry = Entry(encode(payload, self._salt), kept)
        if not self._tick and self.soon is not None:
            self.soon(self.tick)
        self._tick.append(entry)
        return entry

    def record(self, payload: bytes, *, kept: bool = True) -> bool:
        """Append a record and write it now; False when it is not in the file, and a kept one waits. Raises as `append`.

        As `append` and `write_now`, at half the cost where nothing waits and all is well.
        """
        data = encode(payload, self._salt)
        if self._tick or self._cannot_write or self._backlog or self._offset + len(data) > self._limit:
            return self._record(data, kept)
        try:
            if os.write(self._file, data) == len(data):
                self._offset += len(data)
                self._written += len(data)
                return True
            self._failed(OSError(0, "only a part was written"))
        except OSError as error:
            self._failed(error)
        return self._record(data, kept)

    def _record(self, data: bytes, kept: bool) -> bool:
        entry = Entry(data, kept)
        self._tick.append(entry)
        return self.write_now(entry)

    def tick(self) -> None:
        """Write what this tick appended; for the loop to call."""
        self.flush()

    def write_now(self, entry: Entry | None = None) -> bool:
        """Tell whether a record, or all of them, is in the file, after writing what is not; costs nothing if it is."""
        if entry is None:
            return self.flush()
        if not entry.segment:
            self.flush()
        return entry.segment > 0

    def flush(self) -> bool:
        """Write all that waits, older first; False when some of it still waits or was given up. Never raises."""
        entries, self._tick = self._tick, []
        if (not self._backlog or self._catch_up()) and (not entries or self._write(entries)):
            return True
        for entry in entries:
            if not self._backlog.take(entry):
                self.lost += entry.kept
        return False

    def _catch_up(self) -> bool:
        while together := self._backlog.first():
            if not self._write(together):
                return False
            self._backlog.done(together)
        return True

    def _write(self, entries: Sequence[Entry]) -> bool:
        """Write records in one call, all or none of them."""
        data = b"".join([entry.data for entry in entries])
        try:
            if self._cannot_write:
                os.ftruncate(self._file, self._offset)
            if self._offset + len(data) > self._limit and self._offset > HEADER:
                self._rotate()
            write_whole(self._file, data)
        except OSError as error:
            self._failed(error)
            return False
        number, offset = self._number, self._offset
        for entry in entries:
            offset += len(entry.data)
            entry.segment, entry.offset, entry.data = number, offset, b""
        self._offset = offset
        self._written += len(data)
        if self._cannot_write:
            self._healed()
        return True

    def _rotate(self) -> None:
        file = create(self._directory, Header(self._salt, self._number + 1, self._number))
        self._retired.append(self._file)
        self._file, self._offset = file, HEADER
        self._number += 1
        self._names_changed = True

    def _failed(self, error: OSError) -> None:
        """Cut back what a failed write left; what cannot be cut now is cut before the next write."""
        if not self._cannot_write:
            log.error("journal cannot be written", directory=str(self._directory), reason=str(error))
            self._cannot_write = error.strerror or str(error)
        with suppress(OSError):
            os.ftruncate(self._file, self._offset)

    def _healed(self) -> None:
        log.warning("journal can be written again", directory=str(self._directory), lost=self.lost)
        self._cannot_write = ""

    def revive(self) -> bool:
        """After a failed write, write what waits, or try whether a write would succeed; tells `healthy`."""
        if self.waiting:
            self.flush()
        elif self._cannot_write:
            try:
                os.ftruncate(self._file, self._offset)
                write_whole(self._file, PROBE)
                os.ftruncate(self._file, self._offset)
            except OSError as error:
                self._failed(error)
            else:
                self._healed()
        return self.healthy

    async def run(self) -> None:
        """Sync what was written, in a thread, and write again after a failure, until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            if self._cannot_write:
                self.revive()
            if self._written != self._synced or self._retired:
                await asyncio.to_thread(self.sync)

    def sync(self) -> bool:
        """Make what is written survive a loss of power; for a thread: may take long. False when the disk cannot."""
        with self._syncing:
            try:
                if not self._closed:
                    self._sync()
            except OSError as error:
                if not self._cannot_sync:
                    log.error("journal cannot be synced", directory=str(self._directory), reason=str(error))  # noqa: TRY400 - its place tells nothing
                self._cannot_sync = error.strerror or str(error)
                return False
            self._cannot_sync = ""
            return True

    def _sync(self) -> None:
        # In this order, for the loop may rotate at any point: only what this thread has synced is closed here.
        written, file = self._written, self._file
        for retired in list(self._retired):
            if retired != file:
                os.fsync(retired)
                self._retired.remove(retired)
                os.close(retired)
        os.fsync(file)
        if self._names_changed:
            self._names_changed = False
            try:
                sync_names(self._directory)
            except OSError:
                self._names_changed = True
                raise
        self._synced = written

    def written(self, since: Position, until: Position) -> Iterator[tuple[Position, bytes]]:
        """Read what this process wrote behind `since`, up to a `position` it has had; as a Recovery is read.

        Raises JournalError when it is not there, OSError when it cannot be read.
        """
        return between(self._directory, since, until)

    def drop_through(self, position: Position) -> int:
        """Delete the segments that end at or before a folded position, never the current one; returns how many."""
        dropped = 0
        for number in numbers(self._directory):
            path = path_of(self._directory, number)
            ended = number < position.segment or (number == position.segment and path.stat().st_size <= position.offset)
            if not ended or number >= self._number:
                break
            path.unlink()
            dropped += 1
        return dropped

    def close(self) -> None:
        """Write and sync what is there and let another process have the directory; what is lost is counted and said."""
        self.flush()
        if self.waiting:
            self.lost += self.waiting
            log.error("journal records lost", count=self.lost, reason=self.reason)
        self.sync()
        with self._syncing:
            self._closed = True
            for file in (*self._retired, self._file, self._held):
                os.close(file)
