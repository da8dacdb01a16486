"""Many stored keys: open soon, in little memory, and a call costs what it costs with one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from adapters.stores.sqlite import Sqlite, entities
from engine.digest import digest
from engine.storing import Entity, Kind
from tests.end_to_end.managing import CONFIG, good
from tests.running import Gateway

CALLS = 2000


def named(number: int) -> str:
    return f"sk-{number:022d}"


def key(number: int) -> Entity:
    document = {
        "key_name": f"sk-...{number % 10000:04d}", "models": ["echo", "other"], "max_budget": 10.0, "budget_duration": "30d",
        "rpm_limit": 600_000, "metadata": {"project": f"p{number % 50}"}, "created_by": "default_user_id",
    }  # fmt: skip
    return Entity(
        Kind.KEY, digest(named(number)), f"key {number}", f"user-{number % 5000}", f"team-{number % 500}", created_at=number + 1.0,
        updated_at=number + 1.0, max_budget=10 * 10**9, document=document,
    )  # fmt: skip


def filled(data: Path, count: int) -> None:
    """Make a store with this many keys and 500 teams."""
    data.mkdir()
    store = Sqlite({"path": data / "interlock.db"})
    with store._writing() as connection:
        for number in range(500):
            entities.put(
                connection, Entity(Kind.TEAM, f"team-{number}", document={"max_budget": 100.0}, created_at=1.0)
            )
        for number in range(count):
            entities.put(connection, key(number))
    store.close()


def opened(folder: Path, count: int) -> tuple[Gateway, float]:
    """Start a gateway over a store; return it, and how long it took to be ready."""
    made = Gateway(folder / f"of{count}", CONFIG, (), {})
    filled(made.folder / "data", count)
    began = time.monotonic()
    return made.start(), time.monotonic() - began


def cpu(running: Gateway) -> float:
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def cost(running: Gateway) -> float:
    """Return the CPU seconds of a call with a warm key."""
    for _ in range(200):
        assert running.chat(key=named(7)).status == 200
    before = cpu(running)
    for _ in range(CALLS):
        running.chat(key=named(7))
    return (cpu(running) - before) / CALLS


def check(folder: Path, count: int) -> None:
    opened(folder, 1)[0].stop()  # what the first start of all has to read from the disk
    few, soon = opened(folder, 10)
    many, later = opened(folder, count)
    try:
        added = later - soon
        memory = (many.rss() - few.rss()) / 1024**2
        assert good(many.get("/key/list"))["total_count"] == count + 3
        for number in (0, count // 2, count - 1):
            assert many.chat(key=named(number)).status == 200
        made = good(many.post("/key/generate", {"team_id": "team-1"}))["key"]
        good(many.post("/key/delete", {"keys": [named(1)]}))
        assert (many.chat(key=made).status, many.chat(key=named(1)).status) == (200, 401)
        one, other = cost(few), cost(many)
        print(
            f"\n{count} keys: ready after {later:.2f} s beside {soon:.2f} s with 10, {memory:.0f} MB more, "
            f"a call {other * 1e6:.0f} µs of CPU beside {one * 1e6:.0f} µs"
        )
        assert added < 10 * 2.0 * count / 100_000 + 1
        assert other < 2 * one
    finally:
        few.stop()
        many.stop()


def test_2_000_keys(tmp_path):
    check(tmp_path, 2_000)


@pytest.mark.soak
def test_100_000_keys(tmp_path):
    check(tmp_path, 100_000)
