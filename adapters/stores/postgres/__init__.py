"""The store `postgres`: a database that several gateways share.

Settings: `url`, and `pool_limit` (connections at once, 10), `pool_timeout` (10), `connect_timeout` (5) and `timeout`
(15), seconds to wait for a connection in use, for a new one, and for a call in all; `pgbouncer` says that a pooler
between gives each transaction another connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from adapters.stores.postgres import amounts, entities, rows, spend
from adapters.stores.postgres.address import Address
from adapters.stores.postgres.changes import Watcher, tell
from adapters.stores.postgres.connections import READING, Connection, Connections, Limits
from adapters.stores.postgres.migrate import PATIENCE, migrate
from engine.hashed import checked
from engine.storing import (
    Amount,
    Batch,
    Cursor,
    Entity,
    EntityFilter,
    EntityPage,
    Gone,
    Kind,
    Listing,
    LogFilter,
    LogPage,
    OpenHold,
    Rollup,
    Row,
    Scope,
    SpendRow,
    UsageQuery,
)

__all__ = ["Postgres"]

REACH = (
    "INSERT INTO positions AS stored VALUES ($1, $2, $3) ON CONFLICT (journal) DO UPDATE "
    "SET segment = excluded.segment, reached = excluded.reached "
    "WHERE (stored.segment, stored.reached) < (excluded.segment, excluded.reached) RETURNING 1"
)
"""Moves a journal's position on and locks it; gives no row where it is not ahead."""


class Postgres:
    """The store `postgres`; any thread may call it but its own.

    A call that fails changed nothing, unless time was up while the database made it last: whoever must know asks.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        address = Address(str(settings["url"]), shared=bool(settings.get("pgbouncer")))
        self._connections = Connections(address, Limits.of(address.limits, settings))
        self._watched = False
        try:
            migrate(self._connections)
            self._identity = str(self._connections.run(_identity, READING))
        except BaseException:
            self._connections.close()
            raise

    def __repr__(self) -> str:
        return f"<Postgres {self._connections.address.shown}>"

    def identity(self) -> str:
        """Return the random name that the database's tables were given when they were made."""
        return self._identity

    def watch(self, on_change: Callable[[Kind, str], None], on_lost: Callable[[], None]) -> None:
        """Tell what entities change, by whatever process, on the store's own thread.

        Behind a pooler (`pgbouncer=true`) nothing is heard, and `on_lost` comes every 30 seconds.
        """
        connections = self._connections
        if self._watched:
            raise connections.error("is watched already")
        watcher = Watcher(connections, self._identity, on_change, on_lost)
        if connections.address.shared:
            connections.start(watcher.run_deaf())
        else:
            heard = connections.wait(watcher.listen(), 2 * connections.limits.connect_timeout)
            connections.start(watcher.run(heard))
        self._watched = True

    def put(self, entity: Entity, *, new: bool = False) -> None:
        """Create or replace an entity, but for its `spend` and `created_at`."""
        checked(entity)

        async def work(connection: Connection) -> None:
            await entities.refuse_conflicts(connection, entity, new=new)
            await entities.put(connection, entity, new=new)
            await tell(connection, [(entity.kind, entity.id)])

        self._connections.run(work)

    def get(self, kind: Kind, entity_id: str) -> Entity | None:
        """Return one entity."""
        return self._connections.run(lambda connection: entities.get(connection, kind, entity_id), READING)

    def entities(self, kind: Kind) -> Iterator[Row]:
        """Give every entity of a kind, some at a time."""
        after: str | None = ""
        while after is not None:
            page, after = self._page(kind, after)
            yield from page

    def _page(self, kind: Kind, after: str) -> tuple[list[Row], str | None]:
        return self._connections.run(lambda connection: entities.page(connection, kind, after), READING)

    def delete(self, kind: Kind, ids: Sequence[str]) -> list[str]:
        """Delete entities; return the ids that were there."""

        async def work(connection: Connection) -> list[str]:
            gone = await entities.delete(connection, kind, ids)
            await tell(connection, [(kind, one) for one in gone])
            return gone

        return self._connections.run(work)

    def block(self, kind: Kind, entity_id: str, at: float, *, blocked: bool = True) -> Entity | None:
        """Block or unblock an entity; return it as it is then."""

        async def work(connection: Connection) -> Entity | None:
            found = await entities.block(connection, kind, entity_id, at, blocked=blocked)
            if found is not None:
                await tell(connection, [(kind, entity_id)])
            return found

        return self._connections.run(work)

    def set_spend(self, kind: Kind, entity_id: str, spend: int) -> int | None:
        """Set what an entity has spent; return what it had been."""

        async def work(connection: Connection) -> int | None:
            had = await entities.set_spend(connection, kind, entity_id, spend)
            if had is not None:
                await tell(connection, [(kind, entity_id)])
            return had

        return self._connections.run(work)

    def position(self, journal: str = "main") -> tuple[int, int]:
        """Return the (segment, offset) up to which a journal is folded."""
        return self._connections.run(_positions, READING).get(journal, (0, 0))

    def fold(self, batch: Batch, journal: str = "main") -> bool:
        """Add what a journal holds up to a position, all or nothing; False when it was there already."""
        for change in batch.changes:
            if isinstance(change, Entity):
                checked(change)
        if tuple(batch.position) <= (0, 0):
            return False
        return self._connections.run(lambda connection: _fold(connection, batch, journal))

    def counts(self, now: int) -> Iterator[Amount]:
        """Return what counts at an instant; what is folded while this is iterated may be in it or not."""
        after = b"", 0
        while page := self._counted(now, after):
            yield from page
            after = page[-1][:2]

    def _counted(self, now: int, after: tuple[bytes, int]) -> list[Amount]:
        return self._connections.run(lambda connection: amounts.page(connection, now, after), READING)

    def snapshot(self) -> tuple[dict[str, tuple[int, int]], list[Amount]]:
        """Return how far each journal is folded and every amount, as of one moment."""

        async def work(connection: Connection) -> tuple[dict[str, tuple[int, int]], list[Amount]]:
            return await _positions(connection), await amounts.every(connection)

        return self._connections.run(work, READING._replace(limited=False), PATIENCE)

    def holds(self, journal: str = "main") -> list[OpenHold]:
        """Return the holds that a journal left open."""
        return self._connections.run(lambda connection: amounts.holds(connection, journal), READING)

    def usage(self, query: UsageQuery) -> list[Rollup]:
        """Return sums."""
        return self._connections.run(lambda connection: spend.usage(connection, query), READING)

    def totals(self, scope: Scope) -> dict[str, Rollup]:
        """Return the sum over all days of every value of a scope."""
        return self._connections.run(lambda connection: spend.totals(connection, scope), READING)

    def logs(self, which: LogFilter, size: int = 50, after: Cursor | None = None) -> LogPage:
        """Return a page of spend rows, newest first."""
        return self._connections.run(lambda connection: rows.logs(connection, which, size, after), READING)

    def log(self, request_id: str) -> list[SpendRow]:
        """Return the rows of a request with all they hold."""
        return self._connections.run(lambda connection: rows.log(connection, request_id), READING)

    def close(self) -> None:
        """Let go."""
        self._connections.close()

    # The last in the class: below it, the word `list` would mean this method.
    def list(self, kind: Kind, which: EntityFilter, page: EntityPage) -> Listing:
        """Return a page of the entities of a kind."""
        return self._connections.run(lambda connection: entities.listing(connection, kind, which, page), READING)


async def _identity(connection: Connection) -> str:
    return str(await connection.fetchval("SELECT identity FROM store"))


async def _positions(connection: Connection) -> dict[str, tuple[int, int]]:
    found = await connection.fetch("SELECT journal, segment, reached FROM positions")
    return {journal: (segment, reached) for journal, segment, reached in found}


async def _fold(connection: Connection, batch: Batch, journal: str) -> bool:
    if not await connection.fetchval(REACH, journal, *batch.position):
        return False
    for change in batch.changes:
        if isinstance(change, Gone):
            await entities.delete(connection, change.kind, [change.id])
        else:
            await entities.put(connection, change)
    await tell(connection, [(change.kind, change.id) for change in batch.changes])
    await spend.add(connection, batch.rows)
    await amounts.add(connection, batch, journal)
    return True
