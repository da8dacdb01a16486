"""Spend by day, and by whose or what it was. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from adapters.stores.sqlite import many, rows
from adapters.stores.sqlite.text import clean
from engine.rollups import ALL, spent, summed
from engine.storing import Rollup, Scope, SpendRow, UsageQuery

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


def add(connection: sqlite3.Connection, given: Sequence[SpendRow]) -> None:
    """Write rows and add them to the sums and to what the entities have spent; raises as `rows.insert`."""
    rows.insert(connection, given)
    sums = summed(given)
    many.run(connection, ADD, [(*where, *amounts) for where, amounts in sums.items()])
    many.run(connection, SPENT, [(*entity, amount) for entity, amount in spent(sums).items()])


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
