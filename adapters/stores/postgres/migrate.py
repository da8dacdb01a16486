"""Brings a database to the newest schema by the numbered files in `migrations`: one gateway at a time, each step whole.

What was released is never edited, only followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import asyncpg

from adapters.stores.postgres.connections import Connection, Connections, Transaction

LOCK = 0x696C6B_6D696772
"""The advisory lock of who migrates."""
OLDEST = 13
"""The first PostgreSQL that makes random names by itself."""
PATIENCE = 600.0
"""Seconds that migrating may take, another gateway's that is waited for too."""
MIGRATING = Transaction(limited=False)


class Migration(NamedTuple):
    """One step, all in one transaction. Its number is its place, from 1."""

    name: str
    statements: str


def migrations() -> tuple[Migration, ...]:
    """Read the steps of this version."""
    folder = resources.files("adapters.stores.postgres") / "migrations"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".sql")), key=lambda one: one.name)
    return tuple(Migration(one.name.removesuffix(".sql")[5:], one.read_text("utf-8")) for one in files)


def migrate(connections: Connections, steps: Sequence[Migration] | None = None) -> None:
    """Apply what is missing; raises StoreError, also for a database of a newer version."""
    wanted = migrations() if steps is None else steps
    connections.run(lambda connection: _check(connections, connection))
    while connections.run(lambda connection: _step(connections, connection, wanted), MIGRATING, PATIENCE):
        pass


async def _check(connections: Connections, connection: Connection) -> None:
    number = int(await connection.fetchval("SHOW server_version_num"))
    if number < OLDEST * 10_000:
        raise connections.error(f"PostgreSQL {number // 10_000} is too old; {OLDEST} or later is needed")
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise connections.error(f"the database is encoded in {encoding}; make one `ENCODING 'UTF8'`")


async def _step(connections: Connections, connection: Connection, steps: Sequence[Migration]) -> bool:
    """Apply the next migration; tells whether there was one. The lock goes with the transaction."""
    if await _version(connections, connection) == len(steps):
        return False
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    version = await _version(connections, connection)
    if version > len(steps):
        raise connections.error(f"it is of version {version}; this program knows {len(steps)}: use the newer program")
    if version == len(steps):
        return False
    try:
        await _apply(connections, connection, version + 1, steps[version])
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        why = connections.said(error)
        raise connections.error(
            f"migration {version + 1} ({steps[version].name}) failed, and changed nothing: {why}"
        ) from error
    return True


async def _apply(connections: Connections, connection: Connection, number: int, migration: Migration) -> None:
    schema = connections.address.schema
    # Whoever may not make schemas may be given one.
    if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
        await connection.execute(f'CREATE SCHEMA "{schema}"')
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version "
        "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
    )
    await connection.execute(migration.statements)
    await connection.execute("INSERT INTO schema_version (number, name) VALUES ($1, $2)", number, migration.name)


async def _version(connections: Connections, connection: Connection) -> int:
    """Return the number of the last migration applied; 0 in a new schema."""
    if not await connection.fetchval(
        "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_version'", connections.address.schema
    ):
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(number), 0) FROM schema_version"))
