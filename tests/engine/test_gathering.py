"""What records of the ledger come to."""

from __future__ import annotations

import json

import msgspec
import pytest

from engine.gathering import Gathering
from engine.posting import Held, Released, Reset, Settled, decode, encode
from engine.storing import Amount, Batch, OpenHold
from tests.engine.settling import held, row, settled

A, B = b"a" * 16, b"b" * 16


def gathered(*payloads: bytes, known=None, before=()) -> Batch:
    gathering = Gathering(known or {}, before)
    for payload in payloads:
        gathering.add(payload)
    return gathering.batch((1, 1))


def test_what_was_settled_counts_and_has_its_row():
    batch = gathered(held("call", 9), settled("call", 4), encode(Settled("other", 1, [(A, 7, 2)], None)))
    assert batch.counts == [(b"all that was spent", 2**63 - 1, 4), (A, 7, 2)]
    assert [(one.request_id, one.spend, one.team_id, one.prompt_tokens) for one in batch.rows] == [
        ("call", 4, "team-1", 3)
    ]
    assert (batch.holds, batch.closed) == ([], [])


def test_a_hold_that_was_given_back_counts_nowhere():
    assert gathered(held("call", 9), encode(Released("call", 1))) == gathered()


def test_a_hold_that_grew_holds_the_sum_and_its_last_row():
    first = encode(Held("call", 1, [(A, 7, 2), (B, 7, 1)], row("call", 2)))
    second = encode(Held("call", 1, [(A, 7, 3), (A, 8, 1)], row("call", 5)))
    (hold,) = gathered(first, second).holds
    assert decode(hold.record) == Held("call", 1, [(A, 7, 5), (B, 7, 1), (A, 8, 1)], row("call", 5))
    assert gathered(second, known={("call", 1): first}).holds == [hold]


def test_a_hold_that_was_known_is_closed_when_it_ends():
    known = {("call", 1): held("call", 9), ("gone", 1): held("gone", 9), ("still", 1): held("still", 9)}
    batch = gathered(settled("call", 4), encode(Released("gone", 1)), encode(Released("never", 1)), known=known)
    assert (batch.closed, batch.holds) == ([("call", 1), ("gone", 1)], [])
    again = gathered(settled("call", 4), held("call", 2), known=known)
    assert (again.closed, again.holds) == ([("call", 1)], [OpenHold("call", 1, held("call", 2))])


def test_a_reset_ends_what_was_used_before_it():
    used = encode(Settled("call", 1, [(A, 7, 2), (A, 8, 2), (B, 7, 1)], None))
    after = encode(Settled("later", 1, [(A, 8, 5)], None))
    batch = gathered(used, encode(Reset(A)), after)
    assert (batch.resets, batch.counts) == ([A], [Amount(B, 7, 1), Amount(A, 8, 5)])


def test_a_repeat_of_what_was_settled_lately_is_ignored():
    assert gathered(settled("call", 4), settled("call", 4)) == gathered(settled("call", 4))
    assert gathered(settled("call", 4), before={("call", 1)}) == gathered()
    assert len(gathered(settled("call", 4), settled("call", 4, attempt=2)).rows) == 2


def test_an_estimate_counts_what_was_held_and_says_so():
    failed = row("call", 9)
    failed.status, failed.metadata = "failure", '{"route": "chat"}'
    gathering = Gathering({("call", 1): b""})
    gathering.estimate(encode(Held("call", 1, [(A, 7, 9)], failed)))
    batch = gathering.batch((1, 1))
    assert (batch.counts, batch.closed) == ([(A, 7, 9)], [("call", 1)])
    (found,) = batch.rows
    assert (found.status, found.spend) == ("success", 9)
    assert json.loads(found.metadata) == {"route": "chat", "estimated": True}


def test_what_is_no_record_is_refused():
    with pytest.raises(msgspec.DecodeError):
        gathered(b"not a record")
