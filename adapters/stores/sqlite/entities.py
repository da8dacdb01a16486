"""Entities in their table. Names of columns are this file's own; what comes from outside is a parameter."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from adapters.stores.sqlite.text import clean
from engine.storing import ConflictError, Entity, EntityFilter, EntityPage, Kind, Listing, Row, StoreError

COLUMNS = ", ".join(Entity._fields)
KEPT = ", ".join(Row._fields).replace("document", "CAST(document AS BLOB)")
SORTED_BY = frozenset(
    ["id", "alias", "user_id", "team_id", "spend", "max_budget", "expires", "created_at", "updated_at"]
)
REPLACED = (
    "alias",
    "user_id",
    "team_id",
    "organization_id",
    "blocked",
    "max_budget",
    "expires",
    "updated_at",
    "document",
)
"""Columns that a put writes in an entity that is there."""
PUT = (
    f"INSERT INTO entities ({COLUMNS}) VALUES ({', '.join('?' * len(Entity._fields))}) "  # noqa: S608  # own names
    f"ON CONFLICT (kind, id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in REPLACED)}"
)
LARGEST_PAGE = 1000


def refuse_conflicts(connection: sqlite3.Connection, entity: Entity, *, new: bool) -> None:
    """Raise ConflictError as `Store.put` says."""
    if new and get(connection, entity.kind, entity.id):
        raise ConflictError(f"there is a {entity.kind} of this id already")
    if entity.kind is Kind.KEY and entity.alias:
        other = connection.execute(
            "SELECT 1 FROM entities WHERE kind = ? AND alias = ? AND id != ?",
            (Kind.KEY.value, clean(entity.alias), entity.id),
        ).fetchone()
        if other:
            raise ConflictError(f"another key has the alias `{entity.alias}`")


def put(connection: sqlite3.Connection, entity: Entity) -> None:
    """Create or replace, but for `spend` and `created_at`."""
    written = entity._replace(kind=entity.kind.value, document=json.dumps(dict(entity.document)))  # type: ignore[arg-type]  # the columns' values
    connection.execute(PUT, [clean(value) if isinstance(value, str) else value for value in written])


def get(connection: sqlite3.Connection, kind: Kind, entity_id: str) -> Entity | None:
    """Return one."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM entities WHERE kind = ? AND id = ?",  # noqa: S608  # own names
        (kind.value, clean(entity_id)),
    ).fetchone()
    return _entity(row) if row else None


def rows(connection: sqlite3.Connection, kind: Kind) -> Iterator[Row]:
    """Give all of a kind as the request path keeps them; ids that come again share one text."""
    intern = sys.intern
    found = connection.execute(f"SELECT {KEPT} FROM entities WHERE kind = ?", (kind.value,))  # noqa: S608  # own names
    for entity_id, alias, user, team, organization, blocked, expires, document in found:
        yield Row(
            entity_id, alias, intern(user), intern(team), intern(organization), bool(blocked), expires, document
        )  # fmt: skip


def delete(connection: sqlite3.Connection, kind: Kind, ids: Sequence[str]) -> list[str]:
    """Delete; return the ids that were there."""
    gone = []
    for entity_id in ids:
        done = connection.execute("DELETE FROM entities WHERE kind = ? AND id = ?", (kind.value, clean(entity_id)))
        gone += [entity_id] * done.rowcount
    return gone


def listing(connection: sqlite3.Connection, kind: Kind, which: EntityFilter, page: EntityPage) -> Listing:
    """Return a page; raises StoreError for one that cannot be."""
    if page.sort_by not in SORTED_BY or page.page < 1 or not 1 <= page.size <= LARGEST_PAGE:
        raise StoreError(f"no such page: {page}")
    wanted = [(name, value) for name, value in zip(which._fields, which, strict=True) if value is not None]
    where = " AND ".join(["kind = ?", *(f"{name} = ?" for name, _ in wanted)])
    values = [kind.value, *(clean(value) if isinstance(value, str) else value for _, value in wanted)]
    total = connection.execute(f"SELECT count(*) FROM entities WHERE {where}", values).fetchone()[0]  # noqa: S608  # own names
    order = "DESC" if page.descending else "ASC"
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM entities WHERE {where} ORDER BY {page.sort_by} {order}, id {order} LIMIT ? OFFSET ?",  # noqa: S608  # own names
        [*values, page.size, (page.page - 1) * page.size],
    )
    return Listing([_entity(row) for row in rows], total)


def _entity(row: Sequence[Any]) -> Entity:
    found = Entity(*row)
    return found._replace(kind=Kind(found.kind), blocked=bool(found.blocked), document=json.loads(row[-1]))
