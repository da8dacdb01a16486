"""Spend rows in their table, and in another, once, what the rows of a caller's calls to a model have in common.

That is most of a row's bytes, and one index on it does for those on key, user and team.
"""

from __future__ import annotations

import functools
import heapq
import json
import math
import operator
import sqlite3
from collections.abc import Sequence
from typing import Any

from adapters.stores.sqlite import many
from adapters.stores.sqlite.text import clean
from engine.hashed import hashed
from engine.storing import Cursor, LogFilter, LogPage, SpendRow, StoreError

FIELDS = SpendRow._fields
CALLER = (
    "api_key", "user", "team_id", "organization_id", "call_type", "model", "model_id", "model_group",
    "custom_llm_provider", "api_base",
)  # fmt: skip
"""What a caller's calls to a model have in common."""
OWN = tuple(name for name in FIELDS if name not in {*CALLER, "request_tags"})
COLUMNS = ("caller", "request_tags", *OWN)
INSERT = f"INSERT INTO spend_logs ({', '.join(COLUMNS)}) VALUES {{}}"  # noqa: S608  # own names
PLACES = ", ".join("?" * len(CALLER))
FIND = f"SELECT number FROM callers WHERE ({', '.join(CALLER)}) = ({PLACES})"  # noqa: S608  # own names
MEET = f"INSERT INTO callers ({', '.join(CALLER)}) VALUES ({PLACES}) RETURNING number"  # noqa: S608  # own names
JOINED = "spend_logs CROSS JOIN callers ON callers.number = spend_logs.caller"
LISTED = ", ".join("'{}'" if name == "payload" else name for name in FIELDS)
ORDER = "ORDER BY start_time DESC, spend_logs.number DESC"
NEWEST = (
    "SELECT start_time, spend_logs.number FROM spend_logs WHERE caller = ? AND start_time >= ? AND {own} "  # noqa: S608  # own names
    f"{ORDER} LIMIT ?"
)
CONDITIONS = {
    "first": "start_time >= ?",
    "last": "start_time <= ?",
    "min_spend": "spend >= ?",
    "max_spend": "spend <= ?",
    # Its index holds twelve characters; without the `+` SQLite would put the value for the column in both.
    "request_id": "substr(request_id, -12) = substr(?, -12) AND +request_id = ?",
}
LARGEST_PAGE = 1000
MANY = 2000
"""Callers whose rows are looked for one after the other; those of more are looked for among the newest of all."""
KNOWN = 4096
"""Tags remembered as they are stored."""
_caller = operator.itemgetter(*map(FIELDS.index, CALLER))
_own = operator.itemgetter(*map(FIELDS.index, OWN))
_TAGS = FIELDS.index("request_tags")


class Callers(dict[tuple[str, ...], int]):
    """Numbers of the callers of one batch."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, caller: tuple[str, ...]) -> int:
        values = (hashed(caller[0]), *caller[1:])
        found = self._connection.execute(FIND, values).fetchone() or self._connection.execute(MEET, values).fetchone()
        self[caller] = number = int(found[0])
        return number


def insert(connection: sqlite3.Connection, rows: Sequence[SpendRow]) -> None:
    """Write rows.

    Raises UnicodeEncodeError for half characters; they are too rare to be looked for: see `cleaned`.
    """
    callers = Callers(connection)
    many.run(connection, INSERT, [(callers[_caller(row)], _tags(row[_TAGS]), *_own(row)) for row in rows])


def cleaned(row: SpendRow) -> SpendRow:
    """Return a row whose texts the database takes."""
    found = SpendRow._make(clean(value) if isinstance(value, str) else value for value in row)
    return found._replace(api_key=hashed(row.api_key), request_tags=tuple(map(clean, row.request_tags)))


@functools.lru_cache(maxsize=KNOWN)
def _tags(tags: tuple[str, ...]) -> str:
    """Return the tags that count, each once, as they are stored."""
    return json.dumps(list(dict.fromkeys(filter(None, tags))))


@functools.lru_cache(maxsize=KNOWN)
def each(tags: str) -> tuple[str, ...]:
    """Return stored tags one by one."""
    return tuple(json.loads(tags))


def logs(connection: sqlite3.Connection, which: LogFilter, size: int, after: Cursor | None) -> LogPage:
    """Return a page of rows, newest first; raises StoreError for one that cannot be."""
    if not 1 <= size <= LARGEST_PAGE:
        raise StoreError(f"a page of {size} rows; 1 to {LARGEST_PAGE} are possible")
    wanted = {name: value for name, value in zip(which._fields, which, strict=True) if value is not None}
    callers, of_callers = _conditions({name: value for name, value in wanted.items() if name in CALLER})
    own, own_values = _conditions({name: value for name, value in wanted.items() if name not in CALLER})
    if after is not None:
        own, own_values = f"{own} AND (start_time, spend_logs.number) < (?, ?)", [*own_values, *after]
    where, values = f"{callers} AND {own}", [*of_callers, *own_values]
    if of_callers and (few := _few(connection, callers, of_callers)) is not None:
        values = _newest(connection, few, (own, own_values), size + 1)
        where = f"spend_logs.number IN ({', '.join('?' * len(values))})"
    rows = connection.execute(
        f"SELECT spend_logs.number, {LISTED} FROM {JOINED} WHERE {where} {ORDER} LIMIT ?",  # noqa: S608  # own names
        [*values, size + 1],
    ).fetchall()
    more = len(rows) > size
    found = [_row(row[1:]) for row in rows[:size]]
    return LogPage(found, Cursor(found[-1].start_time, rows[size - 1][0]) if more else None)


def _conditions(wanted: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return what is asked of columns, and the values of its places."""
    conditions, values = ["1"], list[Any]()
    for name, value in wanted.items():
        condition = CONDITIONS.get(name, f"{name} = ?")
        conditions.append(f"{condition} AND end_user != ''" if name == "end_user" and value else condition)
        values += [clean(value) if isinstance(value, str) else value] * condition.count("?")
    return " AND ".join(conditions), values


def _few(connection: sqlite3.Connection, callers: str, values: list[Any]) -> list[int] | None:
    """Return the numbers of callers, None when there are many."""
    found = connection.execute(f"SELECT number FROM callers WHERE {callers} LIMIT ?", [*values, MANY + 1]).fetchall()  # noqa: S608  # own names
    return [number for (number,) in found] if len(found) <= MANY else None


def _newest(connection: sqlite3.Connection, callers: Sequence[int], own: tuple[str, list[Any]], size: int) -> list[int]:
    """Return the numbers of the newest rows of callers; each is asked for what is newer than was found before it."""
    condition, values = own
    found: list[tuple[float, int]] = []
    for caller in callers:
        floor = found[0][0] if len(found) == size else -math.inf
        for row in connection.execute(NEWEST.format(own=condition), [caller, floor, *values, size]):
            if len(found) < size:
                heapq.heappush(found, row)
            else:
                heapq.heappushpop(found, row)
    return [number for _, number in found]


def log(connection: sqlite3.Connection, request_id: str) -> list[SpendRow]:
    """Return the rows of a request with all they hold."""
    rows = connection.execute(
        f"SELECT {', '.join(FIELDS)} FROM {JOINED} WHERE {CONDITIONS['request_id']} ORDER BY spend_logs.number",  # noqa: S608  # own names
        [clean(request_id)] * 2,
    )
    return [_row(row) for row in rows]


def _row(row: Sequence[Any]) -> SpendRow:
    found = SpendRow(*row)
    return found._replace(request_tags=each(str(found.request_tags)))
