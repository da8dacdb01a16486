"""The ledger, rule by rule: what one would otherwise have to guess. test_ledger_laws.py runs them in any order."""

from __future__ import annotations

import json

import pytest

from engine.claims import Scope
from engine.compose import compose
from engine.counting import counted
from tests.engine.deciding import asking, chat, person, snapshot_of
from tests.engine.keeping import IN, KEY, OUT, Kept, Turned, attempt, claimed, done, of, priced, settle, words

SNAPSHOT = snapshot_of(models={"a": priced(), "known": priced("echo/known", 1_000), "free": "echo/free"})


@pytest.fixture
def clock():
    return Turned()


@pytest.fixture
def kept(tmp_path, clock):
    made = Kept(tmp_path, clock)
    yield made
    made.end()


def nano(amount: int) -> float:
    return amount / 1e9


def paying(budget: int, snapshot=SNAPSHOT, *, number=1, asked=10, operation="chat", limits=None, **members):
    """Make a call of a key with so much money, of a prompt of so many words."""
    caller = person(key_hash=KEY, allowances=(of(Scope.KEY, KEY, max_budget=nano(budget), **(limits or {})),))
    body = {**chat(words(asked)), **members}
    if operation == "responses":
        body["input"] = body.pop("messages")[0]["content"]
    if operation == "embeddings":
        body = {"model": "a", "input": words(asked), **members}
    return asking(snapshot, body, caller, operation=operation, call_id=f"call-{number}")


def sent(call) -> dict:
    """Return what the upstream is asked, but for what was said."""
    body = json.loads(b"".join(compose(call, call.deployment)))
    return {name: value for name, value in body.items() if name not in ("model", "messages", "input")}


def answer(kept, *outputs: int) -> None:
    """Let answers of these lengths be learned of."""
    for at, output in enumerate(outputs):
        call = paying(10**9, number=f"before-{at}", max_tokens=output)
        assert attempt(kept.ledger, call) is None
        settle(kept.ledger, call, 10, output)


@pytest.mark.parametrize(
    ("money", "members", "limit"),
    [
        (10 * IN + 194 * OUT, {"max_tokens": 500}, 194),
        (10 * IN + 194 * OUT + OUT - 1, {"max_tokens": 500}, 194),
        (10 * IN + 16 * OUT, {"max_tokens": 500}, 16),
        (10 * IN + 194 * OUT, {}, 194),
        # Nothing learned: no more than 256, as long as all that was asked for does not fit.
        (10 * IN + 499 * OUT, {"max_tokens": 500}, 256),
        (10 * IN + 194 * OUT, {"max_tokens": 500, "n": 3}, 64),
        (10 * IN + 32 * OUT, {"n": 2}, 16),
    ],
)
def test_an_answer_is_made_as_short_as_what_remains(kept, money, members, limit):
    call = paying(money, **members)
    assert attempt(kept.ledger, call) is None
    assert call.account.shortest == limit
    assert sent(call) == {**members, "max_tokens": limit}
    assert claimed(call) == {"usd api_key": 10 * IN + limit * members.get("n", 1) * OUT}


@pytest.mark.parametrize(
    ("money", "members"),
    [
        (10 * IN + 15 * OUT, {"max_tokens": 500}),
        (10 * IN + 16 * OUT - 1, {}),
        (10 * IN + 31 * OUT, {"max_tokens": 500, "n": 2}),
        (10 * IN + 4 * OUT, {"max_tokens": 5}),
        (10 * IN - 1, {"max_tokens": 0}),
    ],
)
def test_below_sixteen_tokens_a_choice_or_the_clients_own_smaller_wish_it_is_refused(kept, money, members):
    call = paying(money, **members)
    refused = attempt(kept.ledger, call)
    assert refused is not None
    assert (refused.used, refused.held, kept.ledger.open_holds, call.attempt) == (0, 0, 0, 0)


def test_a_client_that_wants_less_than_sixteen_gets_it(kept):
    call = paying(10 * IN + 5 * OUT, max_completion_tokens=5)
    assert attempt(kept.ledger, call) is None
    assert (call.account.shortest, sent(call)) == (None, {"max_completion_tokens": 5})


@pytest.mark.parametrize(
    ("operation", "members", "word"),
    [
        ("chat", {"max_completion_tokens": 500}, "max_completion_tokens"),
        ("chat", {}, "max_tokens"),
        ("responses", {"max_output_tokens": 500}, "max_output_tokens"),
        ("responses", {}, "max_output_tokens"),
    ],
)
def test_a_shorter_answer_is_asked_for_in_the_clients_words(kept, operation, members, word):
    call = paying(10 * IN + 20 * OUT, operation=operation, **members)
    assert attempt(kept.ledger, call) is None
    assert sent(call) == {word: 20}


@pytest.mark.parametrize(("usual", "limit"), [(40, 40), (3, 16)])
def test_an_answer_that_must_be_shorter_is_as_long_as_answers_usually_are_but_sixteen_at_least(kept, usual, limit):
    answer(kept, *[usual] * 20)
    spent = kept.ledger.spent.of(KEY)
    call = paying(spent + 10 * IN + 100 * OUT, max_tokens=500)
    assert attempt(kept.ledger, call) is None
    assert call.account.shortest == limit


@pytest.mark.parametrize(("more", "limit"), [(0, None), (-1, 4_096)])
def test_an_answer_of_unknown_length_is_cut_at_4096_once_fewer_than_ten_such_holds_remain(kept, more, limit):
    held = 10 * IN + 4_096 * OUT
    call = paying(11 * held + more)
    assert attempt(kept.ledger, call) is None
    assert claimed(call) == {"usd api_key": held}
    assert sent(call) == ({} if limit is None else {"max_tokens": limit})


@pytest.mark.parametrize(("model", "members", "most"), [("known", {}, 1_000), ("a", {"max_tokens": 300}, 300)])
def test_an_answer_whose_most_is_known_is_held_in_full_and_not_cut(kept, model, members, most):
    call = paying(10 * IN + most * OUT, model=model, **members)
    assert attempt(kept.ledger, call) is None
    assert claimed(call) == {"usd api_key": 10 * IN + most * OUT}
    assert sent(call) == members


@pytest.mark.parametrize(
    ("answers", "members", "held"),
    [
        ([], {"max_tokens": 1_000}, 256),
        ([], {"max_tokens": 50}, 50),
        ([], {}, 256),
        ([10] * 19, {}, 256),
        ([10] * 20, {"max_tokens": 1_000}, 10),
        ([*[10] * 18, 30, 30], {}, 30),
        ([10] * 20, {"max_tokens": 4}, 4),
    ],
)
def test_a_rate_of_tokens_admits_on_what_answers_usually_take(kept, answers, members, held):
    answer(kept, *answers)
    call = paying(10**9, limits={"tpm_limit": 10_000}, **members)
    assert attempt(kept.ledger, call) is None
    assert claimed(call)["tokens api_key"] == 10 + held
    settle(kept.ledger, call, 10, 900)
    tokens = next(one for one in counted(call, lambda _: None).counters if one.unit == "tokens")
    assert kept.view(tokens)[:2] == (910, 0)


@pytest.mark.parametrize(("members", "first"), [({}, 256), ({"max_tokens": 100}, 100), ({"n": 20}, 320)])
def test_a_stream_begins_with_a_slice(kept, members, first):
    call = paying(10**9, stream=True, limits={"tpm_limit": 10_000}, **members)
    assert attempt(kept.ledger, call) is None
    assert claimed(call) == {"usd api_key": 10 * IN + first * OUT, "tokens api_key": 10 + first}


def test_a_stream_holds_as_much_again_each_time_up_to_its_most(kept):
    call = paying(10**9, stream=True, max_tokens=1_300, limits={"tpm_limit": 10_000})
    kept.ledger.callers = lambda _: call.caller
    assert attempt(kept.ledger, call) is None
    for seen, held in ((257, 512), (513, 1_024), (1_025, 1_300)):
        assert done(kept.ledger.extend(call, seen)) is None
        assert claimed(call) == {"usd api_key": 10 * IN + held * OUT, "tokens api_key": 10 + held}
    settle(kept.ledger, call, 10, 1_100)
    assert kept.ledger.overruns == {}
    assert kept.ledger.spent.of(KEY) == 10 * IN + 1_100 * OUT


def test_a_stream_that_cannot_have_as_much_again_has_what_it_needs_then_nothing(kept):
    call = paying(10 * IN + 300 * OUT, stream=True)
    kept.ledger.callers = lambda _: call.caller
    assert attempt(kept.ledger, call) is None
    assert done(kept.ledger.extend(call, 280)) is None
    assert claimed(call) == {"usd api_key": 10 * IN + 280 * OUT}
    assert "Budget has been exceeded" in done(kept.ledger.extend(call, 301))
    assert claimed(call) == {"usd api_key": 10 * IN + 280 * OUT}


@pytest.mark.parametrize("blocked", ["key", "team", "gone"])
def test_a_stream_of_a_key_that_may_call_no_more_gets_nothing(kept, blocked):
    call = paying(10**9, stream=True)
    fresh = person()
    fresh.blocked, fresh.team_blocked = blocked == "key", blocked == "team"
    kept.ledger.callers = lambda _: None if blocked == "gone" else fresh
    assert attempt(kept.ledger, call) is None
    assert done(kept.ledger.extend(call, 300)) == "this key may not call any more"


def rates(kept, call) -> dict[str, int]:
    """Return what counters of requests have, by whose they are."""
    own = counted(call, lambda _: None)
    every = (*own.counters, *(one for deployment in call.group.deployments for one in deployment.counters))
    return {one.subject.scope: kept.view(one).used for one in every if one.unit == "requests"}


TWO = {"model_list": [
    {"model_name": "a", "litellm_params": {"model": f"echo/{one}", "rpm": 1, **more}}
    for one, more in (("first", {"echo_status": 500}), ("second", {}))
]}  # fmt: skip


def test_a_call_is_one_request_however_many_attempts_it_takes(kept):
    call = paying(10**9, snapshot_of(models={"a": priced(rpm=5)}), limits={"rpm_limit": 5})
    for number in range(1, 4):
        assert attempt(kept.ledger, call) is None
        assert call.account.hold.id.attempt == number
        kept.ledger.settle(call, None, final=False)
    assert rates(kept, call) == {"api_key": 1, "deployment": 3}
    assert attempt(kept.ledger, call) is None
    settle(kept.ledger, call, 10, 3)
    assert rates(kept, call) == {"api_key": 1, "deployment": 4}
    assert [(row.spend, row.request_id) for row in kept.rows()] == [(10 * IN + 3 * OUT, "call-1")]


def test_an_attempt_that_was_given_back_counts_nothing(kept):
    call = paying(10**9, snapshot_of(models={"a": priced(rpm=5)}), limits={"rpm_limit": 5})
    assert attempt(kept.ledger, call) is None
    kept.ledger.release(call)
    kept.ledger.close(call)
    assert rates(kept, call) == {"api_key": 0, "deployment": 0}
    assert (kept.rows(), set(kept.amounts().values())) == ([], set())


def test_an_attempt_that_was_given_back_leaves_those_before_it_counted(kept):
    call = paying(10**7, limits={"rpm_limit": 5})
    assert attempt(kept.ledger, call) is None
    kept.ledger.settle(call, None, final=False)
    assert attempt(kept.ledger, call) is None
    kept.ledger.release(call)
    assert rates(kept, call) == {"api_key": 1}
    assert attempt(kept.ledger, call) is None
    assert claimed(call) == {"usd api_key": 10 * IN + 4_096 * OUT}
    kept.ledger.release(call)
    kept.ledger.close(call)
    assert rates(kept, call) == {"api_key": 1}
    assert len(kept.rows()) == 1
