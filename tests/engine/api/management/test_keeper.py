"""The store and the directory as one, and the money that is shown."""

from __future__ import annotations

import asyncio
import time

import pytest

from adapters.stores.sqlite import Sqlite
from engine.api.management.keeper import Beside, Keeper
from engine.claims import Count
from engine.directory import Directory, digest
from engine.errors import ClientError, InternalError
from engine.extensions import kind
from engine.storing import ConflictError, Entity, Kind, StoreError
from tests.engine.building import compiled, config

NOW = 1_767_225_600.0 + 3600
"""2026-01-01 01:00 UTC."""


@pytest.fixture
def store(tmp_path):
    opened = Sqlite({"path": tmp_path / "store.db"})
    yield opened
    opened.close()


def keeper(store, beside: Beside = Beside()) -> Keeper:  # noqa: B008 - it is never written to
    directory = Directory("sk-m")
    directory.declare("sk-m", compiled(config({"a": "echo/a"})).declared, kind)
    return Keeper(store, directory, lambda: NOW, beside)


def key(**document: object) -> Entity:
    return Entity(Kind.KEY, digest("sk-1"), created_at=NOW, spend=5 * 10**8, document=document)


async def test_a_change_is_stored_and_in_force(store):
    kept = keeper(store)
    await kept.put(key(rpm_limit=3), new=True)
    assert store.get(Kind.KEY, digest("sk-1")) is not None
    assert kept.directory.find("sk-1").allowances[0].every[0].limit == 3
    assert await kept.remove(Kind.KEY, [digest("sk-1"), "none"]) == [digest("sk-1")]
    assert kept.directory.find("sk-1") is None


async def test_what_the_store_refuses_is_not_in_force(store):
    kept = keeper(store)
    await kept.put(key(), new=True)
    with pytest.raises(ConflictError):
        await kept.put(key(rpm_limit=3), new=True)
    assert kept.directory.find("sk-1").allowances == ()


async def test_what_cannot_be_is_refused_before_it_is_stored(store):
    kept = keeper(store)
    with pytest.raises(ClientError) as error:
        await kept.put(key(budget_duration="soon"))
    assert (error.value.status, error.value.param) == (400, "budget_duration")
    assert store.get(Kind.KEY, digest("sk-1")) is None


async def test_a_store_that_fails_is_503_and_its_reason_stays_in_the_log(store):
    def fail(_):
        raise StoreError("store `/secret/place`: disk is full")

    with pytest.raises(InternalError) as error:
        await keeper(store).read(fail)
    assert error.value.status == 503
    assert "place" not in error.value.message


async def test_spend_is_what_was_used_in_the_window_where_a_budget_has_one(store):
    asked = []

    async def used(counter):
        asked.append(counter)
        return Count(125_000_000, 0, None)

    kept = keeper(store, Beside(used=used))
    assert await kept.spent(await kept.put(key(max_budget=1, budget_duration="1d"))) == (
        0.125,
        "2026-01-02T00:00:00+00:00",
    )
    assert asked[0].subject.id == digest("sk-1")
    assert await kept.spent(key(max_budget=1)) == (0.5, None)
    assert await keeper(store).spent(key(max_budget=1, budget_duration="1d")) == (0.5, "2026-01-02T00:00:00+00:00")


async def test_who_reads_spend_waits_until_it_is_settled(store):
    settled = asyncio.Event()

    async def wait():
        await asyncio.sleep(0.05)
        settled.set()

    await keeper(store, Beside(settled=wait)).settled()
    assert settled.is_set()


async def test_the_event_loop_is_free_while_the_store_works(store):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.ensure_future(tick())
    await keeper(store).read(lambda _: time.sleep(0.1))
    ticking.cancel()
    assert ticks > 5
