"""Spend rows in their table. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from adapters.stores.postgres.connections import Connection
from adapters.stores.postgres.text import clean, like, plain
from engine.hashed import hashed
from engine.storing import Cursor, LogFilter, LogPage, SpendRow, StoreError

FIELDS = SpendRow._fields
LISTED = ", ".join("'{}'" if name == "payload" else f'"{name}"' for name in FIELDS)
WHOLE = ", ".join(f'"{name}"' for name in FIELDS)
CONDITIONS = {
    "first": "start_time >= {0}",
    "last": "start_time <= {0}",
    "min_spend": "spend >= {0}",
    "max_spend": "spend <= {0}",
}
BEGINNING = 40
"""Characters of the columns that are in an index by their beginning."""
BY_BEGINNING = frozenset(["user", "team_id", "end_user"])
INDEXED = BY_BEGINNING | {"api_key"}
"""Columns whose index holds what is not empty."""
LARGEST_PAGE = 1000
KNOWN = 4096
"""Tags remembered as they are stored."""
TEXTS = tuple(at for at, name in enumerate(FIELDS) if isinstance(SpendRow("", 0.0)[at], str))
_texts = operator.itemgetter(*TEXTS)
_TAGS = FIELDS.index("request_tags")


async def insert(connection: Connection, rows: Iterable[SpendRow]) -> None:
    """Write rows as `cleaned` gives them."""
    records = [(*row[:_TAGS], _tags(row[_TAGS]), *row[_TAGS + 1 :]) for row in rows]
    if records:
        await connection.copy_records_to_table("spend_logs", records=records, columns=FIELDS)


def cleaned(row: SpendRow) -> SpendRow:
    """Return a row whose texts the database takes, its key hashed."""
    every = "".join([*_texts(row), *row.request_tags])
    if not every.isascii() or "\0" in every:
        row = SpendRow._make(clean(value) if isinstance(value, str) else value for value in row)
        row = row._replace(request_tags=tuple(map(clean, row.request_tags)))
    key = hashed(row.api_key)
    return row if key == row.api_key else row._replace(api_key=key)


@functools.lru_cache(maxsize=KNOWN)
def _tags(tags: tuple[str, ...]) -> str:
    """Return the tags that count, each once, as they are stored."""
    return json.dumps(list(dict.fromkeys(filter(None, tags))))


async def logs(connection: Connection, which: LogFilter, size: int, after: Cursor | None) -> LogPage:
    """Return a page of rows, newest first; raises StoreError for one that cannot be."""
    if not 1 <= size <= LARGEST_PAGE:
        raise StoreError(f"a page of {size} rows; 1 to {LARGEST_PAGE} are possible")
    conditions, values = ["TRUE"], list[Any]()
    for name, value in zip(which._fields, which, strict=True):
        if value is not None:
            values.append(clean(value) if isinstance(value, str) else value)
            conditions.append(_condition(name, f"${len(values)}", value))
    if after is not None:
        values += after
        conditions.append(f"(start_time, number) < (${len(values) - 1}, ${len(values)})")
    rows = await connection.fetch(
        f"SELECT number, {LISTED} FROM spend_logs WHERE {' AND '.join(conditions)} "  # noqa: S608  # own names
        f"ORDER BY start_time DESC, number DESC LIMIT {size + 1:d}",
        *values,
    )
    found = [_row(row[1:]) for row in rows[:size]]
    return LogPage(found, Cursor(found[-1].start_time, rows[size - 1][0]) if len(rows) > size else None)


def _condition(name: str, place: str, value: Any) -> str:
    """Ask a column for a value; where there is an index, so that the planner sees that it will do."""
    if name in CONDITIONS:
        return CONDITIONS[name].format(place)
    condition = like(name, place, value, BEGINNING) if name in BY_BEGINNING else f'"{name}" = {place}'
    return f"{condition} AND \"{name}\" <> ''" if name in INDEXED and value else condition


async def log(connection: Connection, request_id: str) -> list[SpendRow]:
    """Return the rows of a request with all they hold."""
    rows = await connection.fetch(
        f"SELECT {WHOLE} FROM spend_logs WHERE request_id = $1 ORDER BY number",  # noqa: S608  # own names
        clean(request_id),
    )
    return [_row(row) for row in rows]


def _row(row: Sequence[Any]) -> SpendRow:
    found = SpendRow._make(plain(value) if isinstance(value, str) else value for value in row)
    return found._replace(request_tags=tuple(map(plain, json.loads(str(found.request_tags)))))
