"""Counters operation by operation, wherever they are: in memory, and in a real Valkey by the scripts' own clock."""

from __future__ import annotations

import asyncio

import pytest

from adapters.counters.memory import Memory
from engine.contracts import Claim, Counter, Hold, HoldId, Overrun, Unit
from engine.windows import LEASE, SECOND, budget, rate
from tests.adapters.counters.counting import NOON, Turned, granted, refused, usd
from tests.valkey import counting


@pytest.fixture
def clock():
    return Turned()


@pytest.fixture(params=["memory", "redis"])
async def counters(request, clock):
    if request.param == "memory":
        yield Memory(clock)
        return
    async with counting(request.getfixturevalue("valkey").settings(), clock) as found:
        yield found


async def test_a_hold_counts_until_it_settles_at_what_was_used(counters):
    money = usd(100)
    hold = await granted(counters, 1, Claim(money, 60))
    assert await counters.count(money) == (0, 60, None)
    assert await refused(counters, 2, Claim(money, 41)) == (Claim(money, 41), 0, 60, None)
    assert counters.settle(hold, {money.id: 10}) == ()
    assert await counters.count(money) == (10, 0, None)
    counters.release(await granted(counters, 3, Claim(money, 90)))
    assert await counters.count(money) == (10, 0, None)


async def test_a_burst_gets_exactly_what_the_budget_holds(counters):
    claims = [Claim(usd(10), 1), Claim(Counter("parallel", Unit.PARALLEL, LEASE, 150), 1)]
    answers = await asyncio.gather(*(counters.reserve(HoldId(f"call-{one}", 0), claims, ()) for one in range(200)))
    assert sum(isinstance(answer, Hold) for answer in answers) == 10
    assert (await counters.count(claims[1].counter)).held == 10


async def test_all_claims_are_granted_or_none(counters):
    money, requests = usd(100), Counter("rpm", Unit.REQUESTS, rate("1m"), 1)
    await granted(counters, 1, Claim(money, 1), Claim(requests, 1))
    answer = await refused(counters, 2, Claim(money, 1), Claim(requests, 1))
    assert answer == (Claim(requests, 1), 0, 1, (NOON + 60) * SECOND)
    assert (await counters.count(money)).held == 1


async def test_the_first_candidate_that_fits_is_taken(counters):
    money, small, large = usd(100), usd(5, "small", budget("1d")), usd(50, "large", budget("1h"))
    candidates = [[Claim(small, 10)], [Claim(large, 10)]]
    hold = await granted(counters, 1, Claim(money, 10), candidates=candidates)
    assert (hold.candidate, [*hold.claims]) == (1, [Claim(money, 10), Claim(large, 10)])
    # None fits: the refusal is the one that is over first, and the caller's claims are given back.
    answer = await refused(counters, 2, Claim(money, 10), candidates=[[Claim(small, 10)], [Claim(large, 45)]])
    assert answer == (Claim(large, 45), 0, 10, (NOON + 3_600) * SECOND)
    assert (await counters.count(money)).held == 10


async def test_what_is_not_named_was_used_as_held_and_a_repetition_changes_nothing(counters):
    money = usd(100)
    hold = await granted(counters, 1, Claim(money, 7))
    assert await granted(counters, 1, Claim(money, 7)) is hold
    for _ in range(2):
        counters.settle(hold, {})
        counters.release(hold)
        counters.settle(hold, {money.id: 3})
    assert await counters.count(money) == (7, 0, None)


async def test_a_hold_settles_in_the_window_it_was_taken_in(counters, clock):
    daily, minute = usd(100, "daily", budget("1d")), Counter("tpm", Unit.TOKENS, rate("1m"), 100)
    hold = await granted(counters, 1, Claim(daily, 60), Claim(minute, 60))
    clock.turn(43_200)
    hold_of_today = await granted(counters, 2, Claim(daily, 100), Claim(minute, 100))
    counters.settle(hold, {daily.id: 99, minute.id: 99})
    assert await counters.count(daily) == (0, 100, (NOON + 43_200 + 86_400) * SECOND)
    counters.settle(hold_of_today, {})
    assert (await counters.count(minute)).used == 100


async def test_a_reset_is_at_the_instant_and_a_clock_set_back_opens_no_window_again(counters, clock):
    daily = usd(10, "daily", budget("1d"))
    counters.settle(await granted(counters, 1, Claim(daily, 10)), {})
    clock.wall = NOON + 43_199.75
    await refused(counters, 2, Claim(daily, 1))
    clock.wall = NOON + 43_200
    counters.settle(await granted(counters, 3, Claim(daily, 10)), {})
    clock.wall = NOON + 43_190
    await refused(counters, 4, Claim(daily, 1))


async def test_a_fixed_window_begins_with_its_first_granted_call(counters, clock):
    minute, never = Counter("rpm", Unit.REQUESTS, rate("1m"), 1), usd(0)
    await refused(counters, 1, Claim(minute, 2))
    await refused(counters, 2, Claim(minute, 1), Claim(never, 1))
    clock.turn(30)
    counters.settle(await granted(counters, 3, Claim(minute, 1)), {})
    clock.turn(59.75)
    assert (await refused(counters, 4, Claim(minute, 1))).reset_at == (NOON + 90) * SECOND
    clock.turn(0.25)
    await granted(counters, 5, Claim(minute, 1))


async def test_a_sliding_window_lets_go_bucket_by_bucket(counters, clock):
    sliding = Counter("tpm", Unit.TOKENS, rate("1m", "sliding"), 10)
    counters.settle(await granted(counters, 1, Claim(sliding, 4)), {})
    clock.turn(30)
    counters.settle(await granted(counters, 2, Claim(sliding, 6)), {})
    assert (await refused(counters, 3, Claim(sliding, 4))).reset_at == (NOON + 61) * SECOND
    assert (await refused(counters, 3, Claim(sliding, 5))).reset_at == (NOON + 91) * SECOND
    clock.turn(30.75)
    await refused(counters, 3, Claim(sliding, 4))
    clock.turn(0.25)
    counters.settle(await granted(counters, 3, Claim(sliding, 4)), {})


async def test_a_token_bucket_refills_by_the_limit_in_each_window(counters, clock):
    bucket = Counter("tpm", Unit.TOKENS, rate("1m", "token-bucket"), 60)
    counters.settle(await granted(counters, 1, Claim(bucket, 60)), {})
    assert (await refused(counters, 2, Claim(bucket, 5))).reset_at == (NOON + 5) * SECOND
    clock.turn(5)
    hold = await granted(counters, 2, Claim(bucket, 5))
    await refused(counters, 3, Claim(bucket, 1))
    clock.turn(2)
    counters.release(hold)
    assert (await counters.count(bucket)).used == 53
    counters.settle(await granted(counters, 3, Claim(bucket, 7)), {bucket.id: 27})
    assert (await refused(counters, 4, Claim(bucket, 1))).reset_at == (NOON + 7 + 21) * SECOND


async def test_what_has_run_out_of_a_token_bucket_cannot_be_given_back(counters, clock):
    bucket = Counter("tpm", Unit.TOKENS, rate("1m", "token-bucket"), 60)
    hold = await granted(counters, 1, Claim(bucket, 5))
    clock.turn(2)
    await granted(counters, 2, Claim(bucket, 4))
    counters.release(hold)
    assert (await counters.count(bucket)).used == 4


async def test_a_refusal_elsewhere_takes_nothing_from_holds_in_a_bucket(counters):
    bucket, never = Counter("tpm", Unit.TOKENS, rate("1m", "token-bucket"), 60), usd(0)
    hold = await granted(counters, 1, Claim(bucket, 20))
    await refused(counters, 2, Claim(bucket, 40), Claim(never, 1))
    counters.release(hold)
    assert (await counters.count(bucket)).used == 0


async def test_a_slice_is_held_once_against_the_limit_in_force(counters, clock):
    minute = Counter("tpm", Unit.TOKENS, rate("1m"), 10)
    hold = await granted(counters, 1, Claim(minute, 6))
    for _ in range(2):
        assert await counters.extend(hold, 1, [Claim(minute, 4)]) is None
    assert await counters.extend(hold, 2, [Claim(minute, 1)]) == (Claim(minute, 1), 0, 10, (NOON + 60) * SECOND)
    raised = Counter("tpm", Unit.TOKENS, rate("1m"), 12)
    assert await counters.extend(hold, 2, [Claim(raised, 2)]) is None
    # A slice of the next window is held there; the amount fills the earlier ones first.
    clock.turn(60)
    await counters.renew([hold])
    with pytest.raises(LookupError, match="call-1/0 is not open"):
        await counters.extend(hold, 3, [Claim(raised, 5)])


async def test_slices_settle_where_each_was_taken_the_first_filled_first(counters, clock):
    minute = Counter("tpm", Unit.TOKENS, rate("1m"), 10)
    hold = await granted(counters, 1, Claim(minute, 6))
    clock.turn(59)
    assert await counters.renew([hold]) == []
    clock.turn(1)
    assert await counters.extend(hold, 1, [Claim(minute, 9)]) is None
    assert await counters.count(minute) == (0, 9, (NOON + 120) * SECOND)
    assert counters.settle(hold, {minute.id: 18}) == [Overrun(minute, 3)]
    assert (await counters.count(minute))[:2] == (12, 0)


async def test_nothing_is_admitted_after_an_overrun_until_it_fits(counters):
    money = usd(100)
    assert counters.settle(await granted(counters, 1, Claim(money, 60)), {money.id: 130}) == [Overrun(money, 70)]
    assert await refused(counters, 2, Claim(money, 0)) == (Claim(money, 0), 130, 0, None)
    await granted(counters, 3, Claim(usd(131), 1))


async def test_a_changed_limit_or_algorithm_keeps_the_counter_a_changed_unit_or_window_starts_one(counters):
    tokens = Counter("tpm", Unit.TOKENS, rate("1m"), 10)
    counters.settle(await granted(counters, 1, Claim(tokens, 6)), {})
    for algorithm in ("sliding", "token-bucket", "fixed"):
        changed = Counter("tpm", Unit.TOKENS, rate("60s", algorithm), 8, name="other words")
        assert changed.id == tokens.id
        assert (await refused(counters, 2, Claim(changed, 3)))[1:3] == (6, 0)
    others = {Counter("tpm", unit, rate(window), 8).id for unit in Unit for window in ("1m", "2m")}
    values = {Counter("tpm", Unit.TOKENS, rate("1m"), 8, one).id for one in (("a",), ("b",), ("a", "b"), ("ab",))}
    assert len(others | values) == 2 * len(Unit) + 4
    with pytest.raises(ValueError, match="`tpm`: a limit is not below 0, as -1 is"):
        Counter("tpm", Unit.TOKENS, rate("1m"), -1)


async def test_an_expired_lease_counts_as_used_until_its_settle_arrives_once(counters, clock):
    money, parallel = usd(100), Counter("parallel", Unit.PARALLEL, LEASE, 1)
    hold = await granted(counters, 1, Claim(money, 60), Claim(parallel, 1))
    clock.turn(59)
    await refused(counters, 2, Claim(parallel, 1))
    clock.turn(1)
    await granted(counters, 2, Claim(parallel, 1))
    assert await counters.sweep() == [hold]
    assert hold.estimated
    assert await counters.sweep() == []
    assert (await counters.count(money))[:2] == (60, 0)
    assert await granted(counters, 1, Claim(money, 60)) is hold
    assert await counters.renew([hold]) == [hold]
    assert counters.settle(hold, {money.id: 70}) == [Overrun(money, 10)]
    assert not hold.estimated
    counters.settle(hold, {money.id: 1})
    assert await counters.count(money) == (70, 0, None)
    assert (await counters.count(parallel)).held == 1


async def test_a_reset_starts_anew_and_open_holds_settle_where_they_were_taken(counters):
    money, parallel = usd(100), Counter("parallel", Unit.PARALLEL, LEASE, 1)
    hold = await granted(counters, 1, Claim(money, 60), Claim(parallel, 1))
    await counters.reset(money)
    await counters.reset(parallel)
    await granted(counters, 2, Claim(money, 100))
    counters.settle(hold, {money.id: 70})
    assert await counters.count(money) == (0, 100, None)
    assert (await counters.count(parallel)).held == 0
