"""Which counters the limits of policies come to for a call: one for every combination of the values they are counted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

from engine.claims import UNLIMITED, Counter, Scope, Subject
from engine.expr.values import EvaluationError
from engine.limit import Limit
from engine.policy import Action, Expression, Policy

KEPT = 100_000
"""Counters kept of one set of policies; beyond it they are made anew."""
LONGEST = 256
"""Characters of a value that tells counters apart."""
MOST = 64
"""Counters that one limit may come to for one call."""
Evaluate = Callable[[Expression], Any]


class Limiting:
    """The counters of a set of policies, each made once while it is in use."""

    __slots__ = ("_counters",)

    def __init__(self) -> None:
        self._counters: dict[tuple[int, int, tuple[str, ...]], Counter] = {}

    def counters(self, policy: Policy, evaluate: Evaluate) -> list[Counter]:
        """Return the counters of a policy for a call of which `evaluate` knows the values; raises what that raises."""
        return [
            self._counter(policy, limit, values)
            for limit in policy.limits()
            for values in (_combined([evaluate(value) for value in limit.values]) if limit.values else ((),))
        ]

    def _counter(self, policy: Policy, limit: Limit, values: tuple[str, ...]) -> Counter:
        key = (id(policy), id(limit), values)
        found = self._counters.get(key)
        if found is None:
            if len(self._counters) >= KEPT:
                self._counters.clear()
            found = self._counters[key] = made(policy, limit, values)
        return found


def made(policy: Policy, limit: Limit, values: tuple[str, ...]) -> Counter:
    """Make the counter of a limit and values; one of a policy that refuses nothing has no limit but a finding."""
    name, advises = policy.head.name, policy.head.action is not Action.DENY
    counter = Counter(
        name, limit.unit, limit.window, UNLIMITED if advises else limit.amount, values, name,
        Subject(Scope.POLICY, name, ", ".join(values)), limit.amount if advises else limit.soft,
    )  # fmt: skip
    counter.fallback, counter.message = limit.fallback, limit.message
    counter.finding = policy.head.action.value if advises else ""
    return counter


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
