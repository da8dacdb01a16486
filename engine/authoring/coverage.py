"""Which rules, and which conditions within them, the cases of a suite have seen both ways.

A rule is covered when it has held in one case and has not held in another; one whose condition is a constant when it was
asked; a Transform when it has changed something. A condition within an expression (an operand of `&&` or `||`, what
stands before `?`, or the whole) is covered when it has been true and false.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.authoring.account import MATCH, MISS, Account, Anatomies, Told
from engine.authoring.anatomy import Part
from engine.authoring.expressions import COST, expressions_of
from engine.authoring.stage import Stage
from engine.authoring.values import every
from engine.policy import Expression, Policy

RULES = frozenset({"deny", "require", "allow", "when"})
"""Roles of expressions that are rules or routes."""


@dataclass(slots=True)
class Point:
    """Something to be seen in some ways: a rule (`match`, `no match`), a condition (`true`, `false`)."""

    name: str
    place: str
    text: str
    wanted: tuple[str, ...]
    seen: set[str] = field(default_factory=set)

    @property
    def missing(self) -> list[str]:
        """What has not been seen."""
        return [way for way in self.wanted if way not in self.seen]


Key = tuple[str, str, int, str]


class Coverage:
    """What has been seen of all policies in files."""

    def __init__(self, stage: Stage, anatomies: Anatomies) -> None:
        self._anatomies = anatomies
        self.rules: dict[str, Point] = {}
        self.branches: dict[Key, Point] = {}
        for policy in stage.policies:
            if policy.head.place.rpartition(":")[0] not in stage.spec.files:
                self._rules(policy)
                self._branches(policy)

    def _rules(self, policy: Policy) -> None:
        head = policy.head
        for rule in policy.rules():
            expression = rule.expression
            place = expression.place if expression is not None else head.place
            fixed = expression is not None and not expression.program.refs
            text = expression.program.source if expression is not None else rule.message
            self._rule(f"{head.name}/{rule.name}", place, text, fixed=fixed)
        for one in expressions_of(policy):
            if one.role == "when" and type(policy).direct is not Policy.direct:
                program = one.expression.program
                self._rule(f"{head.name}/{one.name}", one.expression.place, program.source, fixed=not program.refs)
        if type(policy).edits is not Policy.edits:
            self.rules[head.name] = Point(head.name, head.place, head.kind, ("change",))

    def _rule(self, name: str, place: str, text: str, *, fixed: bool) -> None:
        self.rules[name] = Point(name, place, text, ("evaluated",) if fixed else (MATCH, MISS))

    def _branches(self, policy: Policy) -> None:
        for one in expressions_of(policy):
            if one.role not in ("messageExpression", COST):
                name = f"{policy.head.name}/{one.name}"
                for part in _conditions(self._anatomies.of(policy, one.expression)):
                    point = Point(name, _place(one.expression, part), part.text, ("true", "false"))
                    self.branches[name, one.role, part.at, part.text] = point

    def add(self, accounts: Sequence[Account]) -> None:
        """Take in what a case has shown."""
        for account in accounts:
            if account.changes and account.name in self.rules:
                self.rules[account.name].seen.add("change")
            for told in account.told:
                self._add(told)

    def _add(self, told: Told) -> None:
        point = self.rules.get(told.name) if told.role in RULES else None
        if point is not None:
            point.seen |= {told.outcome, "evaluated"} if told.outcome in (MATCH, MISS) else set()
        if told.value is None:
            return
        for value in every(told.value):
            branch = self.branches.get((told.name, told.role, value.part.at, value.part.text))
            if branch is not None and value.reached and isinstance(value.value, bool):
                branch.seen.add("true" if value.value else "false")

    @property
    def uncovered(self) -> list[Point]:
        """What has not been seen in every way, rules first."""
        return [point for point in (*self.rules.values(), *self.branches.values()) if point.missing]

    def percent(self, points: Sequence[Point] | None = None) -> float:
        """Return the share of ways that have been seen, of all points by default; 100 where there are none."""
        counted = [*self.rules.values(), *self.branches.values()] if points is None else points
        wanted = sum(len(point.wanted) for point in counted)
        missing = sum(len(point.missing) for point in counted)
        return 100.0 * (wanted - missing) / wanted if wanted else 100.0

    def lines(self) -> Iterator[str]:
        """Tell what has not been seen, and how much has."""
        for point in self.uncovered:
            text = " ".join(point.text.split())
            shown = text if len(text) <= 100 else f"{text[:99]}…"
            yield f"{point.place}: {point.name}: never {' nor '.join(point.missing)}: {shown}"
        rules, branches = list(self.rules.values()), list(self.branches.values())
        covered = sum(not point.missing for point in rules)
        yield (
            f"coverage: {self.percent():.1f} % ({covered} of {len(rules)} rules, "
            f"{sum(not point.missing for point in branches)} of {len(branches)} conditions)"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        rules, branches = list(self.rules.values()), list(self.branches.values())
        return {
            "percent": round(self.percent(), 2),
            "rules": {"percent": round(self.percent(rules), 2), "points": [_json(point) for point in rules]},
            "conditions": {"percent": round(self.percent(branches), 2), "points": [_json(point) for point in branches]},
        }


def _place(expression: Expression, part: Part) -> str:
    """Return the line of a part: that of its expression, or its own in a block of lines below."""
    source = expression.program.source
    if "\n" not in source:
        return expression.place
    file, _, line = expression.place.rpartition(":")
    return f"{file}:{int(line) + 1 + source[: part.at].count(chr(10))}"


def _json(point: Point) -> dict[str, Any]:
    return {
        "name": point.name, "place": point.place, "expression": point.text,
        "seen": [way for way in point.wanted if way in point.seen], "missing": point.missing,
    }  # fmt: skip


def _conditions(part: Part, *, operand: bool = False) -> Iterator[Part]:
    """Return the conditions of an expression that depend on a call: operands, tests and what is true or false alone."""
    if part.program.refs and (part.condition or operand) and part.sign != "!":
        yield part
    for at, one in enumerate(part.parts):
        yield from _conditions(one, operand=part.sign in ("&&", "||") or (part.sign == "?" and at == 0))
