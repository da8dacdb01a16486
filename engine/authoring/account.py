"""What every policy had to say about one call: each rule with its outcome, its time and the values of its parts.

The verdict is the gateway's own. Here the same programs are evaluated once more on the call as policies found it, because
the gateway keeps neither what said nothing nor what it never asked.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.access import check_model
from engine.activation import Activation, Needs
from engine.authoring.anatomy import Part, anatomy
from engine.authoring.expressions import COST, Named, expressions_of, schema_of
from engine.authoring.selection import why_not
from engine.authoring.trial import Trial
from engine.authoring.values import Value, evaluated, values
from engine.call import Call
from engine.computed import Variables
from engine.errors import GatewayError, PolicyError
from engine.expr.program import ERRORS
from engine.expr.schema import BOOL, Schema
from engine.policy import Expression, Policy, Rule

MATCH, MISS, ERROR, UNREACHED, VALUE = "match", "no match", "error", "not reached", "value"


class Told(NamedTuple):
    """What one rule, route, condition or other expression said; `name` is full: `policy/rule`.

    `nanos` is what evaluating took, with making what is read of the call for the first time.
    """

    name: str
    role: str
    place: str
    source: str
    outcome: str
    nanos: int = 0
    value: Value | None = None
    why: str = ""


class Account(NamedTuple):
    """What one policy said; `absent` says why it was not asked, `skipped` which condition did not hold."""

    policy: Policy
    absent: str
    skipped: str
    told: tuple[Told, ...]
    changes: tuple[str, ...] = ()
    """The members that it would set or take away."""

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.policy.head.name


class Anatomies:
    """The parts of expressions, taken apart once each."""

    def __init__(self) -> None:
        self._schemas: dict[int, Schema] = {}
        self._parts: dict[int, tuple[Part, object]] = {}

    def of(self, policy: Policy, expression: Expression) -> Part:
        """Return the parts of an expression of a policy."""
        program = expression.program
        if id(program) not in self._parts:
            head = policy.head
            schema = self._schemas.setdefault(id(head), schema_of(head))
            try:
                parts = anatomy(program.source, schema)
            except RecursionError:  # a chain of hundreds: it is shown as a whole
                parts = Part(program.source, 0, "", program.result == BOOL, program, ())
            self._parts[id(program)] = parts, program
        return self._parts[id(program)][0]


def accounts(trial: Trial, anatomies: Anatomies, *, elements: bool = False) -> list[Account]:
    """Say what every policy in force made of a trial, in their order."""
    call, before = trial.call, trial.before
    policies: Sequence[Policy] = call.snapshot.policies.policies if call is not None else ()
    unasked = _unasked(trial)
    if call is None or before is None or unasked:
        return [
            Account(policy, unasked or "the call was refused before any policy was asked", "", ())
            for policy in policies
        ]
    after = copy.copy(before)
    after.model, after.group = call.model, call.group
    return list(_Telling(trial, before, after, anatomies, elements=elements).all(policies))


def _unasked(trial: Trial) -> str:
    if trial.before is None:
        return "the call was refused before any policy was asked"
    if trial.before.group is None:
        return "the passage is not for this key" if trial.refused and trial.decision is None else ""
    try:
        check_model(copy.copy(trial.before))
    except GatewayError:
        return "the model lists of key and team refused the call first"
    return ""


class _Telling:
    """Goes through all policies in the order of the request path: routes, then rules, then changes."""

    def __init__(self, trial: Trial, before: Call, after: Call, anatomies: Anatomies, *, elements: bool) -> None:
        self.trial = trial
        self.before = before
        self.after = after
        self.anatomies = anatomies
        self.elements = elements
        self.routed = ""
        """The route that decided where the call goes."""
        error = trial.error
        self.lost = isinstance(error, PolicyError) and error.type == "tag_routing_denied"
        self.denied = isinstance(error, PolicyError)

    def all(self, policies: Sequence[Policy]) -> Iterator[Account]:
        """Return the account of every policy."""
        refs = frozenset(ref for policy in policies for ref in policy.head.refs)
        first, then = (Activation(call, Needs(refs)) for call in (self.before, self.after))
        for policy in policies:
            routing = type(policy).direct is not Policy.direct
            call = self.before if routing else self.after
            why = why_not(policy, call) or self._unreached(policy, routing=routing)
            yield Account(policy, why, "", ()) if why else self.one(policy, first if routing else then)

    def _unreached(self, policy: Policy, *, routing: bool) -> str:
        if routing:
            return f"`{self.routed}` decided already" if self.routed else ""
        if self.lost:
            return "no deployment was left for the call before rules were asked"
        editing = type(policy).edits is not Policy.edits
        return "the call was refused, so nothing was changed" if editing and self.denied else ""

    def one(self, policy: Policy, activation: Activation) -> Account:
        """Return the account of a policy that governs the call."""
        view = policy.view(activation)
        whole = {name: activation[name] for name in view}
        activation.update(view)
        activation["variables"] = Variables(policy.head.variables, activation)
        try:
            return self._asked(policy, activation)
        finally:
            activation.update(whole)

    def _asked(self, policy: Policy, activation: Activation) -> Account:
        named = expressions_of(policy)
        told: list[Told] = []
        for one in named:
            if one.role == "condition":
                told.append(self._told(policy, one, activation))
                if told[-1].outcome != MATCH:
                    return Account(policy, "", one.name, tuple(told))
        told += [self._told(policy, one, activation) for one in named if one.role == "variable"]
        for rule in policy.rules():
            told += self._rule(policy, rule, activation)
        owned = {id(one) for rule in policy.rules() for one in (rule.expression, rule.says)}
        rest = [
            one for one in named if one.role not in ("condition", "variable", COST) and id(one.expression) not in owned
        ]
        changes = _changes(policy, activation)
        told += self._rest(policy, rest, activation)
        return Account(policy, "", "", tuple(told), changes)

    def _rule(self, policy: Policy, rule: Rule, activation: Activation) -> Iterator[Told]:
        name, expression = f"{policy.head.name}/{rule.name}", rule.expression
        if expression is None:
            started = time.perf_counter_ns()
            held = rule.test(activation) if rule.test is not None else False
            took = time.perf_counter_ns() - started
            yield Told(name, rule.effect, policy.head.place, rule.message, MATCH if held else MISS, took)
            return
        said = self._told(policy, Named(rule.name, rule.effect, expression), activation)
        yield said
        refuses = said.outcome == (MATCH if rule.effect == "deny" else MISS) and rule.effect != "allow"
        if rule.says is not None and refuses:
            yield self._told(policy, Named(rule.name, "messageExpression", rule.says), activation)

    def _rest(self, policy: Policy, rest: Sequence[Named], activation: Activation) -> Iterator[Told]:
        chosen = ""
        if type(policy).direct is not Policy.direct:
            chosen = _direction(policy, activation)
            self.routed = f"{policy.head.name}/{chosen}" if chosen and policy.head.action == "Deny" else self.routed
        over = False
        for one in rest:
            if over:
                yield Told(f"{policy.head.name}/{one.name}", one.role, one.expression.place, one.expression.program.source, UNREACHED, why=f"`{chosen}` decided already")  # fmt: skip
                continue
            yield self._told(policy, one, activation)
            over = bool(chosen) and one.name == chosen

    def _told(self, policy: Policy, one: Named, activation: Activation) -> Told:
        program = one.expression.program
        started = time.perf_counter_ns()
        value, error = evaluated(program, activation)
        took = time.perf_counter_ns() - started
        outcome = ERROR if error else MATCH if value is True else MISS if value is False else VALUE
        tree = values(self.anatomies.of(policy, one.expression), activation, elements=self.elements)
        name = f"{policy.head.name}/{one.name}"
        return Told(name, one.role, one.expression.place, program.source, outcome, took, tree, error)


def _direction(policy: Policy, activation: Activation) -> str:
    try:
        found = policy.direct(activation)
    except ERRORS:
        return ""
    return found.rule if found is not None else ""


def _changes(policy: Policy, activation: Activation) -> tuple[str, ...]:
    """Name what a policy changes; its `metadata` is set from then on."""
    try:
        return tuple(dict.fromkeys(".".join(edit.path) for edit in policy.edits(activation)))
    except ERRORS:
        return ()
