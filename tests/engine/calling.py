"""A house of callers, deployments and policies whose limits are drawn, and what its calls should hold."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from engine.allowances import Allowance
from engine.call import Call, Caller
from engine.claims import Counter, Scope, Unit
from engine.snapshot import Snapshot
from tests.engine.accounts import Hold, Label, label
from tests.engine.deciding import asking, chat, decided, document, person, snapshot_of
from tests.engine.keeping import IN, OUT, of, priced

KEYS = {"a" * 64: "u1", "b" * 64: "u2"}
MONEY, RATES, TOKENS, PARALLEL = [200, 600, 3_000, 250_000], [1, 3, 20], [60, 400, 6_000], [1, 2, 9]
ALGORITHMS = ["fixed-window", "sliding-window", "token-bucket"]
SETTINGS: dict[str, list[Any]] = {
    "key money": MONEY, "key requests": RATES, "key tokens": TOKENS, "key parallel": PARALLEL,
    "team money": MONEY, "user money": MONEY, "purse": [None, *MONEY], "house": [0, 1],
    "requests": [None, *RATES], "tokens": [None, *TOKENS], "cost": [None, *MONEY],
    "requests algorithm": ALGORITHMS, "tokens algorithm": ALGORITHMS, "cost algorithm": ALGORITHMS,
}  # fmt: skip
"""What a reload may change, and to what; a policy of None is deleted."""
HOUSES = [
    {"one": {"max_budget": 2e-6, "budget_duration": "1d", "rpm": 3}, "other": {"tpm": 400, "max_parallel_requests": 2}},
    {
        "one": {"max_budget": 9e-4, "budget_duration": "1d", "rpm": 20},
        "other": {"tpm": 9_000, "max_parallel_requests": 9},
    },
]
RATED = {"requests": "requests", "tokens": "tokens", "cost": "cost"}


def dollars(name: str, amount: int) -> float:
    return amount / 1e9 if name in {"purse", "cost"} else amount


@functools.lru_cache(maxsize=512)
def compiled(house: int, *said: tuple[str, Any]) -> Snapshot:
    """Compile a house of two deployments and one that costs nothing, under the policies that are there."""
    policies = dict(said)
    texts = []
    if policies["purse"] is not None:
        by = [{"expression": "apiKey.id"}]
        texts.append(document("Budget", "purse", limit=dollars("purse", policies["purse"]), window="1h", counters=by))
    for name, unit in RATED.items():
        if policies[name] is not None:
            rates = [{"limit": dollars(name, policies[name]), "window": "1m"}]
            algorithm = policies[f"{name} algorithm"]
            texts.append(document("RateLimit", name, type=unit, rates=rates, algorithm=algorithm))
    models = [("a", priced("echo/a", **HOUSES[house]["one"])), ("a", priced("echo/b", **HOUSES[house]["other"]))]
    listed = [{"model_name": name, **one} for name, one in models]
    listed.append({"model_name": "free", "litellm_params": {"model": "echo/free"}})
    return snapshot_of(*texts, models={}, model_list=listed)


class Running:
    """A call, what it should hold, and the limits that were in force when it came."""

    def __init__(self, call: Call, asked: int, most: int | None, choices: int) -> None:
        self.call, self.asked, self.most, self.choices = call, asked, most, choices
        self.hold: Hold | None = None
        self.held = 0
        self.counted: Hold | None = None
        """The attempt that counted as the request."""
        self.priced = True

    @property
    def key(self) -> str:
        assert self.call.caller is not None
        return self.call.caller.key_hash

    @property
    def open(self) -> bool:
        return self.hold is not None and self.hold.state != "closed"

    @property
    def bound(self) -> int:
        """The most that may be answered."""
        if self.call.route.operation == "embeddings":
            return 0
        return (4_096 if self.most is None else self.most) * self.choices

    @property
    def first(self) -> int:
        return min(self.bound, max(256, 16 * self.choices)) if self.call.stream else self.bound

    @property
    def least(self) -> int:
        return min(self.first, (16 if self.most is None else min(16, self.most)) * self.choices)

    def cost(self, output: int) -> int:
        return IN * self.asked + OUT * output if self.priced else 0

    def amounts(self, output: int) -> dict[str, int]:
        """Say what an attempt should hold of each unit; nothing of those that are not there."""
        found = {Unit.TOKENS: self.asked + output, Unit.PARALLEL: 1, Unit.USD: self.cost(self.held), Unit.REQUESTS: 1}
        return {str(unit): amount for unit, amount in found.items() if amount}

    def more(self, output: int) -> dict[Unit, int]:
        """Say what a stream should hold beside what it holds, for so much output."""
        return {Unit.USD: self.cost(output) - self.cost(self.held), Unit.TOKENS: output - self.held}


class House:
    """Callers and policies by the limits that are in force."""

    def __init__(self) -> None:
        self.said = {name: values[-1] for name, values in SETTINGS.items()}
        self.ids: dict[Label, bytes] = {}
        self.change({})

    def change(self, changes: Mapping[str, Any]) -> None:
        """Reload."""
        self.said |= changes
        policies = [(name, value) for name, value in self.said.items() if name.partition(" ")[0] in {"purse", *RATED}]
        self.snapshot = compiled(self.said["house"], *policies)
        team = of(Scope.TEAM, "t", max_budget=self.said["team money"] / 1e9)
        self.callers = {key: self.caller(key, user, team) for key, user in KEYS.items()}
        self.counters: dict[Label, Counter] = {}
        for caller in self.callers.values():
            call = asking(self.snapshot, chat(), caller)
            decided(call)
            own = [one for each in caller.allowances for one in each.every]
            groups = [self.snapshot.find(model) for model in ("a", "free")]
            theirs = [one for group in groups if group for each in group.deployments for one in each.counters]
            self.counters |= {label(one): one for one in (*own, *call.counters, *theirs)}
        self.ids |= {name: one.id for name, one in self.counters.items()}

    def caller(self, key: str, user: str, team: Allowance) -> Caller:
        said = self.said
        own = of(
            Scope.KEY, key, max_budget=said["key money"] / 1e9, budget_duration="1d", rpm_limit=said["key requests"],
            tpm_limit=said["key tokens"], max_parallel_requests=said["key parallel"],
        )  # fmt: skip
        theirs = of(Scope.USER, user, max_budget=said["user money"] / 1e9, budget_duration="1h")
        return person(key_hash=key, user=user, team="t", allowances=(own, theirs, team))
