"""What a call must pass: where it is sent, which rules it meets, how it is changed. The precedence of policies is here.

1. The caller's own model lists (key, team) say whether the model may be named at all.
2. The first route of a TagRouting that holds sends the call to deployments or to another model.
3. Over all rules that govern the call: a `deny` that holds refuses, a `require` that does not hold refuses, and where
   there are `allow` rules one must hold. A rule that errs refuses, unless it is an `allow` (which then does not hold) or
   its policy says `failurePolicy: Ignore`; an exhausted limit in a `deny` refuses even then, for a client could cause it.
4. Transforms change the request.

Evaluating is plain work on the loop while that is certain to be short; what a large body could draw out is done in a
thread, which the interpreter interrupts every half millisecond.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import structlog

from engine.access import check_model
from engine.activation import Activation
from engine.call import Call
from engine.decision import Decision, Outcome
from engine.direct import direct
from engine.edit import edit
from engine.errors import PolicyError
from engine.expr.program import ERRORS
from engine.expr.values import EvaluationError, LimitError
from engine.governing import Bound, Judged, Plan
from engine.policy import Action, Effect, Expression, Policy

log = structlog.get_logger("interlock")

LONG = 2_000_000
"""Nanoseconds of evaluating that are done on the loop."""
SHOWN = 1000
"""Characters of a computed message."""


async def check(call: Call) -> None:
    """Decide about a call: sets its decision, candidates and members; raises PolicyError, or ClientError 404."""
    check_model(call)
    policies = call.snapshot.policies
    if not policies.policies:
        return
    plan = policies.plan(call.caller, call.route.operation, call.model, call.group)
    if not plan.policies:
        return
    if plan.costs * call.body_size < LONG:
        decide(call, plan)
    else:
        await asyncio.to_thread(decide, call, plan)


def decide(call: Call, plan: Plan) -> None:
    """Let the policies of a plan decide about a call; raises PolicyError."""
    started = time.perf_counter()
    decision = call.decision = Decision(plan, Activation(call, plan.needs))
    try:
        if plan.routing:
            plan = _routed(call, decision)
        if plan.plain or plan.judged:
            _Verdict(decision).judge(plan)
        for policy in plan.editing:
            if _applies(policy, decision):
                _edited(policy, call, decision)
    finally:
        decision.seconds = time.perf_counter() - started


class _Verdict:
    """The findings of all rules about one call."""

    __slots__ = ("allowed", "allowing", "decision", "refusals")

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.refusals: list[tuple[Bound, str]] = []
        self.allowing = False
        self.allowed: list[str] = []

    def judge(self, plan: Plan) -> None:
        """Evaluate every rule and act on what they say together; raises PolicyError."""
        self.evaluate(plan.plain)
        for judged in plan.judged:
            if _applies(judged.policy, self.decision):
                if judged.policy.head.action is Action.DENY:
                    self.evaluate(judged.rules)
                else:
                    _advise(judged, self.decision)
        decision = self.decision
        if self.allowing and not self.allowed:
            self.refusals += [(bound, "") for bound in _allows(plan)]
        if self.refusals:
            decision.determining = list(dict.fromkeys(bound.name for bound, _ in self.refusals))
            raise _refusal(self.refusals)
        decision.determining = self.allowed

    def evaluate(self, rules: Iterable[Bound]) -> None:
        """Evaluate rules that can refuse."""
        activation, told = self.decision.activation, self.decision.outcomes
        for bound in rules:
            evaluate, rule, policy, benign = bound
            try:
                said = evaluate(activation)
            except ERRORS as error:
                self._erred(bound, error)
                continue
            if rule.effect is Effect.ALLOW:
                self.allowing = True
                if said is True:
                    self.allowed.append(bound.name)
                    told.append(Outcome(bound.name, "match"))
            elif said is not benign:
                told.append(Outcome(bound.name, "match" if said else "miss"))
                self.refusals.append((bound, _message(bound, activation, policy)))

    def _erred(self, bound: Bound, error: BaseException) -> None:
        rule, policy = bound.rule, bound.policy
        what = _explained(rule.expression, error)
        self.decision.outcomes.append(Outcome(bound.name, "error", what))
        if rule.effect is Effect.ALLOW:
            self.allowing = True
            return
        if policy.head.ignore_errors and not (rule.effect is Effect.DENY and isinstance(error, LimitError)):
            return
        self.refusals.append((bound, f"policy `{policy.head.name}` could not be evaluated: {what}"))


def _routed(call: Call, decision: Decision) -> Plan:
    """Send a call where the first policy says that has a say; return the plan that governs it there."""
    asked = call.group
    for policy in decision.plan.routing:
        if not _applies(policy, decision):
            continue
        try:
            decision.direction = policy.direct(decision.activation)
        except ERRORS as error:
            _failed(policy, decision, error)
        if decision.direction is not None:
            decision.determining = [f"{policy.head.name}/{decision.direction.rule}"]
            decision.outcomes.append(Outcome(decision.determining[0], "match"))
            break
    direct(call, decision.direction)
    if call.group is asked:
        return decision.plan
    plan = decision.plan = call.snapshot.policies.plan(call.caller, call.route.operation, call.model, call.group)
    decision.activation = Activation(call, plan.needs)
    return plan


def _edited(policy: Policy, call: Call, decision: Decision) -> None:
    try:
        for change in policy.edits(decision.activation):
            edit(call, change)
            decision.edits += 1
    except ERRORS as error:
        _failed(policy, decision, error)


def _applies(policy: Policy, decision: Decision) -> bool:
    """Tell whether a policy's conditions hold; its variables are at hand from then on."""
    head, activation = policy.head, decision.activation
    if head.variables:
        activation["variables"] = Variables(head.variables, activation)
    for name, condition in head.conditions:
        try:
            if condition.program.evaluate(activation) is not True:
                decision.outcomes.append(Outcome(f"{head.name}/{name}", "skipped"))
                return False
        except ERRORS as error:
            _failed(policy, decision, error, condition)
            return False
    return True


class Variables(dict[str, Any]):
    """A policy's variables, each evaluated when it is first read."""

    __slots__ = ("_activation", "_expressions")

    def __init__(self, expressions: Iterable[tuple[str, Expression]], activation: Activation) -> None:
        super().__init__()
        self._expressions = dict(expressions)
        self._activation = activation

    def __missing__(self, name: str) -> Any:
        expression = self._expressions[name]
        try:
            value = self[name] = expression.program.evaluate(self._activation)
        except LimitError:
            raise
        except ERRORS as error:
            raise EvaluationError(f"variable `{name}`: {_explained(expression, error)}") from error
        return value


def _failed(policy: Policy, decision: Decision, error: BaseException, expression: Expression | None = None) -> None:
    """Act on an error outside a rule; raises PolicyError unless the policy ignores errors."""
    head = policy.head
    what = _explained(expression, error)
    decision.outcomes.append(Outcome(head.name, "error", what))
    if head.action is Action.DENY and not head.ignore_errors:
        decision.determining = [head.name]
        raise PolicyError(403, "policy_denied", f"policy `{head.name}` could not be evaluated: {what}")


def _advise(judged: Judged, decision: Decision) -> None:
    """Note what a policy that refuses nothing would have refused."""
    head, activation = judged.policy.head, decision.activation
    probe = Decision(decision.plan, activation)
    verdict = _Verdict(probe)
    verdict.evaluate(judged.rules)
    if verdict.allowing and not verdict.allowed:
        verdict.refusals += [(bound, "") for bound in judged.rules if bound.rule.effect is Effect.ALLOW]
    decision.outcomes += probe.outcomes
    if head.action is Action.WARN:
        for bound, message in verdict.refusals:
            said = f"{bound.name}: {message or 'would be refused'}"
            decision.warnings.append(said)
            log.warning("policy", finding=bound.name, call=activation.call.id)


def _allows(plan: Plan) -> list[Bound]:
    rules = (*plan.plain, *(bound for judged in plan.judged for bound in judged.rules))
    return [bound for bound in rules if bound.rule.effect is Effect.ALLOW and bound.policy.head.action is Action.DENY]


def _refusal(refusals: list[tuple[Bound, str]]) -> PolicyError:
    """Make the error that names every reason."""
    reasons = []
    for bound, message in refusals:
        named = bound.policy.head.name
        default = f"no rule of policy `{named}` allows this call" if bound.rule.effect is Effect.ALLOW else ""
        reasons.append(message or default or f"denied by policy `{named}`")
    first = refusals[0][0].rule
    return PolicyError(first.status, "policy_denied", "; ".join(dict.fromkeys(reasons)))


def _message(bound: Bound, activation: Activation, policy: Policy) -> str:
    """Return what a rule says to the caller; a message that cannot be computed gives way to the plain one."""
    rule = bound.rule
    if rule.says is None:
        return rule.message
    try:
        said = str(rule.says.program.evaluate(activation))
    except ERRORS as error:
        log.warning("message not computed", policy=policy.head.name, reason=_explained(rule.says, error))
        return rule.message
    return "".join(character if character.isprintable() else " " for character in said[:SHOWN])


def _explained(expression: Expression | None, error: BaseException) -> str:
    """Say what went wrong and where, without any value."""
    if expression is None:
        return str(error) if isinstance(error, EvaluationError | LimitError) else "an expression has no value here"
    fault = expression.program.explain(error)
    return f"{fault.message} ({expression.field} at {expression.place}, {fault.line}:{fault.column})"
