"""Amounts of counters and open holds in any store."""

from __future__ import annotations

import pytest

from adapters.stores import postgres, sqlite
from engine.storing import Amount, Batch, OpenHold, StoreError
from engine.windows import NEVER
from tests.adapters.stores.folding import TOO_LARGE


def test_amounts_add_up_until_they_no_longer_count(store):
    store.fold(Batch((1, 1), counts=[Amount(b"a", 100, 5), Amount(b"a", NEVER, 7), Amount(b"b", 100, 1)]))
    store.fold(Batch((1, 2), counts=[Amount(b"a", 100, 3), Amount(b"a", 200, 1), Amount(b"a", NEVER, -2)]))
    assert list(store.counts(99)) == [(b"a", 100, 8), (b"a", 200, 1), (b"a", NEVER, 5), (b"b", 100, 1)]
    assert list(store.counts(100)) == [(b"a", 200, 1), (b"a", NEVER, 5)]
    assert list(store.counts(NEVER - 1)) == [(b"a", NEVER, 5)]


def test_a_reset_ends_what_was_before_its_batch_and_nothing_in_it(store):
    store.fold(Batch((1, 1), counts=[Amount(b"a", 100, 5), Amount(b"a", NEVER, 7), Amount(b"b", 100, 1)]))
    store.fold(Batch((1, 2), counts=[Amount(b"a", NEVER, 2)], resets=[b"a", b"unknown"]))
    assert list(store.counts(0)) == [(b"a", NEVER, 2), (b"b", 100, 1)]


def test_expired_amounts_go_and_no_others(store):
    store.fold(Batch((1, 1), counts=[Amount(b"a", until, 1) for until in (10, 20, 30, NEVER)]))
    store.fold(Batch((1, 2), expired=20))
    assert [one.until for one in store.counts(0)] == [30, NEVER]


def test_amounts_are_read_page_by_page(store, monkeypatch):
    every = [Amount(bytes([number % 7]), 100 + number, number) for number in range(50)]
    store.fold(Batch((1, 1), counts=every))
    for module in (sqlite.amounts, postgres.amounts):
        monkeypatch.setattr(module, "TOGETHER", 8)
    assert list(store.counts(0)) == sorted(every)


def test_holds_are_kept_until_they_are_closed(opened):
    store = opened()
    first, second = OpenHold("call", 1, b"\0one"), OpenHold("call", 2, b"two")
    store.fold(Batch((1, 1), holds=[first, second]))
    store.fold(Batch((1, 1), holds=[first]), "another")
    store.fold(Batch((1, 2), holds=[first._replace(record=b"more")], closed=[("call", 2), ("nobody", 1)]))
    assert store.holds() == [first._replace(record=b"more")]
    assert store.holds("another") == [first]
    again = opened()
    again.fold(Batch((1, 3), closed=[("call", 1)]))
    assert (again.holds(), again.holds("another")) == ([], [first])


def test_a_batch_folded_twice_counts_once(store):
    batch = Batch((1, 1), counts=[Amount(b"a", NEVER, 5)], holds=[OpenHold("call", 1, b"")])
    assert store.fold(batch)
    assert store.fold(Batch((1, 2), closed=[("call", 1)]))
    assert not store.fold(batch)
    assert (list(store.counts(0)), store.holds()) == ([(b"a", NEVER, 5)], [])


def test_a_batch_that_fails_changes_no_amount_and_no_hold(store):
    good = Batch((1, 1), counts=[Amount(b"a", 9, 1)], holds=[OpenHold("call", 1, b"")])
    with pytest.raises(StoreError, match=TOO_LARGE):
        store.fold(good._replace(counts=[*good.counts, Amount(b"b", 9, 2**63)]))
    assert (list(store.counts(0)), store.holds(), store.position()) == ([], [], (0, 0))
