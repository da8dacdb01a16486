"""Which counters the limits of policies come to for a call: one for every combination of the values they are counted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Any

from engine.activation import Activation, Needs
from engine.call import Call
from engine.claims import NANO, UNLIMITED, Count, Counter, Scope, Subject, Unit
from engine.expr.values import EvaluationError, Timestamp
from engine.limit import Limit
from engine.policy import Action, Expression, Policy

KEPT = 100_000
"""Counters kept of one set of policies; beyond it they are made anew."""
LONGEST = 256
"""Characters of a value that tells counters apart."""
MOST = 64
"""Counters that one limit may come to for one call."""
LAST = 253_402_300_799 * NANO
"""The last second of the year 9999, in nanoseconds: when a budget without an end starts anew."""
Evaluate = Callable[[Expression], Any]


class Limiting:
    """The counters of a set of policies, each made once while it is in use.

    `view` is what this process knows of a counter now; None until a ledger is there.
    """

    __slots__ = ("_counters", "view")

    def __init__(self) -> None:
        self._counters: dict[tuple[int, int, tuple[str, ...]], Counter] = {}
        self.view: Callable[[Counter], Count] | None = None

    def counters(self, policy: Policy, evaluate: Evaluate) -> list[Counter]:
        """Return the counters of a policy for a call of which `evaluate` knows the values; raises what that raises."""
        return [
            self._counter(policy, limit, values)
            for limit in policy.limits()
            for values in (_combined([evaluate(value) for value in limit.values]) if limit.values else ((),))
        ]

    def budgets(self, call: Call, policies: Iterable[Policy]) -> dict[str, dict[str, Any]]:
        """Return how budgets stand for a call, by the policies' names; one that does not count it is not there.

        Of several counters the one counts of which the least is left.
        """
        found = {}
        for policy in policies:
            seen = partial(_value, Activation(call, Needs(policy.head.refs)))
            counters = [one for one in self.counters(policy, seen) if one.unit is Unit.USD]
            if counters and self.view is not None:
                found[policy.head.name] = min(map(self._standing, counters), key=lambda one: one["remainingRatio"])
        return found

    def _standing(self, counter: Counter) -> dict[str, Any]:
        assert self.view is not None  # noqa: S101 - asked by the caller
        used, held, reset_at = self.view(counter)
        limit = counter.limit if counter.limit != UNLIMITED else counter.soft or 0
        left = max(0, limit - used - held)
        amounts = {"limit": limit, "used": used, "held": held, "remaining": left}
        return {
            **{name: amount / NANO for name, amount in amounts.items()},
            "remainingRatio": left / limit if limit else 0.0,
            "resetAt": Timestamp(reset_at if reset_at is not None else LAST),
        }

    def _counter(self, policy: Policy, limit: Limit, values: tuple[str, ...]) -> Counter:
        key = (id(policy), id(limit), values)
        found = self._counters.get(key)
        if found is None:
            if len(self._counters) >= KEPT:
                self._counters.clear()
            found = self._counters[key] = made(policy, limit, values)
        return found


def _value(activation: Activation, expression: Expression) -> Any:
    return expression.value(activation)


def made(policy: Policy, limit: Limit, values: tuple[str, ...]) -> Counter:
    """Make the counter of a limit and values; one of a policy that refuses nothing has no limit but a finding."""
    name, advises = policy.head.name, policy.head.action is not Action.DENY
    counter = Counter(
        name, limit.unit, limit.window, UNLIMITED if advises else limit.amount, values, name,
        Subject(Scope.POLICY, name, ", ".join(values)), limit.amount if advises else limit.soft,
    )  # fmt: skip
    counter.fallback, counter.message = limit.fallback, limit.message
    # What refuses nothing does not refuse because nobody knows how it stands.
    counter.failure = "Ignore" if advises else limit.failure
    counter.finding = policy.head.action.value if advises else ""
    return counter


def renewed(counter: Counter, policies: Iterable[Policy]) -> Counter | None:
    """Return the counter of a policy's limit as these policies have it; None where none of them limits it."""
    for policy in policies:
        if policy.head.name != counter.name:
            continue
        for limit in policy.limits():
            if limit.unit is counter.unit and limit.window.kind == counter.window.kind:
                again = made(policy, limit, counter.values)
                if again.id == counter.id:
                    return again
    return None


def _combined(values: Sequence[Any]) -> Iterable[tuple[str, ...]]:
    """Return every combination of values; raises EvaluationError for one that tells nothing apart, or for too many."""
    lots = [list(dict.fromkeys(map(_text, value))) if isinstance(value, list) else [_text(value)] for value in values]
    combined = list(product(*lots)) if len(lots) > 1 else [(one,) for one in lots[0]]
    if len(combined) > MOST:
        raise EvaluationError(f"{len(combined)} counters for one call; {MOST} at most")
    return combined


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        text = str(value)
        if len(text) > LONGEST:
            raise EvaluationError(f"a value of {len(text)} characters; {LONGEST} at most tell counters apart")
        return text
    raise EvaluationError("counters are told apart by texts, numbers, true and false, or lists of them")
