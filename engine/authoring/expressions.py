"""The expressions of a policy of any kind, each with its place in the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import NamedTuple

from engine.expr.program import Program
from engine.expr.schema import Schema
from engine.policy import Expression, Head, Policy, Rule
from engine.variables import EVERY, with_variables

COST = "cost"
"""The role of expressions about an answer, which no trial has before it is over."""


class Named(NamedTuple):
    """An expression, and what it is called: by its rule or route where it has one, else by its field."""

    name: str
    role: str
    expression: Expression


def expressions_of(policy: Policy) -> list[Named]:
    """List all expressions of a policy, in the order in which they are evaluated."""
    head = policy.head
    found = [Named(name, "variable", expression) for name, expression in head.variables]
    found += [Named(name, "condition", expression) for name, expression in head.conditions]
    for field in fields(policy):
        if field.name != "head":
            found += _within(getattr(policy, field.name), "")
    return found


def _within(value: object, owner: str) -> Iterator[Named]:
    if isinstance(value, Expression):
        role = value.field.partition("[")[0].partition(".")[0] if not owner else value.field.rpartition(".")[2]
        yield Named(owner or value.field, role, value)
    elif isinstance(value, Rule):
        for expression in (value.expression, value.says):
            if expression is not None:
                yield from _within(expression, value.name)
    elif isinstance(value, tuple):
        name = getattr(value, "name", "")
        for part in value:
            yield from _within(part, name if isinstance(name, str) and name else owner)


def schema_of(head: Head) -> Schema:
    """Return what the expressions of a policy may read, in any phase."""
    return with_variables(EVERY, {name: expression.program.result for name, expression in head.variables})


def programs_of(policy: Policy) -> list[Program]:
    """List the programs of a policy."""
    return [named.expression.program for named in expressions_of(policy)]
