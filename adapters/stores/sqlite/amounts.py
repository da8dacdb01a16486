"""What counters hold, and the holds that are open."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from adapters.stores.sqlite import many
from adapters.stores.sqlite.text import clean
from engine.storing import Amount, Batch, OpenHold

ADD = "INSERT INTO amounts VALUES {} ON CONFLICT (counter, until) DO UPDATE SET used = used + excluded.used"
RESET = "DELETE FROM amounts WHERE counter IN (VALUES {})"
EXPIRE = "DELETE FROM amounts WHERE (counter, until) IN (SELECT counter, until FROM amounts WHERE until <= ? LIMIT ?)"
HOLD = "INSERT OR REPLACE INTO holds VALUES {}"
# The casts say that values are compared as the columns are: otherwise SQLite reads the whole table.
CLOSE = (
    "DELETE FROM holds WHERE (journal, call, attempt) IN "
    "(SELECT CAST(column1 AS TEXT), CAST(column2 AS TEXT), CAST(column3 AS INTEGER) FROM (VALUES {}))"
)
LISTED = (
    "SELECT counter, until, used FROM amounts WHERE (counter, until) > (?, ?) AND until > ? ORDER BY counter, until"
)
TOGETHER = 10_000
"""Amounts read, or expired, at once at most."""


def add(connection: sqlite3.Connection, batch: Batch, journal: str) -> None:
    """Add what a batch says of counters and holds."""
    many.run(connection, RESET, [(counter,) for counter in batch.resets])
    many.run(connection, ADD, batch.counts)
    many.run(connection, CLOSE, [(journal, clean(call), attempt) for call, attempt in batch.closed])
    many.run(connection, HOLD, [(journal, clean(call), attempt, record) for call, attempt, record in batch.holds])
    if batch.expired:
        connection.execute(EXPIRE, (batch.expired, TOGETHER))


def page(connection: sqlite3.Connection, now: int, after: tuple[bytes, int]) -> Sequence[Amount]:
    """Return some of what counts at an instant, behind a counter and instant, in their order; nothing: the end."""
    rows = connection.execute(f"{LISTED} LIMIT ?", (*after, now, TOGETHER))
    return [Amount(*row) for row in rows]


def every(connection: sqlite3.Connection) -> list[Amount]:
    """Return all there is, what counts no more too."""
    rows = connection.execute("SELECT counter, until, used FROM amounts ORDER BY counter, until")
    return [Amount(*row) for row in rows]


def holds(connection: sqlite3.Connection, journal: str) -> list[OpenHold]:
    """Return the holds that a journal left open."""
    rows = connection.execute("SELECT call, attempt, record FROM holds WHERE journal = ?", (journal,))
    return [OpenHold(*row) for row in rows]
