"""The store `sqlite`: one file in the data directory, for its owner alone.

Settings: `path` of the file; its directory must be there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.stores.sqlite import amounts, entities, rows, spend
from adapters.stores.sqlite.file import connect, identity, prepare, reported, transaction
from engine.hashed import checked
from engine.storing import (
    Amount,
    Batch,
    Cursor,
    Entity,
    EntityFilter,
    EntityPage,
    Gone,
    Kind,
    Listing,
    LogFilter,
    LogPage,
    OpenHold,
    Rollup,
    Row,
    Scope,
    SpendRow,
    StoreError,
    UsageQuery,
)

__all__ = ["Sqlite"]


class Sqlite:
    """The store `sqlite`; any thread may call it, and readers do not wait for writers."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._path = Path(settings["path"])
        prepare(self._path)
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        with reported(self._path):
            self._writer = connect(self._path)
            self._reader = connect(self._path)
            self._reader.execute("PRAGMA query_only = ON")
            self._file = identity(self._path)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with reported(self._path), self._write_lock:
            # SQLite itself would go on writing to a file that nobody finds again.
            if identity(self._path) != self._file:
                raise StoreError(f"store `{self._path}`: another file is in its place; put it back, or start again")
            with transaction(self._writer):
                yield self._writer

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give one view of the data: what is written meanwhile is not seen."""
        with reported(self._path), self._read_lock, transaction(self._reader, "BEGIN"):
            yield self._reader

    def identity(self) -> str:
        """Return the random name that the file was given when it was made."""
        with self._reading() as connection:
            return str(connection.execute("SELECT identity FROM store").fetchone()[0])

    def watch(self, on_change: Callable[[Kind, str], None], on_lost: Callable[[], None]) -> None:
        """Tell nothing: the file is one process's, which knows what it changes."""

    def put(self, entity: Entity, *, new: bool = False) -> None:
        """Create or replace an entity, but for its `spend` and `created_at`."""
        checked(entity)
        with self._writing() as connection:
            entities.refuse_conflicts(connection, entity, new=new)
            entities.put(connection, entity)

    def get(self, kind: Kind, entity_id: str) -> Entity | None:
        """Return one entity."""
        with self._reading() as connection:
            return entities.get(connection, kind, entity_id)

    def entities(self, kind: Kind) -> Iterator[Row]:
        """Give every entity of a kind."""
        with self._reading() as connection:
            yield from entities.rows(connection, kind)
            # What was read once, in order, is not read again: its pages need not stay.
            connection.execute("PRAGMA shrink_memory")

    def delete(self, kind: Kind, ids: Sequence[str]) -> list[str]:
        """Delete entities; return the ids that were there."""
        with self._writing() as connection:
            return entities.delete(connection, kind, ids)

    def block(self, kind: Kind, entity_id: str, at: float, *, blocked: bool = True) -> Entity | None:
        """Block or unblock an entity; return it as it is then."""
        with self._writing() as connection:
            found = entities.get(connection, kind, entity_id)
            if found is None:
                return None
            found = found._replace(blocked=blocked, updated_at=at)
            entities.put(connection, found)
            return found

    def set_spend(self, kind: Kind, entity_id: str, spend: int) -> int | None:
        """Set what an entity has spent; return what it had been."""
        with self._writing() as connection:
            found = entities.get(connection, kind, entity_id)
            if found is None:
                return None
            connection.execute("UPDATE entities SET spend = ? WHERE kind = ? AND id = ?", (spend, kind.value, found.id))
            return found.spend

    def position(self, journal: str = "main") -> tuple[int, int]:
        """Return the (segment, offset) up to which a journal is folded."""
        with self._reading() as connection:
            return _position(connection, journal)

    def fold(self, batch: Batch, journal: str = "main") -> bool:
        """Add what a journal holds up to a position, all or nothing; False when it was there already."""
        for change in batch.changes:
            if isinstance(change, Entity):
                checked(change)
        try:
            return self._fold(batch, journal)
        except UnicodeEncodeError:
            return self._fold(batch._replace(rows=[rows.cleaned(row) for row in batch.rows]), journal)

    def _fold(self, batch: Batch, journal: str) -> bool:
        with self._writing() as connection:
            if tuple(batch.position) <= _position(connection, journal):
                return False
            for change in batch.changes:
                if isinstance(change, Gone):
                    entities.delete(connection, change.kind, [change.id])
                else:
                    entities.put(connection, change)
            spend.add(connection, batch.rows)
            amounts.add(connection, batch, journal)
            connection.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", (journal, *batch.position))
            return True

    def counts(self, now: int) -> Iterator[Amount]:
        """Return what counts at an instant; what is folded while this is iterated may be in it or not."""
        after = b"", 0
        while True:
            with self._reading() as connection:
                page = amounts.page(connection, now, after)
            if not page:
                return
            yield from page
            after = page[-1][:2]

    def snapshot(self) -> tuple[dict[str, tuple[int, int]], list[Amount]]:
        """Return how far each journal is folded and every amount, as of one moment."""
        with self._reading() as connection:
            positions = connection.execute("SELECT journal, segment, reached FROM positions").fetchall()
            return {journal: (segment, reached) for journal, segment, reached in positions}, amounts.every(connection)

    def holds(self, journal: str = "main") -> list[OpenHold]:
        """Return the holds that a journal left open."""
        with self._reading() as connection:
            return amounts.holds(connection, journal)

    def usage(self, query: UsageQuery) -> list[Rollup]:
        """Return sums."""
        with self._reading() as connection:
            return spend.usage(connection, query)

    def totals(self, scope: Scope) -> dict[str, Rollup]:
        """Return the sum over all days of every value of a scope."""
        with self._reading() as connection:
            return spend.totals(connection, scope)

    def logs(self, which: LogFilter, size: int = 50, after: Cursor | None = None) -> LogPage:
        """Return a page of spend rows, newest first."""
        with self._reading() as connection:
            return rows.logs(connection, which, size, after)

    def log(self, request_id: str) -> list[SpendRow]:
        """Return the rows of a request with all they hold."""
        with self._reading() as connection:
            return rows.log(connection, request_id)

    def close(self) -> None:
        """Let go."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    # The last in the class: below it, the word `list` would mean this method.
    def list(self, kind: Kind, which: EntityFilter, page: EntityPage) -> Listing:
        """Return a page of the entities of a kind."""
        with self._reading() as connection:
            return entities.listing(connection, kind, which, page)


def _position(connection: sqlite3.Connection, journal: str) -> tuple[int, int]:
    row = connection.execute("SELECT segment, reached FROM positions WHERE journal = ?", (journal,)).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
