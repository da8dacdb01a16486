"""Which policies govern a call: decided once for each kind of call, and kept.

A thousand policies cost a few microseconds when a caller first asks for a model, and one look-up from then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import orjson
from msgspec import Raw

from engine.activation import BODIES, Activation, Needs
from engine.alike import ALIKE, Alike, Key
from engine.call import Call, Caller
from engine.index import Index
from engine.policy import Action, Edit, Effect, Log, Policy, Ref, Rule
from engine.reads import Reads
from engine.standing import Standing

if TYPE_CHECKING:
    from engine.snapshot import ModelGroup

PLANS = 8192
"""Plans kept; beyond it the table starts anew."""
SHORT = 24 * 1024
"""Bytes of a body below which no evaluation over its prompt can run into a limit."""
LONG = 2_000_000
"""Nanoseconds of evaluating that are done on the loop."""
SMALLEST = 8
"""Bytes of the smallest element that is worth a loop."""
LARGEST = 64 * 1024 * 1024
BACKSLASH = ord("\\")
FREQUENT = b"QZXJVKYUBWqHzGDFPRMjLNCOxIESTA~^`@%&|#?+!_=$*;()<>[]9876543210vkbywpgfmucdlhrnisoate-.,: "
"""What prompts are made of, the rarest first; what is not here comes last."""
_PLAIN = re.compile(r"[ !#-.0-\[\]-~]+")
"""Texts that JSON has one way to write, but for `\\u` escapes."""
SLOW = 300
"""Sizes of regular expressions, summed, from which a byte may cost a step of a slow automaton in each."""


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


class Plan:
    """The policies that govern one kind of call, in order, and what all of them read.

    `plain` are the rules that always apply and refuse, less those that caller, route and model alone decide, and decide
    well; `judged` those of policies with conditions, variables or a weaker action. Of a prompt in which none of `needles` stands, only the
    rules of `deaf` have something to say.
    """

    __slots__ = (
        "_loops",
        "_residual",
        "_scan",
        "_standing",
        "alike",
        "brief",
        "deaf",
        "editing",
        "edits",
        "hidden",
        "judged",
        "log",
        "named",
        "needles",
        "needs",
        "plain",
        "policies",
        "quiet",
        "reads",
        "refs",
        "routed",
        "routing",
        "sets",
        "shown",
    )

    def __init__(self, policies: Sequence[Policy], standing: Standing | None = None, part: Part | None = None) -> None:
        standing = standing or Standing.of(None, "", "", None)
        self.policies = tuple(policies)
        self._standing = standing
        bound = [(policy, _bind(policy)) for policy in policies if type(policy).rules is not Policy.rules]
        self.plain = tuple(
            rule for policy, rules in bound if _plain(policy) for rule in rules if not _settles(standing, rule)
        )
        sought = [_needles(rule) for rule in self.plain]
        self.needles = tuple(dict.fromkeys((rarest(text), text) for texts in sought for text in texts))
        self.deaf = tuple(rule for rule, texts in zip(self.plain, sought, strict=True) if not texts)
        self.judged = tuple(Judged(policy, rules) for policy, rules in bound if not _plain(policy))
        self.named = tuple(rule.name for _, rules in bound for rule in rules)
        self.quiet = Raw(orjson.dumps({"quiet": self.named, "told": ()}))
        """What is recorded where every rule said what it usually says."""
        routing = tuple(policy for policy in policies if type(policy).direct is not Policy.direct)
        editing = tuple(policy for policy in policies if type(policy).edits is not Policy.edits)
        self.routed = bool(routing)
        self.routing = routing if part is None else part.routing
        self.editing = editing if part is None else part.editing
        self.edits = () if part is None else part.edits
        """What is changed of every such call, by policies that need not be asked."""
        self.sets = _sets(self.edits)
        """The same, where it is nothing but members set beside the prompt."""
        self.refs = frozenset(ref for policy in policies for ref in policy.head.refs)
        self.reads = Reads(self.refs, standing)
        log = _log(policies)
        held = [(name, when, True if when is None else standing.settled(when)) for name, when in log.mask]
        self.hidden = frozenset(name for name, _, holds in held if holds is True)
        """Attributes that no record of these calls holds."""
        self.log = Log(
            content=log.content,
            drops=tuple(drop for drop in log.drops if standing.settled(drop) is not False),
            mask=tuple((name, when) for name, when, holds in held if holds is None),
        )
        self.shown = not (self.log.mask or self.log.content or self.hidden)
        """Whether records hold all that was read, content by its hash."""
        self.needs = Needs(self.refs if part is None else self._left())
        self.alike: Alike | None = None
        """How calls are compared; None where no two are alike."""
        self._residual: dict[Key, Plan] = {}
        if part is None and not (self.log.mask or self.log.drops or self.log.content or self.hidden):
            touched = [policy.steady() or frozenset() for policy in editing]
            self.alike = Alike(self.refs.union(*touched))
        reads_body = self.needs.body()
        self._loops = sum(policy.head.loops for policy in policies) if reads_body else 0
        patterns = sum(policy.head.patterns for policy in policies)
        self._scan = 3 + patterns * (5 if patterns > SLOW else 0.1) if reads_body else 0.0
        self.brief = _largest(lambda size: self.takes(size, size // SMALLEST) < LONG)
        """Bytes of a body up to which evaluating is short, whatever it is made of."""

    def left(self, call: Call) -> tuple[Bound, ...]:
        """Return the plain rules that may have something to say about a call."""
        if call.body_size > SHORT:
            return self.plain
        members = call.members
        for name in call.route.dialect.asks & members.keys():
            text = bytes(members[name])
            # A byte is found ten times faster than a text, and a rare one is seldom there.
            if text.find(BACKSLASH) >= 0 and b"\\u" in text:
                return self.plain
            for rare, needle in self.needles:
                if text.find(rare) >= 0 and needle in text:
                    return self.plain
        return self.deaf

    def takes(self, size: int, elements: int) -> float:
        """Bound the nanoseconds that evaluating takes over a body of so many bytes and elements.

        A byte is decoded, hashed and scanned by every pattern; a loop looks at every element and every byte once.
        """
        return size * self._scan + self._loops * (300 * min(elements, size) + size)

    def residual(self, key: Key) -> Plan | None:
        """Return what is left to decide about calls that are alike by this key; None before the first."""
        return self._residual.get(key)

    def remember(self, key: Key, activation: Activation, edits: Sequence[Edit]) -> None:
        """Keep what was decided about a call in which every rule said what it usually says, for those alike."""
        assert self.alike is not None  # noqa: S101 - there is no key without it
        steady = self.alike.steady
        routing = tuple(
            policy for policy in self.routing if not (policy.head.refs <= steady and policy.idle(activation))
        )
        fixed = all(
            (touched := policy.steady()) is not None
            and policy.head.refs <= steady
            and touched <= steady
            and policy.head.action is Action.DENY
            for policy in self.editing
        )
        part = Part(routing, () if fixed else self.editing, tuple(edits) if fixed else ())
        if len(self._residual) >= ALIKE:
            self._residual.clear()
        self._residual[key] = Plan(self.policies, self._standing.widened(activation, steady), part)

    def _left(self) -> frozenset[Ref]:
        """Return what is read by what is left: rules with their messages, conditions, variables, routes and edits."""
        refs: set[Ref] = set()
        for bound in self.plain:
            for expression in (bound.rule.expression, bound.rule.says):
                if expression is not None:
                    refs |= expression.program.refs
            if bound.rule.expression is None:
                refs |= bound.policy.head.refs
        for policy in (*self.routing, *self.editing, *(judged.policy for judged in self.judged)):
            refs |= policy.head.refs
        return frozenset(refs)

    def __repr__(self) -> str:
        return f"<Plan {', '.join(policy.head.name for policy in self.policies)}>"


class Part(NamedTuple):
    """What of a plan is left for calls that are alike, and what is done to all of them unasked."""

    routing: tuple[Policy, ...]
    editing: tuple[Policy, ...]
    edits: tuple[Edit, ...]


class PolicySet:
    """All policies of one snapshot."""

    def __init__(self, policies: Iterable[Policy] = (), index: Index | None = None) -> None:
        self.policies = tuple(policies)
        self.index = index or Index(self.policies)
        self._plans: dict[tuple[Caller | None, str, str], Plan] = {}
        self.log = _log(self.policies)
        self.chooses_models = any(policy.head.match.models for policy in self.policies)
        """Whether the model that a call names decides which policies govern it."""

    @property
    def digest(self) -> str:
        """What identifies this set over restarts; empty where there are no policies."""
        return self.index.digest

    def __len__(self) -> int:
        return len(self.policies)

    def __repr__(self) -> str:
        return f"<PolicySet {len(self)} policies>"

    def plan(self, caller: Caller | None, operation: str, model: str, group: ModelGroup | None) -> Plan:
        """Return the policies that govern a call."""
        if not self.policies:
            return NOTHING
        key = (caller, operation, model)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            chosen = self.index.governing(caller, model, group) & self.index.routes.select((operation,))
            governing = [policy for at, policy in enumerate(self.policies) if chosen >> at & 1]
            plan = self._plans[key] = Plan(governing, Standing.of(caller, operation, model, group))
        return plan

    def admits(self, caller: Caller, model: str, group: ModelGroup) -> bool:
        """Tell whether no policy rules a model out for a caller, whatever else a call holds."""
        chosen = self.index.governing(caller, model, group) if self.policies else 0
        return all(
            policy.admits(model, group)
            for at, policy in enumerate(self.policies)
            if chosen >> at & 1
            and policy.head.action is Action.DENY
            and not policy.head.conditions
            and not policy.head.match.routes
        )


def _log(policies: Sequence[Policy]) -> Log:
    """Put together how all policies want calls to be recorded."""
    logs = [log for policy in policies if (log := policy.log()) is not None]
    return Log(
        content=any(log.content for log in logs),
        drops=tuple(drop for log in logs for drop in log.drops),
        mask=tuple(one for log in logs for one in log.mask),
    )


def _sets(edits: Sequence[Edit]) -> dict[str, Raw] | None:
    """Return the members that changes come to, where they are values already written and none is of the prompt."""
    plain = all(len(path) == 1 and type(value) is Raw and path[0] not in BODIES for path, value in edits)
    return {path[0]: value for path, value in edits if isinstance(value, Raw)} if edits and plain else None


def _settles(standing: Standing, bound: Bound) -> bool:
    """Tell whether a rule has nothing to say about any call of a kind."""
    rule = bound.rule
    if rule.effect is Effect.ALLOW:
        return False
    if rule.standing:
        return standing.admitted(bound.policy.admits)
    return rule.expression is not None and standing.settled(rule.expression) is bound.benign


def _needles(bound: Bound) -> tuple[bytes, ...]:
    """Return the texts without which a rule has nothing to say, as JSON writes them; empty where it may have."""
    expression = bound.rule.expression
    found = expression.program.needles if expression is not None and bound.rule.effect is Effect.DENY else None
    if found is None or (found.path, found.field) != (("llm", "prompt"), "content"):
        return ()
    return tuple(map(str.encode, found.texts)) if all(map(_PLAIN.fullmatch, found.texts)) else ()


def rarest(text: bytes) -> int:
    """Return the byte of a text that is met least in English and code."""
    return min(text, key=lambda byte: FREQUENT.find(byte) % 256)


def _largest(holds: Callable[[int], bool]) -> int:
    """Return the largest size for which something holds that holds for all smaller ones."""
    least, most = 0, LARGEST
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if holds(middle) else (least, middle - 1)
    return least


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


NOTHING = Plan(())
"""The plan where there are no policies."""
