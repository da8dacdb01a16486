"""Folds into any store: all or nothing, once, and seen whole."""

from __future__ import annotations

import threading

import pytest

from engine.storing import (
    Amount,
    Batch,
    Entity,
    EntityFilter,
    EntityPage,
    Gone,
    Kind,
    LogFilter,
    OpenHold,
    Scope,
    SpendRow,
    StoreError,
    UsageQuery,
)
from tests.adapters.stores.folding import START, TOO_LARGE, position_of, rows_of


def test_only_a_position_ahead_counts(store):
    row = SpendRow("one", START, team_id="a", spend=5)
    assert store.position() == (0, 0)
    assert store.fold(Batch((2, 100), [row]))
    for old in ((2, 100), (2, 99), (1, 5000)):
        assert not store.fold(Batch(old, [row], [Entity(Kind.TEAM, "late")]))
    assert store.fold(Batch((3, 40), [row]))
    assert store.position() == (3, 40)
    assert store.fold(Batch((1, 40), [row]), "other")
    assert (store.position(), store.position("other")) == ((3, 40), (1, 40))
    assert store.totals(Scope.TEAM)["a"].spend == 15
    assert store.get(Kind.TEAM, "late") is None


def test_a_fold_that_fails_changes_nothing(store):
    good, bad = SpendRow("one", START, team_id="a", spend=5), SpendRow("two", START, team_id="a", spend=2**63)
    with pytest.raises(StoreError, match=TOO_LARGE):
        store.fold(Batch((1, 1), [good, bad], [Entity(Kind.TEAM, "a")]))
    assert (store.position(), store.log("one"), store.get(Kind.TEAM, "a")) == ((0, 0), [], None)
    assert store.fold(Batch((1, 1), [good], [Entity(Kind.TEAM, "a")]))
    assert store.get(Kind.TEAM, "a").spend == 5


def test_a_sum_too_large_for_a_counter_is_refused_whole(store):
    most = SpendRow("one", START, team_id="a", spend=2**63 - 1)
    assert store.fold(Batch((1, 1), [most]))
    with pytest.raises(StoreError, match=r"cannot store REAL value in INTEGER column|bigint out of range"):
        store.fold(Batch((1, 2), [most]))
    assert store.totals(Scope.TEAM)["a"].spend == 2**63 - 1


def test_readers_do_not_wait_for_a_fold_and_see_none_or_all_of_it(store):
    seen: set[int] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(sum(one.requests for one in store.totals(Scope.MODEL).values()))

    reader = threading.Thread(target=read)
    reader.start()
    for batch in range(5):
        store.fold(Batch(position_of(batch), rows_of(batch)))
    done.set()
    reader.join()
    assert seen <= {400 * batches for batches in range(6)}


def test_a_closed_store_says_so(store):
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.put(Entity(Kind.TEAM, "t"))
    with pytest.raises(StoreError, match="closed"):
        store.totals(Scope.TEAM)


def test_every_opening_sees_the_same_identity_and_no_other_store_has_it(opened):
    first, second = opened(), opened()
    assert first.identity() == second.identity()
    assert len(first.identity()) == 32


def test_a_snapshot_tells_how_far_each_journal_is_folded_and_every_amount(store):
    assert store.snapshot() == ({}, [])
    store.fold(Batch((1, 5), counts=[Amount(b"a", 10, 5), Amount(b"b", 20, 1)]))
    store.fold(Batch((2, 7), counts=[Amount(b"a", 10, 2)]), "other")
    positions, every = store.snapshot()
    assert positions == {"main": (1, 5), "other": (2, 7)}
    assert list(every) == [Amount(b"a", 10, 7), Amount(b"b", 20, 1)]


def test_a_snapshot_never_sees_half_of_a_fold(store):
    torn, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            positions, every = store.snapshot()
            used = sum(one.used for one in every)
            if used != positions.get("main", (0, 0))[1]:
                torn.append((positions, used))

    looking = threading.Thread(target=look)
    looking.start()
    for number in range(1, 60):
        store.fold(Batch((0, number), counts=[Amount(b"a", 10, 1)], holds=[OpenHold("call", number, b"")]))
    done.set()
    looking.join()
    assert torn == []


def test_texts_of_any_length_and_kind_are_folded_and_found(store):
    long = "é" * 5_000
    odd = "\U0010ffff0\0\U0010ffff"
    edges = ["e" * length for length in (39, 40, 41, 199, 200, 201)]
    for number, text in enumerate((long, long + "x", odd, f"{long}\0", *edges)):
        row = SpendRow(text, START, user=text, team_id=text, organization_id=text, end_user=text, model=text,
                       session_id=text, custom_llm_provider=text, request_tags=(text,), spend=3, payload=text)  # fmt: skip
        changes = [Entity(Kind.TEAM, text, alias=text, user_id=text, document={text: text})]
        assert store.fold(Batch((number, 1), [row], changes, holds=[OpenHold(text, 1, b"")]))
        assert store.log(text) == [row]
        assert store.get(Kind.TEAM, text) == changes[0]._replace(spend=3)
        assert store.totals(Scope.TAG)[text].spend == 3
        assert OpenHold(text, 1, b"") in store.holds()
        for name in ("user", "team_id", "end_user", "model", "session_id"):
            assert [one.user for one in store.logs(LogFilter(**{name: text})).rows] == [text]
        assert [one.value for one in store.usage(UsageQuery(Scope.END_USER, values=[text]))] == [text]
        for name in ("id", "alias", "user_id"):
            assert store.list(Kind.TEAM, EntityFilter(**{name: text}), EntityPage()).total == 1
        assert store.fold(Batch((number, 2), closed=[(text, 1)]))
        assert store.holds() == []
        store.fold(Batch((number, 3), changes=[Gone(Kind.TEAM, text)]))
