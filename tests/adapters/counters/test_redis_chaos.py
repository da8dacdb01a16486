"""Three processes spend one budget while Redis is paused, killed, cut off and started anew: nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from engine.contracts import Claim, Counter, CountersError, Hold, HoldId, Unit
from engine.windows import LEASE, TOTAL, rate
from tests.adapters.counters.remembering import Journal, Store
from tests.valkey import counting, ready, until

LIMIT = 60_000


class Spending:
    """One process's calls, and what they used."""

    def __init__(self, counters, past, chance, claims):
        self.counters, self.past, self.chance, self.claims = counters, past, chance, claims
        self.used = self.calls = self.refused = self.failed = 0
        self.over = False

    async def call(self, name):
        claims = [Claim(one, self.chance.randint(1, 90) if one.unit is Unit.USD else 1) for one in self.claims]
        try:
            hold = await self.counters.reserve(HoldId(name, 1), claims, ())
        except CountersError:
            self.failed += 1
            await asyncio.sleep(0.01)
            return
        if not isinstance(hold, Hold):
            self.refused += 1
            return
        await asyncio.sleep(self.chance.choice([0, 0, 0.002, 0.05]))
        money = claims[0]
        used = self.chance.randint(0, money.amount)
        amounts = {one.counter.id: used if one is money else 1 for one in claims}
        self.counters.settle(hold, amounts)
        self.past.settled(hold, amounts)
        self.used += used
        self.calls += 1

    async def run(self, name):
        number = 0
        while not self.over:
            await self.call(f"{name}-{number}")
            number += 1
            if self.chance.random() < 0.01:
                self.past.fold()
            await asyncio.sleep(0)


async def disturb(chance, server, every):
    await asyncio.sleep(chance.uniform(0.2, 1.5))
    what = chance.choice(["pause", "restart", "cut", "down"])
    if what == "pause":
        server.pause()
        await asyncio.sleep(chance.uniform(0.05, 0.8))
        server.resume()
    elif what == "restart":
        server.restart()
    elif what == "down":
        server.kill()
        await asyncio.sleep(chance.uniform(0.1, 1))
        server.start()
    else:
        link = chance.choice(every).client.link
        if link is not None:
            link.close("cut by a test")


@pytest.mark.parametrize("how", ["Fail", "Local", "Ignore"])
async def test_the_sums_are_what_was_used(own_valkey, how):
    await spend(own_valkey, 1, how)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("how", ["Fail", "Local", "Ignore"])
async def test_the_sums_are_what_was_used_in_many_runs(own_valkey, seed, how):
    await spend(own_valkey, seed, how)


async def spend(own_valkey, seed, how):
    """Let three processes spend, disturb them, and add up."""
    chance, store = random.Random(seed), Store()
    money = Counter("money", Unit.USD, TOTAL, LIMIT)
    requests, parallel = Counter("rpd", Unit.REQUESTS, rate("1d"), 10**6), Counter("p", Unit.PARALLEL, LEASE, 500)
    for one in (money, requests, parallel):
        one.failure = how
    pasts = [Journal(store, f"journal-{number}") for number in range(3)]
    settings = own_valkey.settings()
    async with contextlib.AsyncExitStack() as stack:
        every = [await stack.enter_async_context(counting({**settings, "past": past})) for past in pasts]
        spending = [
            Spending(counters, past, chance, [money, requests, parallel])
            for counters, past in zip(every, pasts, strict=True)
        ]
        calling = [
            asyncio.create_task(one.run(f"{place}-{lane}")) for place, one in enumerate(spending) for lane in range(8)
        ]
        await asyncio.sleep(1.2)
        for _ in range(4):
            await disturb(chance, own_valkey, every)
        await asyncio.sleep(1.0)
        for one in spending:
            one.over = True
        await asyncio.gather(*calling)
        for counters in every:
            await ready(counters, 30)
        for counters in every:
            await counters.close()
            await until(lambda counters=counters: counters._endings.done, 20)
        used, calls = sum(one.used for one in spending), sum(one.calls for one in spending)
        assert calls > 100
        if how != "Ignore":
            assert used <= LIMIT

        async def sums():
            return [(await every[0].count(one))[:2] for one in (money, requests, parallel)]

        for _ in range(200):
            with contextlib.suppress(CountersError):
                found = await sums()
                if found == [(used, 0), (calls, 0), (0, 0)]:
                    break
            await asyncio.sleep(0.05)
        assert found == [(used, 0), (calls, 0), (0, 0)], [one.failed for one in spending]
