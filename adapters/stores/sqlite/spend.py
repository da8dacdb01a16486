"""Spend rows and their daily sums. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import operator
import sqlite3
from collections.abc import Sequence
from typing import Any

from adapters.stores.sqlite import many
from adapters.stores.sqlite.entities import HASH
from adapters.stores.sqlite.text import clean
from engine.storing import Cursor, Kind, LogFilter, LogPage, Rollup, Scope, SpendRow, StoreError, UsageQuery

FIELDS = SpendRow._fields
INSERT = f"INSERT INTO spend_logs ({', '.join(FIELDS)}) VALUES {{}}"  # noqa: S608  # own names
LISTED = ", ".join("'{}'" if name == "payload" else name for name in FIELDS)
SUMS = ("requests", "failed", "input_tokens", "output_tokens", "spend")
SUMMED = ", ".join(f"sum({name})" for name in SUMS)
ADD = (
    "INSERT INTO rollups (scope, value, day, requests, failed, input_tokens, output_tokens, spend) "
    "VALUES {} ON CONFLICT (scope, day, value) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
)
SPENT = (
    "UPDATE entities SET spend = spend + given.column3 FROM (VALUES {}) AS given "
    "WHERE kind = given.column1 AND id = given.column2"
)
KINDS = {
    Scope.KEY: Kind.KEY,
    Scope.USER: Kind.USER,
    Scope.TEAM: Kind.TEAM,
    Scope.ORG: Kind.ORGANIZATION,
    Scope.END_USER: Kind.CUSTOMER,
}
"""The entities that spend is added to."""
CONDITIONS = {
    "first": "start_time >= ?",
    "last": "start_time <= ?",
    "min_spend": "spend >= ?",
    "max_spend": "spend <= ?",
    # Their indexes hold twelve characters of these; without the `+` SQLite would put the value for the column in both.
    "api_key": "substr(api_key, -12) = substr(?, -12) AND +api_key = ?",
    "request_id": "substr(request_id, -12) = substr(?, -12) AND +request_id = ?",
}
SPARSE = frozenset(["user", "team_id", "end_user"])
"""Columns whose indexes leave out what is empty."""
LARGEST_PAGE = 1000
ALL = ""
"""The value of a day's sum over all values of a scope, kept so that a day costs one row however many callers it has."""

KNOWN = 4096
"""Keys and tags remembered as they are stored."""
START, STATUS, END_USER, TAGS, SPEND, INPUT, OUTPUT = map(
    FIELDS.index,
    ("start_time", "status", "end_user", "request_tags", "spend", "prompt_tokens", "completion_tokens"),
)
COMMON = operator.itemgetter(
    *map(FIELDS.index, ("api_key", "user", "team_id", "organization_id", "model", "custom_llm_provider"))
)
COMMON_SCOPES = (Scope.KEY, Scope.USER, Scope.TEAM, Scope.ORG, Scope.MODEL, Scope.PROVIDER)
NO_TAGS = "[]"

Sums = dict[tuple[str, str, str], list[int]]
Stored = tuple[Any, ...]
"""A row's values in the database."""


def add(connection: sqlite3.Connection, rows: Sequence[SpendRow]) -> None:
    """Write rows and add them to the sums and to what the entities have spent.

    Raises UnicodeEncodeError for half characters; they are too rare to be looked for: see `cleaned`.
    """
    written = [_stored(row) for row in rows]
    many.run(connection, INSERT, written)
    sums = _summed(written)
    many.run(connection, ADD, [(*where, *amounts) for where, amounts in sums.items()])
    spent: dict[tuple[str, str], int] = {}
    for (scope, value, _), amounts in sums.items():
        if value and amounts[-1] and scope in KINDS:
            entity = KINDS[Scope(scope)].value, value
            spent[entity] = spent.get(entity, 0) + amounts[-1]
    many.run(connection, SPENT, [(*entity, amount) for entity, amount in spent.items()])


def cleaned(row: SpendRow) -> SpendRow:
    """Return a row whose texts the database takes."""
    found = SpendRow._make(clean(value) if isinstance(value, str) else value for value in row)
    return found._replace(api_key=_key(row.api_key), request_tags=tuple(map(clean, row.request_tags)))


def _stored(row: SpendRow) -> Stored:
    key = _key(row.api_key)
    if key != row.api_key:
        row = row._replace(api_key=key)
    return row[:TAGS] + (_tags(row.request_tags),) + row[TAGS + 1 :]  # noqa: RUF005 - half the time


@functools.lru_cache(maxsize=KNOWN)
def _key(key: str) -> str:
    """Return a key's hash: one that is not hashed is, so that no mistake elsewhere stores a secret."""
    if not key or HASH.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


@functools.lru_cache(maxsize=KNOWN)
def _tags(tags: tuple[str, ...]) -> str:
    """Return the tags that count, each once, as they are stored."""
    return json.dumps(list(dict.fromkeys(filter(None, tags))))


@functools.lru_cache(maxsize=KNOWN)
def _each(tags: str) -> tuple[str, ...]:
    """Return stored tags one by one."""
    return tuple(json.loads(tags))


def _summed(written: Sequence[Stored]) -> Sums:
    """Sum by what rows have in common first, for those sums are few, and then by scope."""
    groups: dict[tuple[float, Stored], list[int]] = {}
    sums: Sums = {}
    for row in written:
        day = row[START] // 86400
        amounts = (1, int(row[STATUS] == "failure"), row[INPUT], row[OUTPUT], row[SPEND])
        _grow(groups.setdefault((day, COMMON(row)), [0, 0, 0, 0, 0]), amounts)
        own = [(Scope.END_USER, row[END_USER])] if row[END_USER] else []
        if row[TAGS] != NO_TAGS:
            own += [(Scope.TAG, tag) for tag in _each(row[TAGS])]
        for scope, value in own:
            _grow(sums.setdefault((scope.value, value, _day(int(day))), [0, 0, 0, 0, 0]), amounts)
    for (day, values), known in groups.items():
        for scope, value in zip(COMMON_SCOPES, values, strict=True):
            if value:
                _grow(sums.setdefault((scope.value, value, _day(int(day))), [0, 0, 0, 0, 0]), known)
    for (name, _, date), known in list(sums.items()):
        _grow(sums.setdefault((name, ALL, date), [0, 0, 0, 0, 0]), known)
    return sums


def _grow(sums: list[int], amounts: Sequence[int]) -> None:
    sums[0] += amounts[0]
    sums[1] += amounts[1]
    sums[2] += amounts[2]
    sums[3] += amounts[3]
    sums[4] += amounts[4]


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
            conditions.append(_condition(name, value))
            values += [clean(value) if isinstance(value, str) else value] * conditions[-1].count("?")
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


def _condition(name: str, value: object) -> str:
    condition = CONDITIONS.get(name, f"{name} = ?")
    return f"{condition} AND {name} != ''" if name in SPARSE and value else condition


def log(connection: sqlite3.Connection, request_id: str) -> list[SpendRow]:
    """Return the rows of a request with all they hold."""
    rows = connection.execute(
        f"SELECT {', '.join(FIELDS)} FROM spend_logs WHERE {CONDITIONS['request_id']} ORDER BY number",  # noqa: S608  # own names
        [clean(request_id)] * 2,
    )
    return [_row(row) for row in rows]


def _row(row: Sequence[Any]) -> SpendRow:
    found = SpendRow(*row)
    return found._replace(request_tags=_each(str(found.request_tags)))
