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

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from engine.access import check_model, check_passed_model
from engine.activation import BODIES, Activation
from engine.aside import aside
from engine.body import elements
from engine.call import Call
from engine.claims import Counter
from engine.computed import Variables
from engine.decision import Decision, Outcome
from engine.direct import direct
from engine.edit import edit, written
from engine.errors import PolicyError
from engine.expr.program import ERRORS
from engine.expr.values import LimitError
from engine.governed import Bound, Judged
from engine.governing import LONG, Plan
from engine.policy import Action, Direction, Edit, Effect, Expression, Policy, Rule
from engine.wording import explained, message, without_place

if TYPE_CHECKING:
    from engine.passages import Passing

log = structlog.get_logger("interlock")

FILES = ("multipart/", "application/octet-stream", "audio/", "image/", "video/")
"""Bodies that name no model."""
OF_OBJECTS = frozenset({"chat", "responses", "messages"})
"""Routes whose prompts are lists of objects; elsewhere they may be lists of anything."""
ELEMENTS = 4096
"""Elements that are counted; a body with more is taken to be made of nothing else."""
_PRECEDENCE = tuple(Effect)


async def check(call: Call) -> None:
    """Decide about a call: sets its decision, candidates and members; raises PolicyError, or ClientError 404."""
    check_model(call)
    policies = call.snapshot.policies
    if not policies.policies:
        return
    await _settle(call, policies.plan(call.caller, call.route.operation, call.model, call.group))


def judged(call: Call) -> bool:
    """Tell whether policies must see the body of a request that goes on as it came: its content, or the model that it names."""
    policies = call.snapshot.policies
    plan = policies.plan(call.caller, call.route.operation, call.model, None)
    if plan.editing or plan.governed.watching or plan.needs.body():
        return True
    return policies.chooses_models and not call.headers.get("content-type", "").lower().startswith(FILES)


async def check_passed(call: Call, passing: Passing) -> None:
    """Decide about a request that goes on as it came; raises PolicyError, also where the passage is not for the caller."""
    plan = call.snapshot.policies.plan(call.caller, call.route.operation, call.model, None)
    if passing.policy is not None and passing.policy not in plan.policies:
        raise PolicyError(403, "policy_denied", f"`{passing.path}` is not for this key; ask an administrator")
    check_passed_model(call)
    await _settle(call, plan)


async def _settle(call: Call, plan: Plan) -> None:
    """Decide on the loop what is certain to be short, the rest aside."""
    if not plan.policies:
        return
    size = call.body_size
    if size <= plan.brief or (
        call.route.operation in OF_OBJECTS
        and not plan.needs.of("llmRequest")
        and plan.takes(size, elements(call.members, ELEMENTS)) < LONG
    ):
        decide(call, plan)
    else:
        await aside(_decide_aside, call, plan)


def _decide_aside(call: Call, plan: Plan) -> None:
    """Decide, and write down what was read, too: hashing megabytes is not for the loop either."""
    try:
        decide(call, plan)
    finally:
        if call.decision is not None:
            call.decision.write()


def decide(call: Call, plan: Plan) -> None:
    """Let the policies of a plan decide about a call; raises PolicyError."""
    started = time.perf_counter()
    key = plan.alike.key(call) if plan.alike is not None else None
    residual = plan.residual(key) if key is not None else None
    decision = call.decision = Decision(residual or plan, Activation(call, (residual or plan).needs))
    try:
        _decided(call, decision)
    finally:
        decision.seconds = time.perf_counter() - started
    if key is not None and residual is None and decision.quiet:
        edits = [written(change) for change in decision.edits]
        call.snapshot.policies.remember(plan, key, decision.activation, edits)


def _decided(call: Call, decision: Decision) -> None:
    plan = decision.plan
    group = call.group
    if plan.routing and group is not None:
        plan = _routed(call, decision)
    elif plan.routed and group is not None and group.tagged:
        direct(call, None)
    rules = plan.plain
    if plan.needles and (rules := plan.left(call)) is not plan.plain:
        decision.activation.scanned = True
    if rules or plan.judged:
        _Verdict(decision).judge(plan, rules)
    call.counters = plan.counters
    for policy in plan.limiting:
        if _applies(policy, decision):
            call.counters += _counters(policy, decision)
    if plan.sets is not None:
        call.members = {**call.members, **plan.sets}
        decision.edits = plan.edits
    elif plan.edits:
        _change(call, decision, plan.edits)
    for policy in plan.editing:
        if _applies(policy, decision):
            _edited(policy, call, decision)


def _counters(policy: Policy, decision: Decision) -> tuple[Counter, ...]:
    """Return the counters that a policy limits a call by; raises PolicyError where it cannot be said which."""
    activation = decision.activation
    try:
        return tuple(activation.call.snapshot.policies.limits.counters(policy, lambda value: value.value(activation)))
    except ERRORS as error:
        _failed(policy, decision, error)
        return ()


def _change(call: Call, decision: Decision, changes: Sequence[Edit]) -> None:
    """Change a copy of the members: either all changes are made or none."""
    activation = decision.activation
    if not activation.edited and not BODIES.isdisjoint([change.path[0] for change in changes]):
        activation.settle()
        activation.edited = True
    members = call.members.copy()
    for change in changes:
        edit(members, change)
    call.members = members
    decision.edits = (*decision.edits, *changes)


class _Refusal(NamedTuple):
    """One reason to refuse; `rule` is None where a policy could not be evaluated at all."""

    policy: str
    rule: Rule | None
    message: str
    status: int

    @property
    def name(self) -> str:
        """The rule's full name."""
        return f"{self.policy}/{self.rule.name}" if self.rule is not None else self.policy

    @property
    def reason(self) -> str:
        """What the caller is told."""
        allows = self.rule is not None and self.rule.effect is Effect.ALLOW
        default = (
            f"no rule of policy `{self.policy}` allows this call" if allows else f"denied by policy `{self.policy}`"
        )
        return self.message or default


class _Verdict:
    """The findings of all rules about one call; `unmet` are the `allow` rules that do not hold."""

    __slots__ = ("allowed", "decision", "refusals", "unmet")

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.refusals: list[_Refusal] = []
        self.unmet: list[Bound] = []
        self.allowed: list[str] = []

    def judge(self, plan: Plan, rules: Sequence[Bound]) -> None:
        """Evaluate these rules and the judged ones, and act on what they say together; raises PolicyError."""
        decision = self.decision
        self.evaluate(rules)
        for judged in plan.judged:
            if judged.policy.head.action is Action.DENY:
                self._judged(judged)
        for judged in plan.judged:
            if judged.policy.head.action is not Action.DENY and _applies(judged.policy, decision):
                _advise(judged, decision, allowed=bool(self.allowed))
        refusals = self.concluded(allowed=bool(self.allowed))
        if refusals:
            refusals.sort(key=lambda one: _rank(one, plan))
            decision.determining = list(dict.fromkeys(refusal.name for refusal in refusals))
            reasons = dict.fromkeys(refusal.reason for refusal in refusals)
            raise PolicyError(refusals[0].status, "policy_denied", "; ".join(reasons))
        decision.determining += self.allowed

    def _judged(self, judged: Judged) -> None:
        try:
            applies = _applies(judged.policy, self.decision)
        except PolicyError as error:
            self.refusals.append(_Refusal(judged.policy.head.name, None, error.message, error.status))
            return
        if applies:
            self.evaluate(judged.rules)

    def concluded(self, *, allowed: bool) -> list[_Refusal]:
        """Return all reasons to refuse: those found, and every `allow` where none held."""
        if not allowed:
            self.refusals += [_refused(bound, "") for bound in self.unmet]
        return self.refusals

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
            if said is benign:
                continue
            if rule.effect is Effect.ALLOW:
                if said is True:
                    self.allowed.append(bound.name)
                    told.append(Outcome(bound.name, "match"))
                else:
                    self.unmet.append(bound)
            else:
                told.append(Outcome(bound.name, "match" if said else "miss"))
                self.refusals.append(_refused(bound, message(bound, activation, policy)))

    def _erred(self, bound: Bound, error: BaseException) -> None:
        rule, policy = bound.rule, bound.policy
        what = explained(rule.expression, error)
        self.decision.outcomes.append(Outcome(bound.name, "error", what))
        if rule.effect is Effect.ALLOW:
            self.unmet.append(bound)
            return
        if policy.head.ignore_errors and not (rule.effect is Effect.DENY and isinstance(error, LimitError)):
            return
        self.refusals.append(
            _refused(bound, f"policy `{policy.head.name}` could not be evaluated: {without_place(what)}")
        )


def _routed(call: Call, decision: Decision) -> Plan:
    """Send a call where the first policy says that has a say; return the plan that governs it there."""
    asked = call.group
    for policy in decision.plan.routing:
        found = _direction(policy, decision)
        if found is None:
            continue
        name = f"{policy.head.name}/{found.rule}"
        decision.outcomes.append(Outcome(name, "match"))
        if policy.head.action is Action.DENY:
            decision.direction, decision.determining = found, [name]
            break
        _warn(policy, name, f"would be sent to {found.model or ', '.join(found.tags)}", decision)
    direct(call, decision.direction)
    if call.group is asked:
        return decision.plan
    plan = decision.plan = call.snapshot.policies.plan(call.caller, call.route.operation, call.model, call.group)
    decision.activation = Activation(call, plan.needs)
    return plan


def _direction(policy: Policy, decision: Decision) -> Direction | None:
    """Ask one policy where to send a call, which it sees as `view` says."""
    activation, whole = decision.activation, None
    try:
        view = policy.view(activation)
        if view:
            whole = {name: activation[name] for name in view}
            activation.update(view)
        return policy.direct(activation) if _applies(policy, decision) else None
    except ERRORS as error:
        _failed(policy, decision, error)
        return None
    finally:
        if whole:
            activation.update(whole)


def _edited(policy: Policy, call: Call, decision: Decision) -> None:
    try:
        changes = policy.edits(decision.activation)
        if policy.head.action is not Action.DENY:
            if changes:
                name = policy.head.name
                decision.outcomes.append(Outcome(name, "match"))
                changed = ", ".join(dict.fromkeys(".".join(change.path) for change in changes))
                _warn(policy, name, f"would change {changed}", decision)
            return
        if changes and len(decision.plan.editing) > 1:
            decision.activation.settle()
        if changes:
            _change(call, decision, changes)
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


def _failed(policy: Policy, decision: Decision, error: BaseException, expression: Expression | None = None) -> None:
    """Act on an error outside a rule; raises PolicyError unless the policy ignores errors."""
    head = policy.head
    what = explained(expression, error)
    decision.outcomes.append(Outcome(head.name, "error", what))
    refuses = policy.limits() or any(rule.effect is Effect.DENY for rule in policy.rules())
    denies = isinstance(error, LimitError) and refuses
    if head.ignore_errors and not denies:
        return
    said = f"policy `{head.name}` could not be evaluated: {without_place(what)}"
    if head.action is Action.DENY:
        decision.determining = [head.name]
        raise PolicyError(403, "policy_denied", said)
    _warn(policy, head.name, said, decision)


def _advise(judged: Judged, decision: Decision, *, allowed: bool) -> None:
    """Note what a policy that refuses nothing would have refused; `allowed`: a rule in force allows the call."""
    probe = Decision(decision.plan, decision.activation)
    verdict = _Verdict(probe)
    verdict.evaluate(judged.rules)
    decision.outcomes += probe.outcomes
    for refusal in verdict.concluded(allowed=allowed or bool(verdict.allowed)):
        _warn(judged.policy, refusal.name, refusal.message or "would be refused", decision)


def _warn(policy: Policy, name: str, message: str, decision: Decision) -> None:
    """Say what a policy that only warns has found."""
    if policy.head.action is Action.WARN:
        decision.warnings.append(f"{name}: {message}")
        log.warning("policy", finding=name, call=decision.activation.call.id)


def _refused(bound: Bound, message: str) -> _Refusal:
    return _Refusal(bound.policy.head.name, bound.rule, message, bound.rule.status)


def _rank(refusal: _Refusal, plan: Plan) -> tuple[int, int]:
    """Order refusals by the precedence of their rules, then as they are written."""
    if refusal.rule is None:
        return 0, -1
    return _PRECEDENCE.index(refusal.rule.effect), plan.named.index(refusal.name)
