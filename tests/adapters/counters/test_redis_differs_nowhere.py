"""The same operations, in any order, on counters in memory and in a real Valkey: the same grants, refusals and counts."""

from __future__ import annotations

import random

import pytest

from adapters.counters.memory import Memory
from engine.contracts import Claim, Count, Counter, Hold, HoldId, Refused, Unit
from engine.windows import LEASE, TOTAL, budget, rate
from tests.adapters.counters.counting import Turned
from tests.valkey import counting

NAMES = ["total", "daily", "hour", "fixed", "sliding", "bucket", "parallel", "long"]
STEADY = [name for name in NAMES if name != "bucket"]
"""Counters that may be looked at and limited anew at any time: a bucket drains by the limit of the last that looked, and memory
keeps what Redis only shows to who looks. So it is with another algorithm: it begins with a look there, with a grant here."""
TURNS = [0.25, 0.5, 1, 7.75, 29.5, 30, 59.5, 60, 61, 1_800, 3_600, 86_400]


def exact(said: Count | Refused | None) -> tuple | None:
    """Return what was said, its instant in whole microseconds: Redis has no finer ones."""
    if said is None or said.reset_at is None:
        return said
    if isinstance(said, Refused) and said.claim.amount > said.claim.counter.limit:
        # It never fits: when the most of it would is of no use, and memory counts empty buckets of a refusal before.
        return said[:-1]
    return (*said[:-1], -(-said.reset_at // 1_000))


class Pair:
    """Both, and what is open in each."""

    def __init__(self, seed: int, clock: Turned, memory: Memory, redis: object) -> None:
        self.chance = random.Random(seed)
        self.clock, self.both = clock, (memory, redis)
        self.limits = {name: self.chance.choice([0, 7, 20, 60]) for name in NAMES}
        self.open: list[tuple[Hold, Hold]] = []
        self.number = 0
        self.made: dict[tuple, Counter] = {}

    def counter(self, name: str) -> Counter:
        key = (name, self.limits[name])
        if key not in self.made:
            windows = {
                "total": TOTAL, "daily": budget("1d"), "hour": budget("1h", "Europe/Berlin"),
                "fixed": rate("1m"), "sliding": rate("1m", "sliding"), "bucket": rate("1m", "token-bucket"),
                "parallel": LEASE, "long": rate("5m", "sliding"),
            }  # fmt: skip
            unit = Unit.PARALLEL if name == "parallel" else Unit.TOKENS
            self.made[key] = Counter(name, unit, windows[name], self.limits[name])
        return self.made[key]

    def claims(self, names: list[str]) -> list[Claim]:
        return [Claim(self.counter(name), self.chance.choice([1, 2, 5, 9])) for name in names]

    async def reserve(self) -> None:
        names = self.chance.sample(NAMES, self.chance.randint(1, 5))
        rest = [name for name in NAMES if name not in names]
        caller = self.claims(names)
        candidates = [self.claims([self.chance.choice(rest)]) for _ in range(self.chance.choice([0, 0, 1, 2]))]
        self.number += 1
        answers = [await one.reserve(HoldId(f"c{self.number}", 1), caller, candidates) for one in self.both]
        first, second = answers
        assert type(first).__name__.replace("Grant", "Hold") == type(second).__name__.replace("Granted", "Hold")
        if isinstance(first, Hold):
            assert (first.candidate, [*first.claims]) == (second.candidate, [*second.claims])
            assert [*first.left()] == [*second.left()]
            assert [*first.until()] == [*second.until()]
            self.open.append((first, second))
        else:
            assert exact(first) == exact(second)

    async def extend(self) -> None:
        pair = self.chance.choice(self.open)
        claims = self.claims(self.chance.sample(NAMES[:4], self.chance.randint(1, 3)))
        said = []
        for one, hold in zip(self.both, pair, strict=True):
            try:
                said.append(exact(await one.extend(hold, hold.slices + 1, claims)))
            except LookupError as error:
                said.append(str(error))
        assert said[0] == said[1]

    def settle(self) -> None:
        pair = self.open.pop(self.chance.randrange(len(self.open)))
        ids = {counter.id for counter, _ in pair[0].claims}
        amounts = {one: self.chance.choice([0, 1, 3, 8, 30]) for one in sorted(ids) if self.chance.random() < 0.7}
        overruns = [[*one.settle(hold, amounts)] for one, hold in zip(self.both, pair, strict=True)]
        assert overruns[0] == overruns[1]
        if self.chance.random() < 0.2:
            for one, hold in zip(self.both, pair, strict=True):
                one.settle(hold, {})

    def release(self) -> None:
        pair = self.open.pop(self.chance.randrange(len(self.open)))
        for one, hold in zip(self.both, pair, strict=True):
            one.release(hold)

    async def keep(self) -> None:
        some = self.chance.sample(self.open, self.chance.randint(0, len(self.open)))
        lost = [
            sorted(hold.id for hold in await one.renew([pair[place] for pair in some]))
            for place, one in enumerate(self.both)
        ]
        assert lost[0] == lost[1]

    async def step(self) -> None:
        what = self.what = self.chance.choice(
            ["reserve"] * 5 + ["settle", "settle", "release", "extend", "turn", "keep", "sweep", "change", "reset"]
        )
        if what in {"settle", "release", "extend"} and not self.open:
            what = "reserve"
        if what == "turn":
            self.clock.turn(self.chance.choice(TURNS))
        elif what == "sweep":
            for one in self.both:
                await one.sweep()
        elif what == "change":
            self.limits[self.chance.choice(STEADY)] = self.chance.choice([0, 7, 20, 60])
        elif what == "reset":
            counter = self.counter(self.chance.choice(NAMES))
            for one in self.both:
                await one.reset(counter)
        elif what in {"settle", "release"}:
            getattr(self, what)()
        else:
            await getattr(self, what)()

    async def compare(self, names: list[str]) -> None:
        for name in names:
            counter = self.counter(name)
            counts = [exact(await one.count(counter)) for one in self.both]
            assert counts[0] == counts[1], name


@pytest.mark.parametrize("seed", range(30))
async def test_any_order_of_operations(valkey, seed):
    clock = Turned()
    async with counting(valkey.settings(), clock) as redis:
        pair = Pair(seed, clock, Memory(clock), redis)
        for _ in range(80):
            await pair.step()
            await pair.compare(STEADY)
        await pair.compare(NAMES)
