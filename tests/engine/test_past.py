"""What store and journal have counted: told once, whichever of the two has it, and by whatever process."""

from __future__ import annotations

from collections import Counter

import pytest

from adapters.stores.sqlite import Sqlite
from engine.claims import HoldId
from engine.durable import Durable
from engine.folding import Folder
from engine.journal import Journal, Position
from engine.keeping import Keeping, alone, journals, node
from engine.past import Past
from engine.posting import Held, Released, Row, Settled, Who, encode, packed
from engine.windows import NEVER
from tests.engine.building import REGISTRY
from tests.engine.keeping import Turned

A, B = b"a" * 16, b"b" * 16


def row() -> Row:
    return Row(packed(Who()), "r", 1.0, 1.0, 0.0, "success", 0, 0, 0)


def held(call: str, *parts) -> bytes:
    return encode(Held(call, 1, [*parts], row()))


def settled(call: str, *parts) -> bytes:
    return encode(Settled(call, 1, [*parts], row()))


class House:
    """A store, a journal and what folds it."""

    def __init__(self, tmp_path, name="main") -> None:
        self.clock = Turned()
        self.store = Sqlite({"path": tmp_path / "store.db"})
        self.journal = Journal.open(tmp_path / f"journal-{name}", since=Position(*self.store.position(name)))
        self.folder = Folder(self.journal, self.store, self.clock, name)
        self.past = Past(self.store, self.journal, self.folder, name)
        self.folder.catch_up()

    def write(self, *records: bytes) -> None:
        for record in records:
            assert self.journal.record(record)

    def fold(self) -> bool:
        assert self.journal.write_now()
        return self.folder._fold_through(self.journal.position)

    def end(self) -> None:
        self.journal.close()
        self.store.close()

    def all(self) -> Counter:
        """Sum what the store has and what this process's journal has beyond it."""
        positions, amounts = self.past.counted()
        sums = Counter()
        since = self.past.since(positions.get(self.past.journal, (0, 0)), self.past.mark())
        for counter, _, amount in (*amounts, *since):
            sums[counter] += amount
        return sums


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.end()


def test_store_and_journal_together_have_everything_once(house):
    house.write(held("1", (A, NEVER, 9)), settled("1", (A, NEVER, 4), (B, NEVER, 1)))
    assert house.all() == {A: 4, B: 1}
    house.fold()
    assert house.all() == {A: 4, B: 1}
    house.write(held("2", (A, NEVER, 9)), settled("2", (A, NEVER, 5)), settled("2", (A, NEVER, 5)))
    assert house.all() == {A: 9, B: 1}, "a settlement that is repeated counts once"


def test_what_is_folded_between_two_looks_is_not_there_twice(house):
    house.write(settled("1", (A, NEVER, 4)))
    house.fold()
    positions, amounts = house.past.counted()
    house.write(settled("2", (A, NEVER, 5)))
    house.fold()
    since = house.past.since(positions[house.past.journal], house.past.mark())
    assert [(one[0], one[2]) for one in amounts] == [(A, 4)]
    assert since == [(A, NEVER, 5)]


async def test_nothing_is_folded_while_paused(house):
    house.write(settled("1", (A, NEVER, 4)))
    house.past.pause()
    assert not await house.folder.fold()
    assert house.store.position() == (0, 0) or house.past.counted()[1] == []
    house.past.resume()
    assert await house.folder.fold()
    assert [one[2] for one in house.past.counted()[1]] == [4]


def test_a_process_tells_what_the_one_before_had_not_folded(tmp_path):
    house = House(tmp_path)
    house.write(held("folded", (A, NEVER, 1)), settled("folded", (A, NEVER, 1)), held("open", (B, NEVER, 6)))
    house.fold()
    seeded = house.past.counted()[0][house.past.journal]
    house.write(
        held("late", (A, NEVER, 9)), settled("late", (A, NEVER, 2)), held("cut", (A, NEVER, 30)), held("gone", (A, NEVER, 50)),
        encode(Released("gone", 1)), held("open", (B, NEVER, 4)),
    )  # fmt: skip
    house.end()
    again = House(tmp_path)
    assert dict(again.past.unheard()) == {
        HoldId("late", 1): [(A, 2)], HoldId("cut", 1): [(A, 30)], HoldId("gone", 1): [], HoldId("open", 1): [(B, 10)],
    }  # fmt: skip
    again.write(settled("new", (A, NEVER, 100)))
    sums = Counter()
    for counter, _, amount in again.past.since(seeded, again.past.mark()):
        sums[counter] += amount
    assert sums == {A: 2 + 30 + 100, B: 10}, "what was seeded before that process ended, and since"
    assert again.all() == {A: 1 + 2 + 30 + 100, B: 10}
    again.end()


def test_two_journals_on_one_store_are_told_apart(tmp_path):
    ours, theirs = House(tmp_path, "workers/1"), House(tmp_path, "workers/2")
    assert ours.past.store == theirs.past.store
    assert ours.past.journal != theirs.past.journal
    ours.write(settled("1", (A, NEVER, 3)))
    theirs.write(settled("2", (A, NEVER, 4)))
    ours.fold()
    assert ours.all() == {A: 3}
    assert theirs.all() == {A: 7}
    theirs.fold()
    assert ours.all() == theirs.all() == {A: 7}
    ours.end()
    theirs.end()


def test_a_gateway_folds_the_journals_of_workers_that_are_no_more(tmp_path):
    from engine.data_dir import DataDir  # noqa: PLC0415 - beside what it makes

    root = tmp_path / "data"
    data = DataDir.open(root)
    clock = Turned()
    keep = alone(root)
    for number in (1, 2):
        own = DataDir.open(root / "workers" / str(number), root=root)
        worker = Durable(REGISTRY, own, clock, keep._replace(journal=f"workers/{number}"))
        worker.journal.record(settled(f"call-{number}", (A, NEVER, number)))
        worker.journal.close()
        worker.store.close()
        own.close()
    assert sorted(journals(root)) == [1, 2]
    durable = Durable(REGISTRY, data, clock, keep)
    assert [one.used for one in durable.store.counts(int(clock.time() * 1e9))] == [3]
    assert sorted(journals(root)) == [0]
    durable.journal.close()
    durable.store.close()
    data.close()


def test_a_data_directory_keeps_its_name(tmp_path):
    assert node(tmp_path) == node(tmp_path)
    assert len(node(tmp_path)) == 16
    assert Keeping("sqlite", {}, "redis", {}, "main").shared
