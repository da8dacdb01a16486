"""What is odd about policies that load: rules without effect, rules that let calls pass when they err, names never there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.authoring.expressions import expressions_of, schema_of
from engine.authoring.risks import absences, risks
from engine.authoring.unparse import unparse
from engine.config.keys import OPENAI_PARAMS
from engine.config.problems import Mark, Problem, nearest
from engine.expr.parser import parse
from engine.expr.program import ERRORS
from engine.policy import Action, Effect, Match, Policy, Rule

_FIELDS = tuple(Match.__dataclass_fields__)
_STRENGTH = {Action.DENY: 2, Action.WARN: 1, Action.AUDIT: 0}


class _Seen(NamedTuple):
    """A rule met before, and whose it is."""

    policy: Policy
    rule: Rule


class _Index:
    """Rules met before, by what they say and do and by what selects their calls: the same rule for every team is no rarity."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str, str], list[_Seen]] = {}

    def add(self, seen: _Seen, text: str) -> None:
        """Add a rule, under every name of the first selector of its policy."""
        match, effect = seen.policy.head.match, seen.rule.effect
        field = next((one for one in _FIELDS if getattr(match, one)), "")
        for name in set(getattr(match, field)) if field else ("",):
            self._seen.setdefault((effect, text, field, name), []).append(seen)

    def twin(self, policy: Policy, rule: Rule, text: str) -> _Seen | None:
        """Return a rule met before that has the same effect on every call that this one governs."""
        match = policy.head.match
        keys = [("", ""), *((field, getattr(match, field)[0]) for field in _FIELDS if getattr(match, field))]
        found = (one for field, name in keys for one in self._seen.get((rule.effect, text, field, name), ()))
        return next((one for one in found if _covers(one, policy, rule)), None)


def lint(policies: Sequence[Policy]) -> list[Problem]:
    """List what is odd about policies, in the order of files and lines."""
    found: list[Problem] = []
    seen = _Index()
    for policy in policies:
        found += _rules(policy, seen)
        found += _headers(policy)
        found += _absences(policy)
        found += _parameters(policy)
    return sorted(found, key=lambda one: one.mark or Mark("", 0, 0))


def _rules(policy: Policy, seen: _Index) -> Iterator[Problem]:
    """Look at every rule, and add it to those seen."""
    settled = ""
    for rule in policy.rules():
        expression = rule.expression
        if expression is None:
            continue
        name, program = f"{policy.head.name}/{rule.name}", expression.program
        if settled:
            yield _warning(
                expression.place, expression.field, f"`{name}` changes nothing: `{settled}` before it always refuses"
            )
        constant = _constant(rule)
        if constant is (rule.effect is Effect.REQUIRE):
            does = "never lets a call pass" if rule.effect is Effect.ALLOW else "never refuses a call"
            yield _warning(
                expression.place,
                expression.field,
                f"`{name}` is always {str(constant).lower()}, so it {does}; remove it",
            )
        elif constant is not None and _refuses_all(policy, rule):
            settled = name
        text = unparse(parse(program.source))
        twin = seen.twin(policy, rule, text)
        if twin is not None:
            other = f"{twin.policy.head.name}/{twin.rule.name}"
            yield _warning(expression.place, expression.field, f"`{name}` says again what `{other}` says ({twin.policy.head.place}); remove one")  # fmt: skip
        seen.add(_Seen(policy, rule), text)
        if policy.head.ignore_errors and rule.effect is Effect.DENY:
            for risk in risks(program.source, schema_of(policy.head)):
                message = (
                    f"{risk}, and `failurePolicy: Ignore` lets the call pass then; rule out the error, or use `Fail`"
                )
                yield _warning(expression.place, expression.field, f"`{name}`: {message}")


def _refuses_all(policy: Policy, rule: Rule) -> bool:
    """Tell whether a rule that would refuse does so for every call that its policy governs."""
    head = policy.head
    return rule.effect is not Effect.ALLOW and not head.conditions and head.action is Action.DENY


def _constant(rule: Rule) -> bool | None:
    """Return what a rule comes to that reads nothing."""
    if rule.expression is None or rule.expression.program.refs:
        return None
    try:
        return rule.expression.program.evaluate({}) is True
    except ERRORS:
        return None


def _covers(seen: _Seen, policy: Policy, rule: Rule) -> bool:
    """Tell whether a rule met before, which says the same, governs every call that this one does."""
    one, other = seen.policy.head, policy.head
    if seen.policy is policy:
        return True
    reads_own = rule.expression is not None and any(ref[0] == "variables" for ref in rule.expression.program.refs)
    strong = _STRENGTH[one.action] >= _STRENGTH[other.action]
    return strong and not one.conditions and not reads_own and _wider(one.match, other.match)


def _wider(one: Match, other: Match) -> bool:
    """Tell whether one selection holds all that another does, by the names that are written."""
    for field in _FIELDS:
        mine, theirs = set(getattr(one, field)), set(getattr(other, field))
        if mine and not (theirs and theirs <= mine):
            return False
    return True


def _absences(policy: Policy) -> Iterator[Problem]:
    """Report what expressions read and may not find."""
    ignoring = {
        rule.expression for rule in policy.rules() if policy.head.ignore_errors and rule.effect is Effect.DENY
    }  # of these more is said
    for named in expressions_of(policy):
        if named.expression not in ignoring:
            for absent in absences(named.expression.program.source, schema_of(policy.head)):
                message = f"{absent}, which is an error then: ask for it with has(), or read it with `.?` and orValue()"
                yield _warning(named.expression.place, named.expression.field, message)


def _headers(policy: Policy) -> Iterator[Problem]:
    """Report header names that no request has."""
    for named in expressions_of(policy):
        for ref in sorted(named.expression.program.refs):
            if ref[:2] == ("request", "headers") and len(ref) > 2 and ref[2] != ref[2].lower():
                message = f"no header is called `{ref[2]}`: names are in lower case, write `{ref[2].lower()}`"
                yield _warning(named.expression.place, named.expression.field, message)


def _parameters(policy: Policy) -> Iterator[Problem]:
    """Report parameters that no provider knows, where one of nearly that name exists: a slip there makes a rule blind."""
    for named in expressions_of(policy):
        for ref in sorted(named.expression.program.refs):
            name = ref[2] if ref[:2] == ("llm", "params") and len(ref) > 2 else ""
            guess = nearest(name, OPENAI_PARAMS) if name and name not in OPENAI_PARAMS else None
            if guess is not None:
                message = f"no provider knows a parameter `{name}`; did you mean `{guess}`?"
                yield _warning(named.expression.place, named.expression.field, message)


def _warning(place: str, field: str, message: str) -> Problem:
    file, _, line = place.rpartition(":")
    return Problem("warning", Mark(file, int(line), 1), field, message)
