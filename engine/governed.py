"""What a set of policies comes to for all the calls that it governs: made once, and shared by the plans of all callers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson
from msgspec import Raw

from engine.activation import Activation, Needs
from engine.alike import Alike
from engine.policy import Action, Effect, Log, Policy, Ref, Rule
from engine.reads import Read, every

_PLAIN = re.compile(r"[ !#-.0-\[\]-~]+")
"""Texts that JSON has one way to write, but for `\\u` escapes."""


class Bound(NamedTuple):
    """A rule ready to be evaluated: what it answers when there is nothing to say (None: ever), and whose it is."""

    evaluate: Callable[[Activation], object]
    rule: Rule
    policy: Policy
    benign: bool | None

    @property
    def name(self) -> str:
        """The rule's full name."""
        return f"{self.policy.head.name}/{self.rule.name}"


class Judged(NamedTuple):
    """A policy whose rules depend on conditions or variables, or whose findings refuse nothing."""

    policy: Policy
    rules: tuple[Bound, ...]


class Governed:
    """The policies that govern some kind of call, in order, with what does not depend on who calls.

    `plain` are the rules that always apply and refuse, each with the texts without which it has nothing to say; `judged` those of
    policies with conditions, variables or a weaker action.
    """

    __slots__ = (
        "_needs", "alike", "editing", "judged", "limiting", "log", "loops", "named", "patterns", "plain", "policies", "quiet", "reads", "refs",
        "routing", "watching",
    )  # fmt: skip

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = tuple(policies)
        bound = [(policy, _bind(policy)) for policy in policies if type(policy).rules is not Policy.rules]
        self.plain = tuple((rule, _needles(rule)) for policy, rules in bound if _plain(policy) for rule in rules)
        self.judged = tuple(Judged(policy, rules) for policy, rules in bound if not _plain(policy))
        self.named = tuple(rule.name for _, rules in bound for rule in rules)
        self.quiet = Raw(orjson.dumps({"quiet": self.named, "told": ()}))
        """What is recorded where every rule said what it usually says."""
        self.routing = tuple(policy for policy in policies if type(policy).direct is not Policy.direct)
        self.limiting = tuple(policy for policy in policies if type(policy).limits is not Policy.limits)
        self.editing = tuple(policy for policy in policies if type(policy).edits is not Policy.edits)
        self.watching = tuple(policy.head.name for policy in policies if policy.watch() is not None)
        """The guardrails, by name."""
        self.refs = frozenset(ref for policy in policies for ref in policy.head.refs)
        self.reads: tuple[Read, ...] = every(self.refs)
        self.log = log_of(policies)
        self.loops = sum(policy.head.loops for policy in policies)
        self.patterns = sum(policy.head.patterns for policy in policies)
        self.alike = Alike(self.refs.union(*(policy.steady() or frozenset() for policy in self.editing)))
        """How calls are compared."""
        self._needs: dict[frozenset[Ref], Needs] = {}

    def __repr__(self) -> str:
        return f"<Governed {', '.join(policy.head.name for policy in self.policies)}>"

    def needs(self, refs: frozenset[Ref]) -> Needs:
        """Return what is needed to evaluate what reads this; the subsets that occur are few."""
        found = self._needs.get(refs)
        if found is None:
            found = self._needs[refs] = Needs(refs)
        return found


def log_of(policies: Sequence[Policy]) -> Log:
    """Put together how all policies want calls to be recorded."""
    logs = [log for policy in policies if (log := policy.log()) is not None]
    return Log(
        content=any(log.content for log in logs),
        drops=tuple(drop for log in logs for drop in log.drops),
        mask=tuple(one for log in logs for one in log.mask),
    )


def _needles(bound: Bound) -> tuple[bytes, ...]:
    """Return the texts without which a rule has nothing to say, as JSON writes them; empty where it may have."""
    expression = bound.rule.expression
    found = expression.program.needles if expression is not None and bound.rule.effect is Effect.DENY else None
    if found is None or (found.path, found.field) != (("llm", "prompt"), "content"):
        return ()
    return tuple(map(str.encode, found.texts)) if all(map(_PLAIN.fullmatch, found.texts)) else ()


def _bind(policy: Policy) -> tuple[Bound, ...]:
    return tuple(Bound(_evaluate(rule), rule, policy, _BENIGN[rule.effect]) for rule in policy.rules())


_BENIGN = {Effect.DENY: False, Effect.REQUIRE: True, Effect.ALLOW: None}


def _evaluate(rule: Rule) -> Callable[[Activation], object]:
    if rule.expression is not None:
        return rule.expression.program.evaluate
    if rule.test is None:
        raise ValueError(f"rule `{rule.name}` has neither an expression nor a test")
    return rule.test


def _plain(policy: Policy) -> bool:
    head = policy.head
    return not head.conditions and not head.variables and head.action is Action.DENY
