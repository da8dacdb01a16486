"""Spend by day, and by whose or what it was. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

import datetime as dt
import functools
import operator
import sqlite3
from collections.abc import Iterator, Sequence

from adapters.stores.sqlite import many, rows
from adapters.stores.sqlite.text import clean
from engine.storing import Kind, Rollup, Scope, SpendRow, UsageQuery

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
ALL = ""
"""The value of a day's sum over all values of a scope, kept so that a day costs one row however many callers it has."""

CALLED = {
    Scope.KEY: "api_key",
    Scope.USER: "user",
    Scope.TEAM: "team_id",
    Scope.ORG: "organization_id",
    Scope.MODEL: "model",
    Scope.PROVIDER: "custom_llm_provider",
}
"""The scopes whose values a caller's calls to a model have in common."""
NUMBER, TAGS, START, STATUS, END_USER, INPUT, OUTPUT, SPEND = map(
    rows.COLUMNS.index,
    ("caller", "request_tags", "start_time", "status", "end_user", "prompt_tokens", "completion_tokens", "spend"),
)

Sums = dict[tuple[str, str, str], list[int]]
_called = operator.itemgetter(*map(rows.CALLER.index, CALLED.values()))


def add(connection: sqlite3.Connection, given: Sequence[SpendRow]) -> None:
    """Write rows and add them to the sums and to what the entities have spent; raises as `rows.insert`."""
    sums = _summed(*rows.insert(connection, given))
    many.run(connection, ADD, [(*where, *amounts) for where, amounts in sums.items()])
    spent: dict[tuple[str, str], int] = {}
    for (scope, value, _), amounts in sums.items():
        if value and amounts[-1] and scope in KINDS:
            entity = KINDS[Scope(scope)].value, value
            spent[entity] = spent.get(entity, 0) + amounts[-1]
    many.run(connection, SPENT, [(*entity, amount) for entity, amount in spent.items()])


def _summed(written: Sequence[rows.Stored], callers: rows.Callers) -> Sums:
    """Sum by caller first, for those sums are few, and then by scope."""
    groups: dict[tuple[float, int], list[int]] = {}
    sums: Sums = {}
    for row in written:
        day = row[START] // 86400
        known = groups.get((day, row[NUMBER]))
        if known is None:
            groups[day, row[NUMBER]] = known = [0, 0, 0, 0, 0]
        known[0] += 1
        known[1] += row[STATUS] == "failure"
        known[2] += row[INPUT]
        known[3] += row[OUTPUT]
        known[4] += row[SPEND]
        if row[END_USER] or row[TAGS] != rows.NO_TAGS:
            amounts = (1, int(row[STATUS] == "failure"), row[INPUT], row[OUTPUT], row[SPEND])
            for scope, value in _own(row):
                _grow(sums.setdefault((scope.value, value, _day(int(day))), [0, 0, 0, 0, 0]), amounts)
    for (day, number), known in groups.items():
        for scope, value in zip(CALLED, _called(callers.by_number[number]), strict=True):
            if value:
                _grow(sums.setdefault((scope.value, value, _day(int(day))), [0, 0, 0, 0, 0]), known)
    for (name, _, date), known in list(sums.items()):
        _grow(sums.setdefault((name, ALL, date), [0, 0, 0, 0, 0]), known)
    return sums


def _own(row: rows.Stored) -> Iterator[tuple[Scope, str]]:
    if row[END_USER]:
        yield Scope.END_USER, row[END_USER]
    for tag in rows.each(row[TAGS]):
        yield Scope.TAG, tag


def _grow(sums: list[int], amounts: Sequence[int]) -> None:
    for index, amount in enumerate(amounts):
        sums[index] += amount


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
