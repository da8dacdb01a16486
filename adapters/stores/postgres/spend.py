"""Spend by day, and by whose or what it was. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.stores.postgres import entities, rows
from adapters.stores.postgres.connections import Connection
from adapters.stores.postgres.text import bounded, clean, plain
from engine.rollups import ALL, Sums, spent, summed
from engine.storing import Rollup, Scope, SpendRow, UsageQuery

SUMS = ("requests", "failed", "input_tokens", "output_tokens", "spend")
SUMMED = ", ".join(f"sum({name})::bigint" for name in SUMS)
ADD = (
    f"INSERT INTO rollups AS stored (scope, day, value, whole, {', '.join(SUMS)}) "  # noqa: S608  # own names
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], "
    "$5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) ON CONFLICT (scope, day, value) DO UPDATE SET "
    + ", ".join(f"{name} = stored.{name} + excluded.{name}" for name in SUMS)
)
SPENT = (
    "UPDATE entities SET spend = spend + given.amount "
    "FROM unnest($1::text[], $2::text[], $3::bigint[]) AS given(kind, key, amount) "
    "WHERE entities.kind = given.kind AND entities.key = given.key"
)
VALUE = "coalesce(max(whole), value)"
"""The value of rows that are grouped by it."""


async def add(connection: Connection, given: Sequence[SpendRow]) -> None:
    """Write rows and add them to the sums and to what the entities have spent."""
    if not given:
        return
    taken = [rows.cleaned(row) for row in given]
    await rows.insert(connection, taken)
    sums = summed(taken)
    every = {(kind, bounded(name)): amount for (kind, name), amount in spent(sums).items()}
    there = await entities.lock(connection, every) if every else ()
    if there:
        kinds, keys = map(list, zip(*there, strict=True))
        await connection.execute(SPENT, kinds, keys, [every[one] for one in there])
    if sums:
        await _add_sums(connection, sums)


async def _add_sums(connection: Connection, sums: Sums) -> None:
    order = sorted((scope, day, bounded(value), value, *amounts) for (scope, value, day), amounts in sums.items())
    scopes, days, keys, values, *amounts = map(list, zip(*order, strict=True))
    whole = [value if value != key else None for key, value in zip(keys, values, strict=True)]
    await connection.execute(ADD, scopes, days, keys, whole, *amounts)


async def usage(connection: Connection, query: UsageQuery) -> list[Rollup]:
    """Return sums of rollups as the query says."""
    day, value, end = {
        "both": ("day", VALUE, "GROUP BY day, value ORDER BY day, value"),
        "day": ("day", "''", "GROUP BY day ORDER BY day"),
        "value": ("''", VALUE, "GROUP BY value ORDER BY sum(spend) DESC, value"),
    }[query.by]
    asked: list[Any] = [query.scope.value, query.first, query.last, query.limit]
    if query.values:
        among = "value = ANY($5::text[])"
        asked.append([bounded(clean(one)) for one in query.values])
    else:
        among = f"value = '{ALL}'" if query.by == "day" else "value <> ''"
    found = await connection.fetch(
        f"SELECT {day}, {value}, {SUMMED} FROM rollups WHERE scope = $1 AND day BETWEEN $2 AND $3 AND {among} {end} LIMIT $4",  # noqa: S608  # own names
        *asked,
    )
    return [Rollup(row[0], plain(row[1]), *row[2:]) for row in found]


async def totals(connection: Connection, scope: Scope) -> dict[str, Rollup]:
    """Return the sum over all days of every value."""
    found = await connection.fetch(
        f"SELECT {VALUE}, {SUMMED} FROM rollups WHERE scope = $1 AND value <> '' GROUP BY value",  # noqa: S608  # own names
        scope.value,
    )
    return {(value := plain(row[0])): Rollup("", value, *row[1:]) for row in found}
