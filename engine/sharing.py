"""What processes on one store tell each other: which entities changed, what keys spent, what answers taught.

An entity is told by its name alone and read from the store anew, so that what is told twice, or late, does no harm; who
may have missed something reads everything. Spend and lessons are told once a second and may get lost: the one is shown
in a header, and read from the store again now and then, the other sizes estimates. No limit rests on either.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from engine.directory import Directory
from engine.ledger import Ledger
from engine.slices import sliced
from engine.spent import KEYS
from engine.storing import Entity, Kind, Row, Scope, Store, StoreError, UsageQuery

log = structlog.get_logger("interlock")

ENTITIES, TALLIES = "entities", "tallies"
EVERY = 1.0
"""Seconds between two tellings of what was spent and learned."""
ANEW, SETTLING = 10, 3
"""Tellings between two readings of what keys have spent, and from a loss to one of all keys: by then what was spent is folded."""
AGAIN = 1.0
"""Seconds until a store that could not be read is asked again; until then what is known stays in force."""
LOOKS, NAMES = 100, 10_000
"""Unknown keys that the store is asked for in a second, and those remembered to have been asked for: anybody can make them up."""
MANY = 1_000
"""Changed entities beyond which all are read."""


class Bus(Protocol):
    """Carries messages to every process; who was cut off is told that it has lost some."""

    def publish(self, topic: str, message: bytes) -> None:
        """Send a message, to this process too; plain, never waiting, and lost where nobody can be reached."""

    def subscribe(self, topic: str, on_message: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """Hear a topic from now on."""


class Tallies(msgspec.Struct, array_like=True):
    """What keys spent in nano-dollars and what was learned, since a process told the last time."""

    teller: bytes
    spent: dict[str, int]
    outputs: list[tuple[str, str, int]]
    errors: list[tuple[str, int, int]]


_changed = msgspec.msgpack.Decoder(list[tuple[str, str]]).decode
_tallies = msgspec.msgpack.Decoder(Tallies).decode


class Sharing:
    """Tells the other processes, and hears them; `bus` is None where a store tells of its changes itself and nothing else does."""

    def __init__(self, store: Store, directory: Directory, ledger: Ledger, bus: Bus | None) -> None:
        self._store, self._directory, self._ledger, self._bus = store, directory, ledger, bus
        self._self = os.urandom(8)
        self._stale: dict[tuple[Kind, str], None] = {}
        self._all = False
        self._told = asyncio.Event()
        self._every_key = -1
        """Tellings until what all keys have spent is read; less than 0 where it need not be."""
        self._looked: dict[str, float] = {}
        self._second, self._looks = 0, 0
        self._loop = asyncio.get_running_loop()
        if bus is not None:
            bus.subscribe(ENTITIES, self._hear_changes, self._lost)
            bus.subscribe(TALLIES, self._hear_tallies, self._lost_tallies)
            ledger.spent.telling = True
        store.watch(self._from_store, lambda: self._soon(self._lost))

    def changed(self, kind: Kind, ids: Iterable[str]) -> None:
        """Tell that this process has changed entities."""
        if self._bus is not None:
            self._bus.publish(ENTITIES, msgspec.msgpack.encode([(kind.value, one) for one in ids]))

    async def look(self, key_hash: str) -> None:
        """Ask the store for a key that nobody has told of: its maker may be faster than the message."""
        now = self._loop.time()
        if now - self._looked.get(key_hash, -AGAIN) < AGAIN or not self._may_look(int(now)):
            return
        self._looked[key_hash] = now
        try:
            key = await asyncio.to_thread(self._store.get, Kind.KEY, key_hash)
            behind = [] if key is None else await asyncio.to_thread(self._behind, key)
        except StoreError as error:
            log.warning("an unknown key cannot be asked for", reason=str(error))
            return
        if key is not None:
            for entity in (*behind, key):
                self._directory.put(entity)

    def _may_look(self, second: int) -> bool:
        if second != self._second:
            self._second, self._looks = second, 0
        if len(self._looked) >= NAMES:
            self._looked.clear()
        self._looks += 1
        return self._looks <= LOOKS

    def _behind(self, key: Entity) -> list[Entity]:
        """Return who stands behind a key, and is not known here either; for a thread."""
        names = ((Kind.TEAM, key.team_id), (Kind.USER, key.user_id), (Kind.ORGANIZATION, key.organization_id))
        found = [
            self._store.get(kind, name) for kind, name in names if name and self._directory.row(kind, name) is None
        ]
        return [entity for entity in found if entity is not None]

    async def run(self) -> None:
        """Read what others have changed, as soon as they tell, until cancelled."""
        while True:
            await self._told.wait()
            self._told.clear()
            try:
                await self._read()
            except StoreError as error:
                log.warning("what others have changed cannot be read yet", reason=str(error))
                await asyncio.sleep(AGAIN)
                self._told.set()

    async def tell(self) -> None:
        """Tell what was spent and learned, every second, until cancelled; and see now and then that it came to the same."""
        turn = 0
        while self._bus is not None:
            await asyncio.sleep(EVERY)
            turn += 1
            self._every_key -= 1
            if not self._every_key or turn % ANEW == 0:
                await self._compare(every=not self._every_key)
            spent, outputs, errors = self._ledger.spent.fresh()
            if spent or outputs or errors:
                self._bus.publish(TALLIES, msgspec.msgpack.encode(Tallies(self._self, spent, outputs, errors)))

    async def _compare(self, *, every: bool) -> None:
        """Take from the store what keys have spent, all or those that did lately."""
        query = UsageQuery(Scope.KEY, values=() if every else self._ledger.spent.lately(), by="value", limit=KEYS)
        if not every and not query.values:
            return
        try:
            found = await asyncio.to_thread(self._store.usage, query)
        except StoreError as error:
            self._every_key = SETTLING
            log.warning("what keys have spent cannot be read yet", reason=str(error))
            return
        self._ledger.spent.recall({one.value: one.spend for one in found})

    async def _read(self) -> None:
        """Read what was told; what is told meanwhile, or cannot be read, is read the next time."""
        if self._all or len(self._stale) > MANY:
            await self._read_all()
            return
        while self._stale:
            kind, name = next(iter(self._stale))
            del self._stale[kind, name]
            try:
                entity = await asyncio.to_thread(self._store.get, kind, name)
            except StoreError:
                self._stale[kind, name] = None
                raise
            if entity is None:
                self._directory.remove(kind, [name])
            else:
                self._directory.put(entity)

    async def _read_all(self) -> None:
        self._all = False
        self._stale.clear()
        try:
            for kind in Kind:
                await sliced(self._directory.refilling(kind, await asyncio.to_thread(self._rows, kind)))
        except StoreError:
            self._all = True
            raise
        log.info("entities read anew")

    def _rows(self, kind: Kind) -> list[Row]:
        return list(self._store.entities(kind))

    def _from_store(self, kind: Kind, name: str) -> None:
        self._soon(self._mark, kind, name)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        """Go on in the loop; the store's thread may outlive it."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _hear_changes(self, message: bytes) -> None:
        # Its own too: of two processes that change one entity at once, the store knows which was the later.
        for kind, name in _changed(message):
            self._mark(Kind(kind), name)

    def _mark(self, kind: Kind, name: str) -> None:
        self._stale[kind, name] = None
        self._told.set()

    def _lost(self) -> None:
        self._all = True
        self._told.set()

    def _hear_tallies(self, message: bytes) -> None:
        told = _tallies(message)
        if told.teller == self._self:
            return
        self._ledger.spent.heard(told.spent)
        for model, key, output in told.outputs:
            self._ledger.learned.answered(model, key, output)
        for model, estimate, actual in told.errors:
            self._ledger.learned.counted(model, estimate, actual)

    def _lost_tallies(self) -> None:
        self._every_key = SETTLING
