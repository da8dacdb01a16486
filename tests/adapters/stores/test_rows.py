"""Spend rows in any store, found by whatever they are asked for."""

from __future__ import annotations

import hashlib
import random
import threading

import pytest

from adapters.stores.sqlite import rows
from engine.storing import Batch, LogFilter, Scope, SpendRow, UsageQuery
from tests.adapters.stores.folding import START, rows_of


@pytest.mark.parametrize("many", [1, 1000])
def test_every_filter_finds_the_same_whether_callers_are_few_or_many(store, monkeypatch, many):
    monkeypatch.setattr(rows, "MANY", many)
    every = [
        row._replace(user=f"user-{number % 7}", team_id=f"team-{number % 3}", start_time=START + number // 2)
        for number, row in enumerate(rows_of(1))
    ]
    store.fold(Batch((1, 1), every[:250]))
    store.fold(Batch((1, 2), every[250:]))
    chance = random.Random(3)
    for _ in range(60):
        names = chance.sample(["api_key", "user", "team_id", "end_user", "model", "status", "request_id"], 2)
        wanted = {name: getattr(chance.choice(every), name) for name in names}
        found, after = [], None
        while True:
            page = store.logs(LogFilter(**wanted, first=START + 20), 7, after)
            found += page.rows
            if page.next is None:
                break
            after = page.next
        matching = [
            row
            for row in reversed(every)
            if row.start_time >= START + 20 and all(getattr(row, name) == value for name, value in wanted.items())
        ]
        assert found == matching


def test_rows_of_a_key_in_clear_text_are_found_by_its_hash(store):
    store.fold(Batch((1, 1), [SpendRow("r", START, api_key="sk-clear", end_user="\ud800", spend=3)]))
    digest = hashlib.sha256(b"sk-clear").hexdigest()
    assert [row.api_key for row in store.logs(LogFilter(api_key=digest)).rows] == [digest]
    assert store.logs(LogFilter(api_key="sk-clear")).rows == []
    assert [one.value for one in store.usage(UsageQuery(Scope.KEY, by="value"))] == [digest]


def test_pages_neither_repeat_nor_leave_out_while_others_fold_at_the_same_time(opened):
    """Rows of one instant, whose numbers are given out before and after they are seen."""
    store, *others = [opened() for _ in range(3)]
    old = {f"old-{number}" for number in range(400)}
    store.fold(Batch((1, 1), [SpendRow(name, START + number // 40) for number, name in enumerate(sorted(old))]))

    def fold(other, journal: str) -> None:
        for number in range(1, 31):
            new = [SpendRow(f"{journal}-{number}-{one}", START + one % 10) for one in range(20)]
            other.fold(Batch((1, number), new), journal)

    folding = [threading.Thread(target=fold, args=(other, f"new-{at}")) for at, other in enumerate(others)]
    for thread in folding:
        thread.start()
    while any(thread.is_alive() for thread in folding):
        seen, after = [], None
        while True:
            page = store.logs(LogFilter(first=START, last=START + 10), 25, after)
            seen += [row.request_id for row in page.rows]
            if page.next is None:
                break
            after = page.next
        assert len(seen) == len(set(seen))
        assert old <= set(seen)
