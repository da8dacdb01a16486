"""Counters in memory under any order of operations, beside a model that adds up every claim ever granted."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from adapters.counters.memory import Memory
from engine.contracts import Claim, Counter, Hold, HoldId, Refused, Unit
from engine.windows import LEASE, TOTAL, Algorithm, budget, rate

NOON, LEASED, MINUTE, DAY = 1_778_068_800, 60, 60, 86_400
WINDOWS = {
    "total": TOTAL, "daily": budget("1d"), "fixed": rate("1m"), "sliding": rate("1m", "sliding"),
    "bucket": rate("1m", "token-bucket"), "parallel": LEASE, "first": budget("1h"), "second": TOTAL,
}  # fmt: skip
CALLERS, DEPLOYMENTS = ["total", "daily", "fixed", "sliding", "bucket", "parallel"], ["first", "second"]
HIGHEST = 14
AMOUNTS = st.integers(1, 6)
CLAIMS = st.dictionaries(st.sampled_from(CALLERS), AMOUNTS, min_size=1)
CANDIDATES = st.lists(st.dictionaries(st.sampled_from(DEPLOYMENTS), AMOUNTS, min_size=1, max_size=1), max_size=2)


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class Entry:
    """One claim as it was granted: when, in which window, and what it counts now."""

    def __init__(self, name: str, held: int, at: int, window: Any) -> None:
        self.name, self.held, self.at, self.window = name, held, at, window
        self.used = 0
        self.open = True

    @property
    def counted(self) -> int:
        return self.held if self.open else self.used


class Model:
    """One hold: its entries, and what became of it."""

    def __init__(self, expires: int) -> None:
        self.entries: list[Entry] = []
        self.expires = expires
        self.state = "open"

    def close(self, actuals: dict[str, int] | None) -> None:
        rest = dict(actuals or {})
        names = [entry.name for entry in self.entries]
        for place, entry in enumerate(self.entries):
            entry.open = False
            if entry.name not in rest:
                entry.used = entry.held
            else:
                last = entry.name not in names[place + 1 :]
                entry.used = rest[entry.name] if last else min(rest[entry.name], entry.held)
                rest[entry.name] -= entry.used
            if entry.name == "parallel":
                entry.used = 0


class Laws(RuleBasedStateMachine):
    """Nothing counts twice, nothing is lost, and no window holds more than its limit when something is granted."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.limits = dict.fromkeys(WINDOWS, 10)
        self.resets = dict.fromkeys(WINDOWS, 0)
        self.begun = -DAY
        self.calls = 0
        self.models: dict[HoldId, Model] = {}
        self.entries: list[Entry] = []
        self.memory = Memory(self)

    def time(self) -> float:
        return NOON + self.now

    def monotonic(self) -> float:
        return 100 + self.now

    def counter(self, name: str) -> Counter:
        return Counter(name, Unit.USD, WINDOWS[name], self.limits[name], ("key",))

    def claims(self, amounts: dict[str, int]) -> list[Claim]:
        return [Claim(self.counter(name), amount) for name, amount in amounts.items()]

    def window(self, name: str) -> Any:
        """Name the window that a claim taken now is in."""
        length = {"daily": DAY, "first": 3_600}.get(name)
        if length:
            return self.resets[name], (NOON + self.now) // length
        return self.resets[name], self.begun if name == "fixed" else 0

    def begin(self) -> None:
        """Begin a fixed window if none is open that something counts in."""
        if not self.sum("fixed"):
            self.begun = self.now

    def sum(self, name: str) -> int:
        if name == "fixed" and self.now >= self.begun + MINUTE:
            return 0
        return sum(one.counted for one in self.entries if one.name == name and one.window == self.window(name))

    def snapshot(self) -> list[Any]:
        return [done(self.memory.count(self.counter(name))) for name in WINDOWS]

    def grant(self, model: Model, amounts: dict[str, int]) -> None:
        """Write down what was granted, and see that it fitted."""
        if "fixed" in amounts:
            self.begin()
        for name, amount in amounts.items():
            entry = Entry(name, amount, self.now, self.window(name))
            self.entries.append(entry)
            model.entries.append(entry)
            if WINDOWS[name].algorithm <= Algorithm.LEASE:
                assert self.sum(name) <= self.limits[name]
            else:
                self.fits_the_rate(name)

    def fits_the_rate(self, name: str) -> None:
        mine = [one for one in self.entries if one.name == name and one.window == self.window(name)]
        if name == "sliding":
            assert sum(one.counted for one in mine if one.at > self.now - MINUTE) <= self.limits[name]
            return
        for first in mine:
            over = sum(max(0, one.used - one.held) for one in mine if one.at >= first.at)
            most = HIGHEST * (MINUTE + self.now - first.at) / MINUTE
            assert sum(one.counted for one in mine if one.at >= first.at) <= most + over

    def refuse(self, refused: Refused, before: list[Any], earlier: int = 0) -> None:
        """See that a refusal says the truth and changed nothing."""
        assert self.snapshot() == before
        counter, amount = refused.claim
        assert refused.used + refused.held + earlier + amount > counter.limit
        if counter.algorithm <= Algorithm.LEASE:
            assert refused.used + refused.held == self.sum(counter.name)

    @rule(target=holds, amounts=CLAIMS, candidates=CANDIDATES)
    def reserve(self, amounts, candidates):
        self.calls += 1
        hold_id = HoldId(f"call-{self.calls}", 0)
        before = self.snapshot()
        claims = [self.claims(one) for one in candidates]
        answer = done(self.memory.reserve(hold_id, self.claims(amounts), claims))
        if isinstance(answer, Refused):
            self.refuse(answer, before)
            return Hold(hold_id, self.claims(amounts))
        model = self.models[hold_id] = Model(self.now + LEASED)
        self.grant(model, amounts | (candidates[answer.candidate] if candidates else {}))
        assert done(self.memory.reserve(hold_id, self.claims(amounts), claims)) is answer
        return answer

    @rule(hold=holds, amounts=CLAIMS)
    def extend(self, hold, amounts):
        model, before = self.models.get(hold.id), self.snapshot()
        try:
            answer = done(self.memory.extend(hold, hold.slices + 1, self.claims(amounts)))
        except LookupError:
            assert model is None or model.state != "open"
            return
        assert model is not None
        assert model.state == "open"
        if answer is not None:
            self.refuse(answer, before)
            return
        self.grant(model, amounts)
        after = self.snapshot()
        assert done(self.memory.extend(hold, hold.slices, self.claims(amounts))) is None
        assert self.snapshot() == after

    @rule(hold=holds, actuals=st.dictionaries(st.sampled_from([*WINDOWS]), st.integers(0, 9)))
    def settle(self, hold, actuals):
        self.memory.settle(hold, {self.counter(name).id: amount for name, amount in actuals.items()})
        self.end(hold, actuals)

    @rule(hold=holds)
    def release(self, hold):
        self.memory.release(hold)
        self.end(hold, dict.fromkeys(WINDOWS, 0))

    def end(self, hold: Hold, actuals: dict[str, int]) -> None:
        model = self.models.get(hold.id)
        if model is not None and model.state != "closed":
            model.close(actuals)
            model.state = "closed"
        after = self.snapshot()
        self.memory.settle(hold, {})
        self.memory.release(hold)
        assert self.snapshot() == after

    @rule(holds=st.lists(holds, max_size=4, unique=True))
    def renew(self, holds):
        lost = done(self.memory.renew(holds))
        for hold in holds:
            model = self.models.get(hold.id)
            is_open = model is not None and model.state == "open"
            assert (hold not in lost) == is_open
            if is_open:
                model.expires = self.now + LEASED

    @rule(hold=consumes(holds))
    def crash(self, hold):
        """Forget a hold: its lease must end it."""

    @rule(seconds=st.one_of(st.integers(1, 59), st.sampled_from([60, 61, 3_600, DAY])))
    def turn(self, seconds):
        self.now += seconds
        for model in self.models.values():
            if model.state == "open" and model.expires <= self.now:
                model.close(None)
                model.state = "estimated"

    @rule()
    def sweep(self):
        done(self.memory.sweep())
        assert {*self.memory._open} == {one for one, model in self.models.items() if model.state == "open"}

    @rule(name=st.sampled_from([*WINDOWS]), limit=st.integers(0, HIGHEST))
    def change_limit(self, name, limit):
        self.limits[name] = limit

    @rule(name=st.sampled_from([*WINDOWS]))
    def reset(self, name):
        done(self.memory.reset(self.counter(name)))
        if name != "parallel":
            self.resets[name] += 1

    @invariant()
    def the_counts_are_what_the_model_adds_up(self):
        for name, window in WINDOWS.items():
            count = done(self.memory.count(self.counter(name)))
            assert count.used >= 0
            assert count.held >= 0
            if window.algorithm <= Algorithm.LEASE:
                assert count.used + count.held == self.sum(name), name


Laws.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


TestLaws = Laws.TestCase
