"""Which policies govern a call: decided once for each kind of call, and kept.

A thousand policies cost a few microseconds when a caller first asks for a model, and one look-up from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Raw

from engine.activation import ALL, BODIES, Activation
from engine.alike import ALIKE, Key
from engine.call import Call, Caller
from engine.claims import Counter
from engine.expr.program import ERRORS
from engine.governed import Bound, Governed, log_of
from engine.index import Index
from engine.limiting import Limiting
from engine.policy import Action, Edit, Effect, Log, Policy, Ref
from engine.reads import Reads
from engine.standing import Standing

if TYPE_CHECKING:
    from engine.snapshot import ModelGroup

PLANS = 16_384
"""Plans kept, those of alike calls among them; beyond it the table starts anew."""
SETS = 1024
"""Sets of policies whose common parts are kept."""
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
SLOW = 300
"""Sizes of regular expressions, summed, from which a byte may cost a step of a slow automaton in each."""


class Plan:
    """The policies that govern one kind of call, in order, and what all of them read.

    `plain` are the rules that always apply and refuse, less those that caller, route and model alone decide, and decide
    well; `judged` those of policies with conditions, variables or a weaker action. Of a prompt in which none of `needles` stands, only the
    rules of `deaf` have something to say.
    """

    __slots__ = (
        "_loops",
        "_scan",
        "_standing",
        "alike",
        "brief",
        "counters",
        "deaf",
        "editing",
        "edits",
        "governed",
        "hidden",
        "judged",
        "limiting",
        "log",
        "named",
        "needles",
        "needs",
        "plain",
        "policies",
        "quiet",
        "reads",
        "residuals",
        "routed",
        "routing",
        "sets",
        "shown",
    )

    def __init__(
        self,
        governed: Governed,
        standing: Standing | None = None,
        part: Part | None = None,
        made: Limiting | None = None,
    ) -> None:
        standing = standing or Standing.of(None, "", "", None)
        self.governed = governed
        self.policies = governed.policies
        self._standing = standing
        left = [(rule, texts) for rule, texts in governed.plain if not _settles(standing, rule)]
        self.plain = tuple(rule for rule, _ in left)
        self.needles = tuple(dict.fromkeys((rarest(text), text) for _, texts in left for text in texts))
        self.deaf = tuple(rule for rule, texts in left if not texts)
        self.judged = governed.judged
        self.named, self.quiet = governed.named, governed.quiet
        self.routed = bool(governed.routing)
        self.routing = governed.routing if part is None else part.routing
        self.editing = governed.editing if part is None else part.editing
        self.edits = () if part is None else part.edits
        """What is changed of every such call, by policies that need not be asked."""
        self.sets = _sets(self.edits)
        """The same, where it is nothing but members set beside the prompt."""
        self.counters: tuple[Counter, ...] = ()
        """The counters of every such call, by limits that caller, route and model alone tell apart."""
        self.limiting = governed.limiting
        """The policies whose limits depend on more."""
        if made is not None and self.limiting:
            self._settle_limits(standing, made)
        self.reads = Reads(governed.reads, governed.refs, standing)
        log = governed.log
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
        self.needs = governed.needs(governed.refs if part is None else self._left())
        self.alike = governed.alike if part is None and self.shown and not self.log.drops else None
        """How calls are compared; None where no two are alike."""
        self.residuals: dict[Key, Plan] | None = None
        reads_body = self.needs.body()
        self._loops = governed.loops if reads_body else 0
        self._scan = 3 + governed.patterns * (5 if governed.patterns > SLOW else 0.1) if reads_body else 0.0
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

    def _settle_limits(self, standing: Standing, made: Limiting) -> None:
        """Find the counters that are the same for all these calls."""
        counters: list[Counter] = []
        left = []
        for policy in self.limiting:
            head = policy.head
            held = [standing.settled(condition) for _, condition in head.conditions]
            if False in held:
                continue
            values = [standing.settled(value) for limit in policy.limits() for value in limit.values]
            if head.variables or None in held or None in values:
                left.append(policy)
                continue
            try:
                counters += made.counters(policy, standing.settled)
            except ERRORS:
                left.append(policy)
        self.counters, self.limiting = tuple(counters), tuple(left)

    def residual(self, key: Key) -> Plan | None:
        """Return what is left to decide about calls that are alike by this key; None before the first."""
        return self.residuals.get(key) if self.residuals is not None else None

    def reduced(self, activation: Activation, edits: Sequence[Edit], limits: Limiting) -> Plan:
        """Return what is left to decide about calls like this one, in which every rule said what it usually says."""
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
        return Plan(self.governed, self._standing.widened(activation, steady), part, limits)

    def _left(self) -> frozenset[Ref]:
        """Return what is read by what is left: rules with their messages, conditions, variables, routes and edits."""
        refs: set[Ref] = set()
        for bound in self.plain:
            for expression in (bound.rule.expression, bound.rule.says):
                if expression is not None:
                    refs |= expression.program.refs
            if bound.rule.expression is None:
                refs |= bound.policy.head.refs
        watching = (policy for policy in self.policies if policy.watch() is not None)
        for policy in (
            *self.routing,
            *self.editing,
            *self.limiting,
            *watching,
            *(judged.policy for judged in self.judged),
        ):
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
        self._governed: dict[int, Governed] = {}
        self._remembered = 0
        self.limits = Limiting()
        self.log = log_of(self.policies)
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
            self._make_room()
            chosen = self.index.governing(caller, model, group) & self.index.routes.select((operation,))
            plan = self._plans[key] = Plan(
                self._of(chosen), Standing.of(caller, operation, model, group), made=self.limits
            )
        return plan

    def remember(self, plan: Plan, key: Key, activation: Activation, edits: Sequence[Edit]) -> None:
        """Keep what was decided about a call in which every rule said what it usually says, for those alike."""
        known = plan.residuals
        if known is None:
            known = plan.residuals = {}
        elif len(known) >= ALIKE:
            self._remembered -= len(known)
            known.clear()
        self._make_room()
        self._remembered += 1
        known[key] = plan.reduced(activation, edits, self.limits)

    def budgets(self, call: Call, names: frozenset[str]) -> dict[str, dict[str, Any]]:
        """Return how the budgets of these names stand for a call; of all of them where the names say `*`."""
        wanted = [policy for policy in self.policies if policy.limits() and (names is ALL or policy.head.name in names)]
        return self.limits.budgets(call, wanted)

    def _make_room(self) -> None:
        """Begin anew where a plan more would be one too many."""
        if len(self._plans) + self._remembered >= PLANS:
            for plan in self._plans.values():
                plan.residuals = None
            self._plans.clear()
            self._remembered = 0

    def _of(self, chosen: int) -> Governed:
        """Return what these policies come to; the sets that occur are few."""
        found = self._governed.get(chosen)
        if found is None:
            if len(self._governed) >= SETS:
                self._governed.clear()
            found = self._governed[chosen] = Governed(
                [policy for at, policy in enumerate(self.policies) if chosen >> at & 1]
            )
        return found

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


NOTHING = Plan(Governed(()))
"""The plan where there are no policies."""
