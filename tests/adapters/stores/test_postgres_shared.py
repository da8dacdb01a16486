"""The store `postgres` with several processes on it: sums stay exact, and what one changes the others hear."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from adapters.stores.postgres import Postgres
from engine.storing import Batch, ConflictError, Entity, Kind, Scope, StoreError
from tests.adapters.stores.sharing import COUNTERS, batch_of
from tests.postgres import sql

ROOT = Path(__file__).resolve().parents[3]
HEARD = 2.0
"""Seconds in which a change is heard: ten times what is promised."""
PATIENT = 60
"""Seconds that a fold may wait for its turn: none is to fail where the test is of those that were killed."""
HEALED = 15.0
"""Seconds in which one that lost its connection hears again, the longest pause between two tries thrice."""


def started(task: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.adapters.stores.sharing", task, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def check(url: str, offsets: range, batches: int) -> None:
    """Compare all that is stored with what processes folded, one journal each."""
    store = Postgres({"url": url})
    every = [batch_of(number, offset) for offset in offsets for number in range(batches)]
    spent: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    for batch in every:
        for row in batch.rows:
            spent[row.team_id] += row.spend
            requests[row.team_id] += 1
    sums = store.totals(Scope.TEAM)
    assert {team: one.spend for team, one in sums.items()} == dict(spent)
    assert {team: one.requests for team, one in sums.items()} == dict(requests)
    assert store.get(Kind.TEAM, "t0").spend == spent["t0"]
    positions, counts = store.snapshot()
    assert positions == {f"journal-{offset}": (0, batches) for offset in offsets}
    used = len(offsets) * sum(range(1, batches + 1))
    assert sorted(counts) == [(counter, until, used) for counter in COUNTERS for until in (50, 90)]
    count = sql(url, "SELECT count(*) FROM interlock.spend_logs")
    assert count == [(sum(len(batch.rows) for batch in every),)]
    store.close()


def test_folds_of_three_processes_into_the_same_counters_add_up(postgres):
    url = postgres.database()
    store = Postgres({"url": url})
    for number in range(7):
        store.put(Entity(Kind.TEAM, f"t{number}"))
    processes = [started("fold_many", url, f"journal-{offset}", offset, 40, PATIENT) for offset in range(3)]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["", "", ""]
    check(url, range(3), 40)
    store.close()


def test_processes_killed_in_the_midst_of_folds_leave_all_or_nothing_of_each(postgres):
    url = postgres.database()
    store = Postgres({"url": url})
    for number in range(7):
        store.put(Entity(Kind.TEAM, f"t{number}"))
    for enough in (5, 15, 25, 35):
        processes = [started("fold_many", url, f"journal-{offset}", offset, 60, PATIENT) for offset in range(2)]
        while max(store.position(f"journal-{offset}")[1] for offset in range(2)) < enough:
            time.sleep(0.001)
        for process in processes:
            process.kill()
            process.communicate(timeout=10)
    reached = [store.position(f"journal-{offset}")[1] for offset in range(2)]
    processes = [started("fold_many", url, f"journal-{offset}", offset, 60, PATIENT) for offset in range(2)]
    told = [process.communicate(timeout=120)[0].count("folded already") for process in processes]
    # One that was under way when its process was killed may be written a moment later.
    assert all(0 <= one - before <= 1 for one, before in zip(told, reached, strict=True))
    check(url, range(2), 60)
    store.close()


def test_a_transaction_that_gives_way_to_another_is_done_anew_and_whole(postgres):
    """Two that lock in a ring: the server ends one of them, and nobody hears of it."""
    store = Postgres({"url": postgres.database()})
    for name in "ab":
        store.put(Entity(Kind.TEAM, name))
    tries: Counter[str] = Counter()
    locked = {name: threading.Event() for name in "ab"}

    def ring(first: str, second: str) -> None:
        async def work(connection):
            tries[first] += 1
            await connection.execute("UPDATE entities SET spend = spend + 1 WHERE id = $1", first)
            locked[first].set()
            while not locked[second].is_set():
                await connection.execute("SELECT pg_sleep(0.01)")
            await connection.execute("UPDATE entities SET spend = spend + 10 WHERE id = $1", second)

        store._connections.run(work)

    threads = [threading.Thread(target=ring, args=pair) for pair in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.get(Kind.TEAM, name).spend for name in "ab"] == [11, 11]
    assert sorted(tries.values()) == [1, 2]
    store.close()


def test_only_one_of_many_that_create_the_same_succeeds(postgres):
    url = postgres.database()
    stores = [Postgres({"url": url}) for _ in range(3)]
    done: queue.Queue[object] = queue.Queue()

    def create(store: Postgres, number: int) -> None:
        key = Entity(Kind.KEY, f"{number:064x}", alias="same")
        for entity in (Entity(Kind.TEAM, "t", alias=f"{number}"), key):
            try:
                store.put(entity, new=True)
                done.put((entity.kind, number))
            except ConflictError as error:
                done.put(str(error))

    threads = [threading.Thread(target=create, args=(store, number)) for number, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Counter(one if isinstance(one, str) else one[0] for one in done.queue)
    assert found == {
        Kind.TEAM: 1, Kind.KEY: 1,
        "there is a team of this id already": 2, "another key has the alias `same`": 2,
    }  # fmt: skip
    for store in stores:
        store.close()


class Heard:
    """What a store's watcher is told, in order."""

    def __init__(self, store: Postgres) -> None:
        self.told: queue.Queue[object] = queue.Queue()
        self.threads: set[str] = set()
        store.watch(self._changed, lambda: self.told.put("lost"))

    def _changed(self, kind: Kind, entity_id: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.told.put((kind, entity_id))

    def next(self, seconds: float = HEARD) -> object:
        return self.told.get(timeout=seconds)


def test_what_another_process_changes_is_heard(postgres):
    url = postgres.database()
    store = Postgres({"url": url})
    heard = Heard(store)
    other = started("change", url)
    taken = []
    for what in ("put", "block", "set_spend", "fold", "delete"):
        other.stdin.write(f"{what} {what}-é\n" if what == "fold" else f"{what} t\n")
        other.stdin.flush()
        begin = time.perf_counter()
        assert heard.next() == (Kind.TEAM, "fold-é" if what == "fold" else "t")
        taken.append(time.perf_counter() - begin)
        assert other.stdout.readline() == "done\n"
    print(f"\nheard after {max(taken) * 1000:.1f} ms at most, the change itself included")
    other.communicate(timeout=10)
    assert heard.told.empty()
    assert heard.threads == {"interlock-postgres"}
    store.close()


def test_what_is_changed_is_there_when_it_is_heard_and_what_is_not_is_not_told(postgres):
    url = postgres.database()
    store, other = Postgres({"url": url}), Postgres({"url": url})
    heard = Heard(store)
    other.put(Entity(Kind.USER, "u"), new=True)
    with pytest.raises(ConflictError):
        other.put(Entity(Kind.USER, "u"), new=True)
    assert other.block(Kind.USER, "nobody", 1.0) is None
    assert other.set_spend(Kind.USER, "nobody", 1) is None
    assert other.delete(Kind.USER, ["nobody"]) == []
    other.fold(batch_of(0, 0))
    assert not other.fold(Batch((0, 1), changes=[Entity(Kind.USER, "late")]))
    other.put(Entity(Kind.USER, "v"))
    assert heard.next() == (Kind.USER, "u")
    assert store.get(Kind.USER, "u") is not None
    assert heard.next() == (Kind.USER, "v")
    assert heard.told.empty()
    with pytest.raises(StoreError, match="is watched already"):
        store.watch(lambda *_: None, lambda: None)
    store.close()
    other.close()


def test_many_changes_are_told_in_several_messages_and_too_many_as_lost(postgres):
    url = postgres.database()
    store = Postgres({"url": url})
    heard = Heard(store)
    names = [f"team-é\0-{number:06}" for number in range(3000)]
    store.fold(Batch((1, 1), changes=[Entity(Kind.TEAM, name) for name in names]))
    assert [heard.next() for _ in names] == [(Kind.TEAM, name) for name in names]
    assert store.delete(Kind.TEAM, names) == names
    assert [heard.next() for _ in names] == [(Kind.TEAM, name) for name in names]
    store.put(Entity(Kind.TEAM, "x" * 9000))
    assert heard.next() == "lost"
    store.fold(Batch((1, 2), changes=[Entity(Kind.TEAM, f"{number:0500}") for number in range(4000)]))
    assert heard.next() == "lost"
    assert heard.told.empty()
    store.close()


def test_two_stores_of_one_database_do_not_hear_each_other(postgres):
    url = postgres.database()
    store, other = Postgres({"url": url}), Postgres({"url": f"{url}?schema=other"})
    heard = Heard(store)
    other.put(Entity(Kind.TEAM, "theirs"))
    store.put(Entity(Kind.TEAM, "ours"))
    assert heard.next() == (Kind.TEAM, "ours")
    store.close()
    other.close()


def test_one_that_lost_its_connection_says_so_and_hears_again(postgres):
    url = postgres.database()
    store = Postgres({"url": url})
    heard = Heard(store)
    for number in range(3):
        sql(postgres.url(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
            url.rpartition("/")[2])  # fmt: skip
        assert heard.next(HEALED) == "lost"
        store.put(Entity(Kind.TEAM, f"{number}"))
        assert heard.next() == (Kind.TEAM, f"{number}")
    store.close()


def test_a_watcher_that_fails_is_reported_and_hears_on(postgres, caplog):
    store = Postgres({"url": postgres.database()})
    told: queue.Queue[str] = queue.Queue()

    def fail(_: Kind, name: str) -> None:
        told.put(name)
        raise RuntimeError(f"cannot take {name}")

    store.watch(fail, lambda: None)
    for name in "ab":
        store.put(Entity(Kind.TEAM, name))
        assert told.get(timeout=HEARD) == name
    store.close()
    assert "cannot take a" in caplog.text
