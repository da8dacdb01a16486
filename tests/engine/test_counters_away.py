"""A ledger whose counters are away: what calls are told, by what their limits say of it. A real Valkey, killed."""

from __future__ import annotations

import asyncio

import pytest

from engine.allowances import Terms
from engine.check import check
from engine.claims import UNLIMITED, Counter, Scope, Unit, too_large
from engine.errors import InternalError
from engine.ledger import Ledger
from engine.quotas import terms
from engine.windows import TOTAL
from tests.engine.building import compiled, loaded
from tests.engine.deciding import asking, chat, document, person, problems, snapshot_of
from tests.engine.keeping import KEY, of, priced
from tests.valkey import Steady, counting, ready, until


async def attempt(ledger, call):
    await check(call)
    call.attempt += 1
    call.deployment = call.group.deployments[0]
    return await ledger.reserve(call, call.deployment)


def calls(snapshot, how="Fail", budget=1.0):
    caller = person(
        key_hash=KEY, allowances=(of(Scope.KEY, KEY, Terms(failure=how), max_budget=budget, rpm_limit=1_000),)
    )
    for number in range(99):
        yield asking(snapshot, chat("one two"), caller, call_id=f"call-{number}")


@pytest.mark.parametrize("how", ["Fail", "Ignore", "Local"])
async def test_a_call_gets_what_its_limits_say(own_valkey, how):
    snapshot = snapshot_of(models={"a": priced(most=10)})
    async with counting(own_valkey.settings()) as counters:
        ledger = Ledger(counters, Steady())
        every = calls(snapshot, how)
        first, second, third = next(every), next(every), next(every)
        assert await attempt(ledger, first) is None
        ledger.settle(first, None)
        if how == "Local":
            await until(lambda: len(counters._shares.holds()) == 2)
        own_valkey.kill()
        await until(lambda: not counters.client.ready)
        if how == "Fail":
            with pytest.raises(InternalError) as found:
                await attempt(ledger, second)
            assert (found.value.status, found.value.type) == (503, "limits_unavailable")
            assert ledger.open_holds == 0
            own_valkey.start()
            await ready(counters, 20)
            assert await attempt(ledger, third) is None
            return
        assert await attempt(ledger, second) is None
        ledger.settle(second, None)
        own_valkey.start()
        await ready(counters, 20)
        requests = next(one for one, _ in second.account.hold.claims if one.unit is Unit.REQUESTS)
        await until(lambda: counters.view(requests).used >= 1)


async def test_a_stream_that_cannot_hold_more_is_told_why(own_valkey):
    snapshot = snapshot_of(models={"a": priced(most=1_000)})
    caller = person(key_hash=KEY, allowances=(of(Scope.KEY, KEY, max_budget=1.0),))
    async with counting(own_valkey.settings()) as counters:
        ledger = Ledger(counters, Steady())
        ledger.callers = lambda _: caller
        call = asking(snapshot, {**chat("one two"), "stream": True}, caller)
        assert await attempt(ledger, call) is None
        own_valkey.pause()
        assert "counters are unavailable" in await ledger.extend(call, call.account.wanted.held + 10)
        with pytest.raises(InternalError, match=r"counters are unavailable|no connection|no answer"):
            await ledger.reset(call.account.hold.claims[0].counter)
        own_valkey.resume()
        await asyncio.sleep(0)
        ledger.close(call)
        assert ledger.open_holds == 0


BUDGET = {"limit": 1, "window": "1d"}
RATE = {"rates": [{"limit": 5, "window": "1m"}]}


@pytest.mark.parametrize(("kind", "fields"), [("Budget", BUDGET), ("RateLimit", RATE)])
@pytest.mark.parametrize("how", ["Fail", "Ignore", "Local"])
async def test_policies_say_what_becomes_of_calls(kind, fields, how):
    snapshot = snapshot_of(document(kind, failurePolicy=how, **fields))
    call = asking(snapshot, chat())
    await check(call)
    assert [one.failure for one in call.counters] == [how]


async def test_what_only_warns_never_fails():
    snapshot = snapshot_of(document("Budget", validationActions=["Warn"], **BUDGET))
    call = asking(snapshot, chat())
    await check(call)
    assert [(one.limit, one.failure) for one in call.counters] == [(UNLIMITED, "Ignore")]
    assert [one.failure for one in of(Scope.KEY, KEY, soft_budget=1).every] == ["Ignore"]


def test_only_limits_have_shares():
    assert problems(document("Budget", failurePolicy="Local", **BUDGET)) == []
    [said] = problems(document("ModelAccess", failurePolicy="Local", models=["a"]))
    assert "failurePolicy" in said
    assert "`Fail`" in said


def test_limits_of_the_configuration_follow_one_setting():
    spec = loaded("general_settings: {limits_failure_policy: Local}")
    assert terms(spec).failure == "Local"
    assert [one.failure for one in of(Scope.KEY, KEY, terms(spec), max_budget=1, rpm_limit=2).every] == [
        "Local",
        "Local",
    ]
    assert terms(loaded("general_settings: {}")).failure == "Fail"


def test_limits_beyond_what_is_counted_exactly_are_named():
    assert "`much`: a limit is 9000000000000000 usd at most" in too_large(
        Counter("much", Unit.USD, TOTAL, 9 * 10**15 + 1)
    )


MUCH = 9_000_001
LARGE = f"""
router_settings: {{redis_host: h}}
model_list: [{{model_name: a, litellm_params: {{model: echo/a, max_budget: {MUCH}}}}}]
keys: [{{key: sk-a, max_budget: {MUCH}}}, {{key: sk-b, model_max_budget: {{a: {MUCH}}}}}, {{key: sk-c, max_budget: 9000000}}]
litellm_settings: {{max_budget: {MUCH}, tag_budget_config: {{t: {{max_budget: {MUCH}}}}}}}
"""


def test_limits_beyond_what_is_counted_exactly_are_found_at_load():
    found = [one.message.split("`")[1] for one in compiled(LARGE).problems if "where processes share" in one.message]
    assert [name.partition(":")[0] for name in found] == ["global", "tag", "deployment", "api_key", "model_per_key"]
    assert not compiled(LARGE.replace("redis_host: h", "")).problems
