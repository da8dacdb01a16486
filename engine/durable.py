"""What outlives the process, opened together: store and journal, and the ledger over them, with its counters as they were.

What a process before left in its journal is folded first; then counters take up what still counts in them.
"""

from __future__ import annotations

import asyncio

import structlog

from engine.books import Books
from engine.contracts import Clock, Registry
from engine.data_dir import DataDir
from engine.folding import Folder
from engine.journal import Journal, JournalError, Position
from engine.ledger import Ledger
from engine.settle import StartError
from engine.storing import Scope, StoreError

log = structlog.get_logger("interlock")


class Durable:
    """Store, journal and ledger of one gateway; raises StartError where they cannot be had."""

    def __init__(self, registry: Registry, data: DataDir, clock: Clock) -> None:
        try:
            self.store = registry.store("sqlite", {"path": data.path / "interlock.db"})
            self.journal = Journal.open(data.path / "journal", since=Position(*self.store.position()))
            self.folder = Folder(self.journal, self.store, clock)
            self.folder.catch_up()
            counters = registry.counters("memory", clock)
            counters.restore(self.store.counts(int(clock.time() * 1e9)))
            self.ledger = Ledger(counters, clock, Books(self.journal))
            self.ledger.spent.recall({key: one.spend for key, one in self.store.totals(Scope.KEY).items()})
        except (StoreError, JournalError, OSError) as error:
            raise StartError(str(error)) from error

    def __repr__(self) -> str:
        return f"<Durable {self.store} {self.ledger}>"

    @property
    def trouble(self) -> str:
        """Why spend cannot be recorded at the moment, so that no call is taken; empty while all is well."""
        return self.journal.reason

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let records of one tick of a loop go out together."""
        self.journal.soon = loop.call_soon

    async def folded(self) -> None:
        """Return once the store has what the journal has; what cannot be folded is in the log."""
        await self.folder.fold()

    async def close(self) -> None:
        """Fold what is left and let go; what could not be folded is folded at the next start."""
        if not await self.folder.close():
            log.warning("spend is left to be folded at the next start")
        self.journal.close()
        self.store.close()
