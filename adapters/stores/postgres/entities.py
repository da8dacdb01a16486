"""Entities in their table. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from adapters.stores.postgres.connections import Connection
from adapters.stores.postgres.text import LONGEST, bounded, clean, like, plain
from engine.storing import ConflictError, Entity, EntityFilter, EntityPage, Kind, Listing, Row, StoreError

FIELDS = Entity._fields
COLUMNS = ", ".join(FIELDS)
KEPT = ", ".join(Row._fields)
SORTED_BY = frozenset(
    ["id", "alias", "user_id", "team_id", "spend", "max_budget", "expires", "created_at", "updated_at"]
)
ONCE = frozenset(["kind", "id", "spend", "created_at"])
"""Columns that a put leaves as they are in an entity that is there."""
PUT = (
    f"INSERT INTO entities (key, {COLUMNS}) VALUES ({', '.join(f'${at}' for at in range(1, len(FIELDS) + 2))}) "  # noqa: S608  # own names
    f"ON CONFLICT (kind, key) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in FIELDS if name not in ONCE)}"
)
ALIASES = 0x696C6B_616C6961
"""The advisory lock of who gives a key an alias: no two gateways may give two keys the same."""
LARGEST_PAGE = 1000
TOGETHER = 5000
"""Entities read at once at most."""


async def refuse_conflicts(connection: Connection, entity: Entity, *, new: bool) -> None:
    """Raise ConflictError as `Store.put` says."""
    if new and await connection.fetchval(
        "SELECT 1 FROM entities WHERE kind = $1 AND key = $2", entity.kind.value, key_of(entity.id)
    ):
        raise _there(entity)
    if entity.kind is Kind.KEY and entity.alias:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ALIASES)
        if await connection.fetchval(
            f"SELECT 1 FROM entities WHERE kind = $1 AND {like('alias', '$2', clean(entity.alias), LONGEST)} AND key <> $3 LIMIT 1",  # noqa: S608  # own names
            Kind.KEY.value, clean(entity.alias), key_of(entity.id),
        ):  # fmt: skip
            raise ConflictError(f"another key has the alias `{entity.alias}`")


async def put(connection: Connection, entity: Entity, *, new: bool = False) -> None:
    """Create or replace, but for `spend` and `created_at`; raises ConflictError when it must be new and is not."""
    values = [clean(value) if isinstance(value, str) else value for value in entity[1:-1]]
    statement = f"{PUT.partition(' ON CONFLICT')[0]} ON CONFLICT DO NOTHING" if new else PUT
    done = await connection.execute(
        statement, key_of(entity.id), entity.kind.value, *values, json.dumps(dict(entity.document))
    )
    # Another gateway may have been faster.
    if new and done.endswith(" 0"):
        raise _there(entity)


async def get(connection: Connection, kind: Kind, entity_id: str) -> Entity | None:
    """Return one."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM entities WHERE kind = $1 AND key = $2",  # noqa: S608  # own names
        kind.value, key_of(entity_id),
    )  # fmt: skip
    return _entity(row) if row else None


async def page(connection: Connection, kind: Kind, after: str) -> tuple[list[Row], str | None]:
    """Return some of a kind as the request path keeps them, behind a key, and the last key; ids that come again share one text."""
    intern = sys.intern
    rows = await connection.fetch(
        f"SELECT key, {KEPT} FROM entities WHERE kind = $1 AND key > $2 ORDER BY key LIMIT $3",  # noqa: S608  # own names
        kind.value, after, TOGETHER,
    )  # fmt: skip
    found = [
        Row(
            plain(entity_id), plain(alias), intern(plain(user)), intern(plain(team)), intern(plain(organization)),
            blocked, expires, document.encode(),
        )
        for _, entity_id, alias, user, team, organization, blocked, expires, document in rows
    ]  # fmt: skip
    return found, rows[-1][0] if len(rows) == TOGETHER else None


async def delete(connection: Connection, kind: Kind, ids: Sequence[str]) -> list[str]:
    """Delete; return the ids that were there."""
    there = {key_of(entity_id): entity_id for entity_id in ids}
    if there:
        await lock(connection, [(kind.value, key) for key in there])
    rows = await connection.fetch(
        "DELETE FROM entities WHERE kind = $1 AND key = ANY($2::text[]) RETURNING key", kind.value, list(there)
    )
    gone = {row[0] for row in rows}
    return [entity_id for key, entity_id in there.items() if key in gone]


async def lock(connection: Connection, keys: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Lock entities by kind and key in their order: two that lock many wait for each other, and not both.

    Return those that are there, in that order.
    """
    kinds, names = map(list, zip(*sorted(keys), strict=True))
    rows = await connection.fetch(
        "SELECT kind, key FROM entities WHERE (kind, key) IN (SELECT * FROM unnest($1::text[], $2::text[])) "
        "ORDER BY kind, key FOR UPDATE",
        kinds, names,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


async def block(connection: Connection, kind: Kind, entity_id: str, at: float, *, blocked: bool) -> Entity | None:
    """Block or unblock; return it as it is then."""
    row = await connection.fetchrow(
        f"UPDATE entities SET blocked = $3, updated_at = $4 WHERE kind = $1 AND key = $2 RETURNING {COLUMNS}",  # noqa: S608  # own names
        kind.value, key_of(entity_id), blocked, at,
    )  # fmt: skip
    return _entity(row) if row else None


async def set_spend(connection: Connection, kind: Kind, entity_id: str, spend: int) -> int | None:
    """Set what one has spent; return what it had been."""
    had = await connection.fetchval(
        "SELECT spend FROM entities WHERE kind = $1 AND key = $2 FOR UPDATE", kind.value, key_of(entity_id)
    )
    if had is None:
        return None
    await connection.execute(
        "UPDATE entities SET spend = $3 WHERE kind = $1 AND key = $2", kind.value, key_of(entity_id), spend
    )
    return int(had)


async def listing(connection: Connection, kind: Kind, which: EntityFilter, page: EntityPage) -> Listing:
    """Return a page; raises StoreError for one that cannot be."""
    if page.sort_by not in SORTED_BY or page.page < 1 or not 1 <= page.size <= LARGEST_PAGE:
        raise StoreError(f"no such page: {page}")
    wanted = [(name, value) for name, value in zip(which._fields, which, strict=True) if value is not None]
    values: list[Any] = [kind.value]
    where = "kind = $1"
    for name, value in wanted:
        stored: Any = clean(value) if isinstance(value, str) else value
        values.append(bounded(stored) if name == "id" else stored)
        where += f" AND {_condition(name, f'${len(values)}', stored)}"
    total = await connection.fetchval(f"SELECT count(*) FROM entities WHERE {where}", *values)  # noqa: S608  # own names
    order = "DESC NULLS LAST" if page.descending else "ASC NULLS FIRST"
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM entities WHERE {where} ORDER BY {page.sort_by} {order}, id {order} "  # noqa: S608  # own names
        f"LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}",
        *values, page.size, (page.page - 1) * page.size,
    )  # fmt: skip
    return Listing([_entity(row) for row in rows], total)


def _condition(name: str, place: str, value: Any) -> str:
    if name == "id":
        return f"key = {place}"
    return f"{name} = {place}" if name == "blocked" else like(name, place, value, LONGEST)


def _there(entity: Entity) -> ConflictError:
    return ConflictError(f"there is a {entity.kind} of this id already")


def key_of(entity_id: str) -> str:
    """Return what stands for an id in the table's key."""
    return bounded(clean(entity_id))


def _entity(row: Sequence[Any]) -> Entity:
    found = Entity._make(plain(value) if isinstance(value, str) else value for value in row)
    return found._replace(kind=Kind(found.kind), document=json.loads(row[-1]))
