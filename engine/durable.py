"""What outlives the process, opened together: store and journal, and the ledger over them, with its counters as they were.

What a process before left in its journal is folded first; then counters take up what still counts in them.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path

import structlog

from engine.books import Books
from engine.contracts import Clock, Registry
from engine.data_dir import DataDir
from engine.folding import Folder
from engine.journal import Journal, JournalError, Position
from engine.keeping import Keeping, journal_name, journals
from engine.ledger import Ledger
from engine.past import Past
from engine.settle import StartError
from engine.sharing import Bus
from engine.storing import Scope, Store, StoreError

log = structlog.get_logger("interlock")


class Durable:
    """Store, journal and ledger of one process; raises StartError where they cannot be had."""

    def __init__(self, registry: Registry, data: DataDir, clock: Clock, keep: Keeping) -> None:
        try:
            self.store = registry.store(keep.store, keep.store_settings)
            if data.path == data.root:
                _fold_left(self.store, data.root, clock, keep, [0])
            since = Position(*self.store.position(keep.journal))
            self.journal = Journal.open(data.path / "journal", since=since)
            self.folder = Folder(self.journal, self.store, clock, keep.journal)
            # What is left is read before it is folded: a server may not have heard of it.
            self._past = Past(self.store, self.journal, self.folder, keep.journal) if keep.shared else None
            self.folder.catch_up()
            settings = {**keep.counter_settings, "past": self._past} if self._past is not None else {}
            self.counters = registry.counters(keep.counters, clock, settings)
            if self._past is None:
                self.counters.restore(self.store.counts(int(clock.time() * 1e9)))
            self.ledger = Ledger(self.counters, clock, Books(self.journal))
            self.ledger.spent.recall({key: one.spend for key, one in self.store.totals(Scope.KEY).items()})
        except (StoreError, JournalError, OSError, ValueError) as error:
            raise StartError(str(error)) from error

    def __repr__(self) -> str:
        return f"<Durable {self.store} {self.ledger}>"

    @property
    def bus(self) -> Bus | None:
        """What carries messages to the other processes; None where there are none."""
        return getattr(self.counters, "channel", None)

    @property
    def trouble(self) -> str:
        """Why spend cannot be recorded at the moment, so that no call is taken; empty while all is well."""
        return self.journal.reason

    async def begin(self) -> None:
        """Let records of one tick of the loop go out together, and counters hear what they may not have heard."""
        self.journal.soon = asyncio.get_running_loop().call_soon
        if self._past is not None:
            await self.counters.replay(self._past.unheard())

    async def folded(self) -> None:
        """Return once the store has what the journal has; what cannot be folded is in the log."""
        await self.folder.fold()

    async def close(self) -> None:
        """Fold what is left and let go; what could not be folded is folded at the next start."""
        if not await self.folder.close():
            log.warning("spend is left to be folded at the next start")
        self.journal.close()
        self.store.close()


def settle_left(registry: Registry, root: Path, clock: Clock, keep: Keeping, workers: Iterable[int]) -> None:
    """Fold what no process of some `workers` will; raises StartError where that cannot be."""
    try:
        store = registry.store(keep.store, keep.store_settings)
        try:
            _fold_left(store, root, clock, keep, workers)
        finally:
            store.close()
    except (StoreError, JournalError, OSError) as error:
        raise StartError(str(error)) from error


def _fold_left(store: Store, root: Path, clock: Clock, keep: Keeping, workers: Iterable[int]) -> None:
    """Fold journals of processes that are no more: there were more of them, or one alone."""
    kept = {*workers}
    for worker, path in journals(root).items():
        if worker not in kept:
            _fold_whole(store, path, clock, journal_name(keep.store, root, worker))


def _fold_whole(store: Store, path: Path, clock: Clock, name: str) -> None:
    journal = Journal.open(path, since=Position(*store.position(name)))
    try:
        Folder(journal, store, clock, name).catch_up()
    finally:
        journal.close()
    shutil.rmtree(path)
    log.info("journal of a process that is no more is folded", journal=name)
