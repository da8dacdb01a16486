"""The store and the directory as one: a change is stored, then in force, before anybody is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import structlog

from engine.api.management.faults import bad_request
from engine.api.management.times import iso
from engine.callers import fields
from engine.claims import NANO, Count, Counter, Unit
from engine.directory import Directory
from engine.errors import InternalError
from engine.storing import (
    ConflictError,
    Entity,
    EntityFilter,
    EntityPage,
    Kind,
    Row,
    Scope,
    Store,
    StoreError,
    UsageQuery,
    row_of,
)
from engine.windows import TOTAL

log = structlog.get_logger("interlock")

T = TypeVar("T")

SCOPES = {
    Kind.KEY: Scope.KEY, Kind.TEAM: Scope.TEAM, Kind.USER: Scope.USER, Kind.ORGANIZATION: Scope.ORG,
    Kind.CUSTOMER: Scope.END_USER,
}  # fmt: skip
PAGE = 1000


async def at_once() -> None:
    """Settle what is settled already."""


def nobody(kind: Kind, ids: Sequence[str]) -> None:
    """Tell nobody of a change."""
    del kind, ids


class Beside(NamedTuple):
    """What there is beside the store: `settled` returns once it has what the journal has, `used` asks a counter.

    `changed` tells other processes of entities that changed.
    """

    settled: Callable[[], Awaitable[None]] = at_once
    used: Callable[[Counter], Awaitable[Count]] | None = None
    changed: Callable[[Kind, Sequence[str]], None] = nobody


class Spent(NamedTuple):
    """What an entity has spent, in USD: in the window of its budget where it has one, else ever; and when that ends."""

    usd: float = 0.0
    resets: str | None = None


class Keeper:
    """Reads and changes entities; every change is made under `writing`, one at a time."""

    def __init__(self, store: Store, directory: Directory, now: Callable[[], float], beside: Beside) -> None:
        self.directory = directory
        self.now = now
        self.writing = asyncio.Lock()
        self._store = store
        self._beside = beside

    async def read(self, read: Callable[[Store], T]) -> T:
        """Ask the store in a thread; raises InternalError 503 where it cannot be used."""
        try:
            return await asyncio.to_thread(read, self._store)
        except ConflictError:
            raise
        except StoreError as error:
            failure = InternalError(503, "store_unavailable", "")
            failure.message = f"the store cannot be used now; the gateway's log says why under `{failure.id}`"
            log.exception("the store cannot be used", error_id=failure.id)
            raise failure from error

    async def get(self, kind: Kind, entity_id: str) -> Entity | None:
        """Return an entity as it is in force: as declared, else as stored."""
        declared = self.directory.declared.find(kind, entity_id)
        if declared is not None:
            return _entity(kind, declared)
        return await self.read(lambda store: store.get(kind, entity_id))

    async def put(self, entity: Entity, *, new: bool = False) -> Entity:
        """Store an entity and put it in force; raises ConflictError as the store does, and ClientError 400 for what cannot be."""
        self.check(entity)
        await self.read(lambda store: store.put(entity, new=new))
        self.directory.put(entity)
        self._beside.changed(entity.kind, [entity.id])
        return entity

    async def remove(self, kind: Kind, ids: Sequence[str]) -> list[str]:
        """Delete entities, and take them out of force; return the ids that were there."""
        gone = await self.read(lambda store: store.delete(kind, ids))
        self.directory.remove(kind, ids)
        self._beside.changed(kind, ids)
        return gone

    async def set_spend(self, kind: Kind, entity_id: str, nano: int) -> None:
        """Set what an entity has spent."""
        await self.read(lambda store: store.set_spend(kind, entity_id, nano))

    async def every(self, kind: Kind, which: EntityFilter, most: int = 10 * PAGE) -> list[Entity]:
        """Return all entities of a kind, the newest `most`."""
        found: list[Entity] = []
        for number in range(1, most // PAGE + 1):
            page = EntityPage(number, PAGE)
            listing = await self.read(lambda store, page=page: store.list(kind, which, page))  # type: ignore[misc]  # mypy cannot infer a default
            found += listing.entities
            if len(found) >= listing.total:
                break
        return found

    def declared(self, kind: Kind, which: EntityFilter) -> list[Entity]:
        """Return the entities of the configuration that a filter lets through, in the file's order."""
        wanted = {name: value for name, value in which._asdict().items() if value is not None}
        rows = self.directory.declared.rows[kind].values()
        return [
            _entity(kind, row) for row in rows if all(getattr(row, name) == value for name, value in wanted.items())
        ]

    def check(self, entity: Entity) -> None:
        """Compile what an entity would come to; raises ClientError 400 that names the field which is wrong."""
        try:
            self.directory.check(entity.kind, row_of(entity))
        except ValueError as error:
            name = str(error).partition("`")[2].partition("`")[0]
            raise bad_request(str(error), name or None) from error

    def changeable(self, kind: Kind, entity_id: str) -> None:
        """Refuse what the configuration declares; raises ClientError 400 that names the file."""
        place = self.directory.declared.places.get((kind, entity_id))
        if place is None:
            return
        row, mark = self.directory.declared.find(kind, entity_id), place[0]
        name = (row.alias if row is not None else "") or (entity_id if kind is not Kind.KEY else "")
        raise bad_request(
            f"{kind} {f'`{name}` ' if name else ''}is declared in `{mark or 'the configuration'}`; change it there"
        )

    async def spent(self, entity: Entity) -> Spent:
        """Return what an entity has spent; `settled` must have been awaited."""
        counter = self._budget(entity.kind, row_of(entity))
        if counter is None or counter.window is TOTAL:
            return Spent(await self._total(entity) / NANO)
        return await self.used(counter) or Spent(await self._total(entity) / NANO, self._resets(counter))

    async def used(self, counter: Counter) -> Spent | None:
        """Return what a counter of money has counted in its window; None where there is nobody to ask."""
        if self._beside.used is None:
            return None
        count = await self._beside.used(counter)
        return Spent(count.used / NANO, iso(count.reset_at / NANO) if count.reset_at else self._resets(counter))

    def _resets(self, counter: Counter) -> str | None:
        if counter.window is TOTAL:
            return None
        return iso(counter.window.span(int(self.now() * NANO)).end / NANO)

    async def settled(self) -> None:
        """Wait until the store has all that was spent so far."""
        await self._beside.settled()

    def budget_table(self, name: str | None) -> dict[str, Any] | None:
        """Return a shared budget as rows show it."""
        row = self.directory.declared.budgets.get(name or "")
        return None if row is None else {"budget_id": name, **BUDGET, **row}

    def _budget(self, kind: Kind, row: Row) -> Counter | None:
        try:
            every = self.directory.making.allowance(kind, row).every
        except ValueError:
            return None
        return next((counter for counter in every if counter.unit is Unit.USD), None)

    async def _total(self, entity: Entity) -> int:
        """Return what an entity has ever spent; of one that is not stored, what its calls come to."""
        if self.directory.declared.find(entity.kind, entity.id) is None and entity.created_at:
            return entity.spend
        query = UsageQuery(SCOPES[entity.kind], values=[entity.id], by="value")
        sums = await self.read(lambda store: store.usage(query))
        return sum(one.spend for one in sums)


BUDGET: dict[str, Any] = {
    "max_budget": None, "soft_budget": None, "max_parallel_requests": None, "tpm_limit": None, "rpm_limit": None,
    "model_max_budget": None, "budget_duration": None,
}  # fmt: skip


def _entity(kind: Kind, row: Row) -> Entity:
    """Return a declared row as an entity; nothing is known of when it was made."""
    return Entity(
        kind, row.id, row.alias, row.user_id, row.team_id, row.organization_id, row.blocked, expires=row.expires,
        document=fields(row),
    )  # fmt: skip
