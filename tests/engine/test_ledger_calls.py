"""Whole calls of the ledger: retries, what counts and what does not, whose limits hold, and what is on record at the end."""

from __future__ import annotations

import json

import pytest

from engine.amounts import Fixed
from engine.call import Usage
from engine.claims import HoldId, Scope
from engine.counting import Customer, counted
from engine.errors import InternalError, PolicyError, UpstreamError
from engine.forward import Forwarder
from engine.posting import Held, Settled, encode
from engine.windows import NEVER
from tests.engine.deciding import NOW, asking, chat, document, person, snapshot_of
from tests.engine.keeping import (
    IN,
    KEY,
    OUT,
    PRICE,
    Kept,
    Turned,
    attempt,
    claimed,
    done,
    of,
    priced,
    settle,
    used,
    words,
)

SNAPSHOT = snapshot_of(models={"a": priced(), "free": "echo/free"})


class First:
    """Chance that always draws the first of what has any weight."""

    def random(self) -> float:
        return 0.0


@pytest.fixture
def clock():
    return Turned()


@pytest.fixture
def kept(tmp_path, clock):
    made = Kept(tmp_path, clock)
    yield made
    made.end()


def calling(number=1, snapshot=SNAPSHOT, caller=None, **members):
    """Make a call of ten words."""
    said = {"max_tokens": 20, **chat(words(10)), **members}
    return asking(snapshot, said, caller or limited(), call_id=f"call-{number}")


def limited(**limits):
    return person(key_hash=KEY, allowances=(of(Scope.KEY, KEY, **limits),))


def count(kept, call, unit="usd", scope="api_key"):
    """Return what a counter of a call has used and holds."""
    every = (
        *counted(call, lambda _: None).counters,
        *(one for each in call.group.deployments for one in each.counters),
    )
    (found,) = [one for one in every if one.unit == unit and one.subject.scope == scope]
    return kept.view(found)[:2]


def houses(*deployments, **more):
    """Compile several deployments of model `a`, each priced."""
    listed = [{"model_name": "a", "litellm_params": {"model": "echo/a", **PRICE, **one}} for one in deployments]
    return snapshot_of(models={}, model_list=listed, **more)


async def opened(forwarder, call):
    """Forward a call as far as its answer; return the deployment that gives it."""
    async with forwarder.forward(call):
        return call.deployment


async def test_what_a_deployment_refuses_is_left_to_the_next_one(kept, clock):
    snapshot = houses({"rpm": 1}, {"rpm": 1, "model": "echo/b"})
    forwarder = Forwarder(kept.ledger, First(), clock)
    first, second, third = (calling(number, snapshot, limited(rpm_limit=10)) for number in (1, 2, 3))
    assert await opened(forwarder, first) is snapshot.find("a").deployments[0]
    assert await opened(forwarder, second) is snapshot.find("a").deployments[1]
    assert (second.attempt, claimed(second)["requests api_key"]) == (1, 1)
    with pytest.raises(InternalError, match="no deployment of `a` can take this call: requests of deployment") as error:
        await opened(forwarder, third)
    assert (error.value.status, error.value.retry_after) == (429, 60)
    assert (third.attempt, third.account.hold) == (0, None)
    assert count(kept, third, "requests") == (0, 2)


async def test_what_a_caller_is_refused_no_other_deployment_is_asked(kept, clock):
    forwarder = Forwarder(kept.ledger, First(), clock)
    call = calling(1, houses({}, {"model": "echo/b"}), limited(rpm_limit=0))
    with pytest.raises(PolicyError, match="Rate limit exceeded"):
        await opened(forwarder, call)
    assert kept.ledger.open_holds == 0


async def test_an_attempt_that_fails_costs_nothing_and_the_next_one_holds_anew(kept, clock):
    snapshot = houses({"echo_status": 500, "rpm": 5}, {"max_parallel_requests": 3}, router_settings={"num_retries": 1})
    forwarder = Forwarder(kept.ledger, First(), clock)
    call = calling(1, snapshot, limited(rpm_limit=5, max_budget=1, max_parallel_requests=2))
    assert await opened(forwarder, call) is snapshot.find("a").deployments[1]
    assert call.account.hold.id == HoldId("call-1", 2)
    assert count(kept, call) == (0, 10 * IN + 20 * OUT)
    assert count(kept, call, "requests") == (1, 0)
    assert count(kept, call, "parallel") == (0, 1)
    assert count(kept, call, "requests", "deployment") == (1, 0)


async def test_the_error_of_the_last_attempt_is_the_calls_and_all_of_them_are_one_request(kept, clock):
    snapshot = houses({"echo_status": 500}, {"echo_status": 503}, router_settings={"num_retries": 1})
    call = calling(1, snapshot, limited(rpm_limit=5))
    with pytest.raises(UpstreamError) as error:
        await opened(Forwarder(kept.ledger, First(), clock), call)
    call.error = error.value
    kept.ledger.close(call)
    assert error.value.status == 503
    assert count(kept, call, "requests") == (1, 0)
    assert [(row.status, row.spend) for row in kept.rows()] == [("failure", 0)]


@pytest.mark.parametrize("kind", ["tokens", "inputTokens"])
def test_tokens_from_a_providers_cache_are_not_what_a_rate_is_for(kept, kind):
    snapshot = snapshot_of(
        document("RateLimit", type=kind, rates=[{"limit": 1_000, "window": "1m"}]), models={"a": priced()}
    )
    call = calling(1, snapshot, limited(max_budget=1))
    assert attempt(kept.ledger, call) is None
    settle(kept.ledger, call, 10, 5, cached_input=8)
    assert kept.view(call.counters[0])[:2] == (7 if kind == "tokens" else 2, 0)
    assert count(kept, call) == (call.usage.cost, 0)


def test_a_model_that_costs_nothing_needs_no_budget(kept):
    caller = limited(max_budget=0, tpm_limit=1_000)
    assert attempt(kept.ledger, calling(1, caller=caller)) is not None
    free = calling(2, caller=caller, model="free")
    assert attempt(kept.ledger, free) is None
    assert claimed(free) == {"tokens api_key": 30}
    settle(kept.ledger, free, 10, 20)
    assert kept.ledger.spent.of(KEY) == 0


def test_what_costs_nobody_knows_what_before_its_answer_is_charged_all_the_same(kept):
    for number, refused in ((1, False), (2, False), (3, True)):
        call = calling(number, caller=limited(max_budget=500 / 1e9))
        call.attempt = 1
        need = Fixed(0)
        need.unsure = True
        answer = done(kept.ledger.hold(call, counted(call, kept.ledger.customers), need))
        assert (answer is not None) == refused
        call.usage = Usage()
        call.usage.cost = 300
        kept.ledger.settle(call, call.usage)
    assert count(kept, call) == (600, 0)
    assert kept.ledger.overruns == {"usd": 600}


def test_an_end_user_that_is_blocked_may_not_call_and_holds_nothing(kept):
    kept.ledger.customers = lambda name: Customer(blocked=name == "eve")
    call = calling(user="eve")
    with pytest.raises(PolicyError, match="user blocked from making LLM API calls: `eve`") as error:
        attempt(kept.ledger, call)
    assert (error.value.status, error.value.type, kept.ledger.open_holds) == (400, "user_blocked", 0)
    assert attempt(kept.ledger, calling(user="bob")) is None


def test_an_end_user_has_a_budget_whoever_calls_for_it(kept):
    money = of(Scope.END_USER, "bob", max_budget=(10 * IN + 20 * OUT) / 1e9)
    kept.ledger.customers = lambda name: Customer(allowance=money) if name == "bob" else None
    assert attempt(kept.ledger, calling(1, user="bob")) is None
    refused = attempt(kept.ledger, calling(2, caller=person(key_hash="other"), user="bob"))
    assert refused is not None
    assert refused.claim.counter.subject[:2] == (Scope.END_USER, "bob")
    assert attempt(kept.ledger, calling(3, user="ann")) is None


GUESSED = snapshot_of(models={"a": {"litellm_params": {
    "model": "openai/m", "api_key": "sk-x", "api_base": "http://127.0.0.1:9/v1", **PRICE,
}}})  # fmt: skip


def bound(kept, number) -> tuple[int, int]:
    """Return the input that a call holds for where a limit is near, and its estimate."""
    call = calling(number, GUESSED, limited(max_budget=1, tpm_limit=1_000))
    assert attempt(kept.ledger, call) is None
    assert claimed(call)["usd api_key"] == call.account.wanted.input * IN + 20 * OUT
    return call.account.wanted.input, call.account.wanted.estimate


def learn(kept, count, percent):
    """Let a provider count so many percent of the estimate, so often."""
    for number in range(count):
        call = calling(f"learnt-{percent}-{number}", GUESSED, limited(max_budget=1_000))
        assert attempt(kept.ledger, call) is None
        settle(kept.ledger, call, -(-call.account.wanted.asks(call) * percent // 100), 5)


def test_where_there_is_plenty_the_size_of_a_request_will_do_and_near_the_limit_it_is_measured(kept):
    for number, (budget, rough) in enumerate(((1, True), (0.00001, False)), 1):
        call = calling(f"rough-{number}", GUESSED, limited(max_budget=budget))
        for _ in range(2):  # the first time nothing is prepared yet
            assert attempt(kept.ledger, call) is None
            kept.ledger.release(call)
        assert attempt(kept.ledger, call) is None
        wanted = call.account.wanted
        assert (wanted.input == call.body_size // 4) == rough
        assert wanted.asks(call) > 0
        settle(kept.ledger, call, 10, 5)
        assert count(kept, call)[1] == 0


def test_an_estimate_has_a_quarter_more_until_a_hundred_are_known_then_what_was_learned(kept):
    held, estimate = bound(kept, 1)
    assert held == -(-estimate * 125 // 100)
    learn(kept, 99, 150)
    assert bound(kept, 2)[0] == held
    learn(kept, 1, 150)
    assert estimate * 3 // 2 <= bound(kept, 3)[0] <= estimate * 3 // 2 * 33 // 32 + 1


def test_a_margin_that_has_come_down_to_nothing_can_grow_again(kept):
    learn(kept, 100, 100)
    held, estimate = bound(kept, 1)
    assert held == estimate
    learn(kept, 8 * 20, 150)
    assert bound(kept, 2)[0] >= estimate * 3 // 2


def test_an_attempt_that_is_repeated_is_held_once(kept):
    call = calling(1, caller=limited(max_budget=1))
    assert attempt(kept.ledger, call) is None
    hold = call.account.hold
    call.attempt -= 1
    assert attempt(kept.ledger, call) is None
    assert call.account.hold is hold
    assert count(kept, call) == (0, 10 * IN + 20 * OUT)


def test_an_attempt_that_is_ended_twice_is_charged_once(kept):
    call = calling(1, caller=limited(max_budget=1))
    assert attempt(kept.ledger, call) is None
    settle(kept.ledger, call, 10, 7)
    for end in (kept.ledger.close, kept.ledger.release, lambda one: kept.ledger.settle(one, used(one, 10, 20))):
        end(call)
    assert count(kept, call) == (10 * IN + 7 * OUT, 0)
    assert kept.ledger.spent.of(KEY) == 10 * IN + 7 * OUT
    assert [row.spend for row in kept.rows()] == [10 * IN + 7 * OUT]


def test_what_is_written_twice_of_an_attempt_counts_once_and_other_attempts_count_beside_it(kept):
    call = calling(1, caller=limited(max_budget=1))
    assert attempt(kept.ledger, call) is None
    kept.ledger.settle(call, used(call, 10, 1), final=False)
    assert attempt(kept.ledger, call) is None
    settle(kept.ledger, call, 10, 2)
    row = call.account.row
    identity = counted(call, lambda _: None).counters[0].id
    for number, amount in ((1, 10 * IN + OUT), (2, 10 * IN + 2 * OUT)):
        kept.durable.journal.append(encode(Settled("call-1", number, [(identity, NEVER, amount)], row)))
    kept.restart()
    assert kept.amounts() == {(identity, NEVER): 20 * IN + 3 * OUT}
    assert [one.spend for one in kept.rows()] == [10 * IN + 2 * OUT]
    assert count(kept, call) == (20 * IN + 3 * OUT, 0)


@pytest.mark.parametrize("folded", [False, True])
def test_a_call_that_is_open_when_its_process_dies_is_charged_what_it_held(kept, folded):
    caller = limited(max_budget=1, rpm_limit=5, max_parallel_requests=1)
    call = calling(1, caller=caller)
    assert attempt(kept.ledger, call) is None
    if folded:
        kept.fold()
    kept.restart()
    assert count(kept, call) == (10 * IN + 20 * OUT, 0)
    assert count(kept, call, "requests") == (1, 0)
    assert count(kept, call, "parallel") == (0, 0)
    assert kept.ledger.spent.of(KEY) == 10 * IN + 20 * OUT
    (row,) = kept.rows()
    assert (row.request_id, row.spend, row.prompt_tokens, row.completion_tokens) == ("call-1", 110 + 20, 10, 20)
    assert (row.status, json.loads(row.metadata)) == ("success", {"estimated": True})
    kept.restart()
    assert len(kept.rows()) == 1


def test_a_row_says_all_that_litellm_asks_of_it(kept, clock):
    caller = person(key_hash=KEY, user="u-1", team="t-1", org="o-1", tags=("red", "blue"), allowances=())
    call = calling(1, caller=caller, user="bob")
    call.arrived = clock.steady
    assert attempt(kept.ledger, call) is None
    clock.turn(2)
    call.first_byte, call.account.answer_id = clock.steady, "chatcmpl-9"
    clock.turn(1)
    settle(kept.ledger, call, 10, 7)
    (row,) = kept.rows()
    deployment = call.deployment
    assert row._asdict() == {
        "request_id": "chatcmpl-9", "start_time": NOW, "end_time": NOW + 3, "completion_start_time": NOW + 2,
        "call_type": "acompletion", "status": "success", "api_key": KEY, "user": "u-1", "team_id": "t-1",
        "organization_id": "o-1", "end_user": "bob", "model": "a", "model_id": deployment.id, "model_group": "a",
        "custom_llm_provider": "echo", "api_base": "echo://local", "spend": 10 * IN + 7 * OUT, "prompt_tokens": 10,
        "completion_tokens": 7, "cache_hit": "", "cache_key": "", "session_id": "", "requester_ip_address": "192.0.2.7",
        "request_tags": ("red", "blue"), "metadata": "{}", "payload": "{}",
    }  # fmt: skip


def test_the_row_of_a_call_whose_client_left_has_its_input_marked_as_estimated(kept):
    call = calling(1, caller=limited(max_budget=1))
    assert attempt(kept.ledger, call) is None
    kept.ledger.close(call)
    (row,) = kept.rows()
    assert (row.spend, row.prompt_tokens, row.completion_tokens) == (10 * IN, 10, 0)
    assert json.loads(row.metadata) == {"estimated": True}
    assert kept.ledger.spent.of(KEY) == 10 * IN
    assert encode(Held("", 0, [], call.account.row))


def test_what_is_refused_is_on_no_record(kept):
    call = calling(1, caller=limited(max_budget=0, rpm_limit=3))
    assert attempt(kept.ledger, call) is not None
    kept.ledger.close(call)
    assert (kept.rows(), kept.amounts()) == ([], {})
    assert count(kept, call, "requests") == (0, 0)
