"""Folding the journal into the store: nothing twice, and nothing forgotten.

What a record comes to and the position behind it go into the store in one transaction; only then may the journal let go
of it. Whatever fails is tried again from the position that the store has.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterable

import msgspec
import structlog

from engine.contracts import Clock
from engine.gathering import Gathering, Pair
from engine.journal import START, Journal, JournalError, Position
from engine.storing import Store, StoreError

log = structlog.get_logger("interlock")

PAUSE = 1.0
"""Seconds between two runs: what is folded together costs less."""
LONGEST_PAUSE = 30.0
"""Seconds between two runs that fail, at most."""
CLOSING = 5.0
"""Seconds that folding may go on once it is to end; a transaction that has begun may take longer."""
EXPIRING = 10.0
"""Seconds between two looks for amounts that no longer count."""
TOGETHER = 4096
"""Records in one transaction at most."""
LARGEST = 16 * 1024 * 1024
"""Bytes of records in one transaction, or one record more."""


class Folder:
    """Folds the journal of this process into the store.

    `reason` says why it cannot at the moment, and is empty while it can; the journal keeps what is not folded. `name`
    is what the store knows the journal by.
    """

    def __init__(self, journal: Journal, store: Store, clock: Clock, name: str = "main") -> None:
        self.reason = ""
        self.paused = False
        """Whether nothing more may be folded for now."""
        self._journal, self._store, self._clock, self._name = journal, store, clock, name
        self._position = START
        self._open: dict[Pair, bytes] = {}
        self._settled: set[Pair] = set()
        self._turn = asyncio.Lock()
        self._runs = self._failures = 0
        # A run that was cancelled goes on in its thread.
        self._working = threading.Lock()
        self._deadline = math.inf
        self._expire = -math.inf

    @property
    def position(self) -> Position:
        """The position up to which the journal is folded."""
        return self._position

    def catch_up(self) -> int:
        """Fold what the process before left, and settle its open holds at what they held; returns how many.

        For the start, before anything is appended: blocking, and may take long. Raises StoreError, JournalError,
        OSError; whatever was done by then is not done again.
        """
        self._resume()
        if self._position > self._journal.position:
            raise JournalError(
                f"the store has folded its journal up to segment {self._position.segment}, which is not there: "
                "they do not belong together"
            )
        # Behind all that was there, and before all that is to come.
        begin = Position(self._journal.recovery.highest + 1, 0)
        settled = 0
        if self._position < begin:
            self._fold_records(one for one in self._journal.recovery if one[0] > self._position)
            settled = self._settle_open(begin)
        self._journal.drop_through(self._position)
        return settled

    async def run(self) -> None:
        """Fold what was written, every second, until cancelled."""
        while True:
            await asyncio.sleep(min(PAUSE * 2**self._failures, LONGEST_PAUSE))
            await self.fold()

    async def fold(self) -> bool:
        """Fold all that is appended by now; tells whether that went, which `reason` is about. Calls share a run."""
        self._journal.write_now()
        until, runs = self._journal.position, self._runs
        async with self._turn:
            if self._position >= until:
                return True
            if self.paused:
                return False
            if self._runs > runs and self.reason:
                return False
            self._runs += 1
            return await asyncio.to_thread(self._fold_through, self._journal.position)

    async def close(self) -> bool:
        """Fold the rest, as far as that goes in a few seconds; tells whether it is all. The journal keeps what is not."""
        self._deadline = self._clock.monotonic() + CLOSING
        return await self.fold()

    def _fold_through(self, until: Position) -> bool:
        """Fold up to a position the journal has had; for a thread."""
        with self._working:
            if self._position >= until:
                return True
            try:
                if self._failures:
                    self._resume()
                every = self._fold_records(self._journal.written(self._position, until))
                self._journal.drop_through(self._position)
            except (StoreError, JournalError, OSError) as error:
                self._failed(str(error))
                return False
            self._healed()
            return every

    def _fold_records(self, records: Iterable[tuple[Position, bytes]]) -> bool:
        """Fold records in batches; tells whether that was all of them before time was up."""
        gathering, count, size, end = self._gathering(), 0, 0, START
        for end, payload in records:
            try:
                gathering.add(payload)
            except msgspec.DecodeError as error:
                raise JournalError(f"journal segment {end.segment}, before offset {end.offset}: {error}") from error
            count += 1
            size += len(payload)
            if count == TOGETHER or size >= LARGEST:
                self._commit(gathering, end)
                gathering, count, size = self._gathering(), 0, 0
                if self._clock.monotonic() > self._deadline:
                    return False
        if count:
            self._commit(gathering, end)
        return True

    def _gathering(self) -> Gathering:
        return Gathering(self._open, self._settled)

    def _settle_open(self, begin: Position) -> int:
        gathering = self._gathering()
        for record in self._open.values():
            gathering.estimate(record)
        count = len(self._open)
        self._commit(gathering, begin)
        if count:
            log.warning("calls that never ended are settled at what they held", count=count)
        return count

    def _commit(self, gathering: Gathering, end: Position) -> None:
        if not self._store.fold(gathering.batch(end, self._expired()), self._name):
            raise StoreError(f"the store has folded more of the journal `{self._name}` than was given to it")
        for pair in gathering.closed:
            del self._open[pair]
        self._open.update(gathering.opened)
        self._settled, self._position = gathering.settled, end

    def _resume(self) -> None:
        """Go on from what the store has; a transaction that failed may yet have been written."""
        self._position = Position(*self._store.position(self._name))
        self._open = {(call, attempt): record for call, attempt, record in self._store.holds(self._name)}

    def _expired(self) -> int:
        now = self._clock.monotonic()
        if now < self._expire:
            return 0
        self._expire = now + EXPIRING
        return int(self._clock.time() * 1e9)

    def _failed(self, reason: str) -> None:
        if not self.reason:
            log.error("spend cannot be folded into the store; the journal keeps it", reason=reason)
        self.reason = reason
        self._failures = min(self._failures + 1, 10)

    def _healed(self) -> None:
        if self.reason:
            log.warning("spend is folded into the store again")
        self.reason, self._failures = "", 0
