"""Spend rows and their daily sums. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapters.stores.sqlite.entities import HASH
from adapters.stores.sqlite.text import clean
from engine.storing import Cursor, Kind, LogFilter, LogPage, Rollup, Scope, SpendRow, StoreError, UsageQuery

FIELDS = SpendRow._fields
INSERT = f"INSERT INTO spend_logs ({', '.join(FIELDS)}) VALUES ({', '.join('?' * len(FIELDS))})"  # noqa: S608  # own names
LISTED = ", ".join("'{}'" if name == "payload" else name for name in FIELDS)
SUMS = ("requests", "failed", "input_tokens", "output_tokens", "spend")
SUMMED = ", ".join(f"sum({name})" for name in SUMS)
ADD = (
    "INSERT INTO rollups (scope, value, day, requests, failed, input_tokens, output_tokens, spend) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, day, value) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
)
SPENT = "UPDATE entities SET spend = spend + ? WHERE kind = ? AND id = ?"
KINDS = {
    Scope.KEY: Kind.KEY,
    Scope.USER: Kind.USER,
    Scope.TEAM: Kind.TEAM,
    Scope.ORG: Kind.ORGANIZATION,
    Scope.END_USER: Kind.CUSTOMER,
}
"""The entities that spend is added to."""
BOUNDS = {"first": "start_time >= ?", "last": "start_time <= ?", "min_spend": "spend >= ?", "max_spend": "spend <= ?"}
LARGEST_PAGE = 1000
ALL = ""
"""The value of a day's sum over all values of a scope, kept so that a day costs one row however many callers it has."""

Sums = dict[tuple[str, str, str], list[int]]


def add(connection: sqlite3.Connection, rows: Sequence[SpendRow]) -> None:
    """Write rows and add them to the sums and to what the entities have spent."""
    written = [_cleaned(row) for row in rows]
    connection.executemany(INSERT, map(_values, written))
    sums = _summed(written)
    connection.executemany(ADD, ((*where, *amounts) for where, amounts in sums.items()))
    spent = ((amounts[-1], KINDS[Scope(scope)], value) for (scope, value, _), amounts in sums.items() if scope in KINDS)
    connection.executemany(SPENT, ((amount, kind.value, value) for amount, kind, value in spent if amount and value))


def _cleaned(row: SpendRow) -> SpendRow:
    """Return a row as it is stored: a key that is not hashed is, so that no mistake elsewhere stores a secret."""
    key = row.api_key
    if key and not HASH.fullmatch(key):
        row = row._replace(api_key=hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest())
    tags = tuple(dict.fromkeys(clean(tag) for tag in row.request_tags if tag))
    row = row._replace(request_tags=tags)
    return SpendRow._make(clean(value) if isinstance(value, str) else value for value in row)


def _values(row: SpendRow) -> tuple[Any, ...]:
    return tuple(json.dumps(value) if isinstance(value, tuple) else value for value in row)


def _summed(rows: Iterable[SpendRow]) -> Sums:
    sums: Sums = {}
    for row in rows:
        day = _day(int(row.start_time // 86400))
        amounts = (1, int(row.status == "failure"), row.prompt_tokens, row.completion_tokens, row.spend)
        for scope, value in _scopes(row):
            if value:
                known = sums.setdefault((scope.value, value, day), [0, 0, 0, 0, 0])
                _grow(known, amounts)
    for (name, _, day), known in list(sums.items()):
        _grow(sums.setdefault((name, ALL, day), [0, 0, 0, 0, 0]), known)
    return sums


def _grow(sums: list[int], amounts: Sequence[int]) -> None:
    for index, amount in enumerate(amounts):
        sums[index] += amount


def _scopes(row: SpendRow) -> Iterator[tuple[Scope, str]]:
    yield Scope.KEY, row.api_key
    yield Scope.USER, row.user
    yield Scope.TEAM, row.team_id
    yield Scope.ORG, row.organization_id
    yield Scope.END_USER, row.end_user
    yield Scope.MODEL, row.model
    yield Scope.PROVIDER, row.custom_llm_provider
    for tag in row.request_tags:
        yield Scope.TAG, tag


@functools.lru_cache(maxsize=64)
def _day(number: int) -> str:
    """Write a day counted from 1970-01-01."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=number)).isoformat()


def usage(connection: sqlite3.Connection, query: UsageQuery) -> list[Rollup]:
    """Return sums of rollups as the query says."""
    day, value, end = {
        "both": ("day", "value", "GROUP BY day, value ORDER BY day, value"),
        "day": ("day", "''", "GROUP BY day ORDER BY day"),
        "value": ("''", "value", "GROUP BY value ORDER BY sum(spend) DESC, value"),
    }[query.by]
    values = [clean(one) for one in query.values]
    among = f"AND value IN ({', '.join('?' * len(values))})" if values else "AND value != ''"
    if query.by == "day" and not values:
        among = f"AND value = '{ALL}'"
    source = "rollups INDEXED BY rollups_value" if values else "rollups"
    rows = connection.execute(
        f"SELECT {day}, {value}, {SUMMED} FROM {source} WHERE scope = ? AND day BETWEEN ? AND ? {among} {end} LIMIT ?",  # noqa: S608  # own names
        [query.scope.value, query.first, query.last, *values, query.limit],
    )
    return [Rollup(*row) for row in rows]


def totals(connection: sqlite3.Connection, scope: Scope) -> dict[str, Rollup]:
    """Return the sum over all days of every value."""
    rows = connection.execute(
        f"SELECT '', value, {SUMMED} FROM rollups WHERE scope = ? AND value != '' GROUP BY value",  # noqa: S608  # own names
        (scope.value,),
    )
    return {row[1]: Rollup(*row) for row in rows}


def logs(connection: sqlite3.Connection, which: LogFilter, size: int, after: Cursor | None) -> LogPage:
    """Return a page of rows, newest first; raises StoreError for one that cannot be."""
    if not 1 <= size <= LARGEST_PAGE:
        raise StoreError(f"a page of {size} rows; 1 to {LARGEST_PAGE} are possible")
    conditions, values = ["1"], list[Any]()
    for name, value in zip(which._fields, which, strict=True):
        if value is not None:
            conditions.append(BOUNDS.get(name, f"{name} = ?"))
            values.append(clean(value) if isinstance(value, str) else value)
    if after is not None:
        conditions.append("(start_time, number) < (?, ?)")
        values += after
    rows = connection.execute(
        f"SELECT number, {LISTED} FROM spend_logs WHERE {' AND '.join(conditions)} "  # noqa: S608  # own names
        "ORDER BY start_time DESC, number DESC LIMIT ?",
        [*values, size + 1],
    ).fetchall()
    more = len(rows) > size
    found = [_row(row[1:]) for row in rows[:size]]
    return LogPage(found, Cursor(found[-1].start_time, rows[size - 1][0]) if more else None)


def log(connection: sqlite3.Connection, request_id: str) -> list[SpendRow]:
    """Return the rows of a request with all they hold."""
    rows = connection.execute(
        f"SELECT {', '.join(FIELDS)} FROM spend_logs WHERE request_id = ? ORDER BY number",  # noqa: S608  # own names
        (clean(request_id),),
    )
    return [_row(row) for row in rows]


def _row(row: Sequence[Any]) -> SpendRow:
    found = SpendRow(*row)
    return found._replace(request_tags=tuple(json.loads(str(found.request_tags))))
