"""What processes on one store tell each other, over a bus that may lose messages and a store that may fail."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from adapters.counters.memory import Memory
from adapters.stores.sqlite import Sqlite
from engine.directory import Directory, digest
from engine.extensions import kind
from engine.ledger import Ledger
from engine.outside import SystemClock
from engine.sharing import ENTITIES, Sharing
from engine.storing import Entity, Kind, StoreError
from tests.engine.building import compiled, config

KEY = digest("sk-1")


class Line:
    """A bus in memory: what is published reaches every subscriber, unless it is cut."""

    def __init__(self) -> None:
        self.subscribers: dict[str, list] = {}
        self.cut = False

    def publish(self, topic, message):
        if not self.cut:
            for on_message, _ in self.subscribers.get(topic, ()):
                on_message(message)

    def subscribe(self, topic, on_message, on_lost):
        self.subscribers.setdefault(topic, []).append((on_message, on_lost))

    def mend(self):
        self.cut = False
        for both in self.subscribers.values():
            for _, on_lost in both:
                on_lost()


class Process:
    """One process: its directory and ledger over the shared store."""

    def __init__(self, store, bus) -> None:
        self.store = store
        self.directory = Directory("sk-m")
        self.directory.declare("sk-m", compiled(config({"a": "echo/a"})).declared, kind)
        self.ledger = Ledger(Memory(SystemClock()), SystemClock())
        self.sharing = Sharing(store, self.directory, self.ledger, bus)
        for of in Kind:
            self.directory.fill(of, store.entities(of))

    def put(self, **members):
        entity = Entity(Kind.KEY, KEY, **members)
        self.store.put(entity)
        self.directory.put(entity)
        self.sharing.changed(Kind.KEY, [KEY])


class Flaky(Sqlite):
    """A store whose reads fail for a while."""

    failures = 0

    def get(self, of, entity_id):
        if self.failures:
            self.failures -= 1
            raise StoreError("away")
        return super().get(of, entity_id)


@pytest.fixture
def store(tmp_path):
    opened = Flaky({"path": tmp_path / "store.db"})
    yield opened
    opened.close()


@contextlib.asynccontextmanager
async def two(store):
    line = Line()
    processes = Process(store, line), Process(store, line)
    running = [asyncio.create_task(one.sharing.run()) for one in processes]
    try:
        yield line, *processes
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def until(true, seconds=5.0):
    deadline = asyncio.get_running_loop().time() + seconds
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it did not come to pass"
        await asyncio.sleep(0.005)


async def test_what_one_changes_is_in_force_in_the_other(store):
    async with two(store) as (_, ours, theirs):
        assert theirs.directory.find("sk-1") is None
        ours.put()
        await until(lambda: theirs.directory.find("sk-1") is not None)
        ours.put(blocked=True)
        await until(lambda: theirs.directory.find("sk-1").blocked)
        store.delete(Kind.KEY, [KEY])
        ours.directory.remove(Kind.KEY, [KEY])
        ours.sharing.changed(Kind.KEY, [KEY])
        await until(lambda: theirs.directory.find("sk-1") is None)


async def test_who_missed_a_change_reads_everything(store):
    async with two(store) as (line, ours, theirs):
        ours.put()
        await until(lambda: theirs.directory.find("sk-1") is not None)
        line.cut = True
        ours.put(blocked=True)
        await asyncio.sleep(0.1)
        assert not theirs.directory.find("sk-1").blocked, "the message was to be lost"
        line.mend()
        await until(lambda: theirs.directory.find("sk-1").blocked)


async def test_a_store_that_cannot_be_read_is_asked_again_and_what_is_known_stays(store):
    async with two(store) as (_, ours, theirs):
        ours.put()
        await until(lambda: theirs.directory.find("sk-1") is not None)
        store.failures = 2
        ours.put(blocked=True)
        assert theirs.directory.find("sk-1") is not None
        await until(lambda: theirs.directory.find("sk-1").blocked, 10)


async def test_of_two_changes_at_once_the_later_one_stored_wins_everywhere(store):
    """One process stores before the other, and puts its own in force after it has heard of the other's."""
    async with two(store) as (_, ours, theirs):
        first = Entity(Kind.KEY, KEY, alias="first")
        store.put(first)
        theirs.put(alias="second")
        await until(lambda: ours.directory.find("sk-1") is not None)
        ours.directory.put(first)
        ours.sharing.changed(Kind.KEY, [KEY])
        await until(lambda: ours.directory.find("sk-1").alias == "second")
        assert theirs.directory.find("sk-1").alias == "second"


async def test_spend_and_lessons_are_told(store):
    async with two(store) as (_, ours, theirs):
        telling = asyncio.create_task(ours.sharing.tell())
        ours.ledger.spent.add(KEY, 7)
        ours.ledger.spent.add(KEY, 5)
        for _ in range(25):
            ours.ledger.spent.taught("m", KEY, 40, 100, 130)
        await until(lambda: theirs.ledger.spent.of(KEY) == 12)
        assert ours.ledger.spent.of(KEY) == 12, "what one has told itself is not counted twice"
        assert 38 <= theirs.ledger.learned.output("m", KEY) <= 42
        telling.cancel()


async def test_a_message_names_entities_and_holds_nothing_of_them(store):
    async with two(store) as (line, ours, _):
        heard = []
        line.subscribe(ENTITIES, heard.append, lambda: None)
        ours.put(alias="private", document={"metadata": {"note": "secret"}})
        assert heard
        assert b"private" not in heard[0]
        assert b"secret" not in heard[0]
