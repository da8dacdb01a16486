"""Counters in memory: their bounds and what they cost. What they have in common with others is in test_alike.py."""

from __future__ import annotations

import time

import pytest

from adapters.counters import memory
from adapters.counters.memory import Memory
from engine.contracts import Claim, Counter, HoldId, Unit
from engine.windows import LEASE, TOTAL, budget, rate
from tests.adapters.counters.counting import Turned, granted, refused


@pytest.fixture
def clock():
    return Turned()


@pytest.fixture
def counters(clock):
    return Memory(clock)


async def test_what_no_longer_counts_is_forgotten(counters, clock, monkeypatch):
    monkeypatch.setattr(memory, "ESTIMATED", 2)
    windows = [budget("1d"), rate("1m"), rate("1m", "sliding"), rate("1m", "token-bucket"), LEASE, TOTAL]
    every = [Counter("any", Unit.TOKENS, window, 9, (str(one),)) for one, window in enumerate(windows)]
    for number in range(3):
        await granted(counters, number, *(Claim(counter, 2) for counter in every))
    clock.turn(90_000)
    assert len(await counters.sweep()) == 3
    assert len(counters._estimated) == 2
    for _ in range(2):
        await counters.sweep()
    assert [*counters._tallies] == [every[5].id]


async def test_six_claims_cost_little():
    system = Turned()
    system.time, system.monotonic = time.time, time.monotonic
    counters, plenty = Memory(system), 10**15
    windows = [budget("30d"), budget("1d"), rate("1m"), rate("1m"), LEASE]
    caller = [Claim(Counter("any", Unit.USD, window, plenty, (str(one),)), 9) for one, window in enumerate(windows)]
    candidates = [[Claim(Counter("deployment", Unit.TOKENS, rate("1m"), plenty), 300)]]
    used = {claim.counter.id: 5 for claim in caller[:3]}
    best = float("inf")
    for turn in range(5):
        ids = [HoldId(f"call-{turn}-{one}", 0) for one in range(2_000)]
        start = time.perf_counter()
        for one in ids:
            hold = await counters.reserve(one, caller, candidates)
            counters.settle(hold, used)
        best = min(best, (time.perf_counter() - start) / len(ids))
    print(f"reserve and settle of six claims: {best * 1e6:.1f} µs")
    assert best < 60e-6


async def test_no_more_counters_are_opened_than_there_is_room_for(counters, monkeypatch):
    monkeypatch.setattr("adapters.counters.memory.MOST", 2)
    first, second, third = (Counter(f"c{number}", Unit.REQUESTS, rate("1m"), 9) for number in range(3))
    await granted(counters, 1, Claim(first, 1))
    await refused(counters, 2, Claim(second, 1), Claim(third, 1))
    await granted(counters, 3, Claim(first, 1), Claim(second, 1))
    assert (await counters.count(second))[:2] == (0, 1)
    assert len(counters) == 2


@pytest.mark.parametrize("window", [budget("30d"), rate("1h"), rate("1h", "sliding"), rate("1h", "token-bucket")])
async def test_a_hold_of_nothing_may_settle_at_something_though_sweeps_went_by(counters, clock, window):
    counter = Counter("any", Unit.TOKENS, window, 9)
    hold = await granted(counters, 1, Claim(counter, 0))
    for _ in range(5):
        clock.turn(1)
        await counters.renew([hold])
        await counters.sweep()
    counters.settle(hold, {counter.id: 7})
    assert counters.view(counter).used == 7
    await refused(counters, 2, Claim(counter, 3))
