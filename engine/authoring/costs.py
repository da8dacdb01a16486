"""How long rules may take at worst, by the bound that the gateway itself goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from engine.authoring.expressions import expressions_of
from engine.documents.load import passes
from engine.governed import Governed
from engine.governing import SMALLEST, Plan
from engine.policy import Policy

SIZE = 100 * 1024
"""Bytes of the request that costs are told for."""


class Cost(NamedTuple):
    """The cost of one expression: how deep it loops, how large its patterns are, and `micros` at worst."""

    name: str
    role: str
    place: str
    loops: int
    patterns: int
    micros: float

    def __str__(self) -> str:
        looks = f"loops {self.loops} deep, " if self.loops else ""
        searches = f"patterns of {self.patterns} steps, " if self.patterns else ""
        return f"{self.place}: {self.name} ({self.role}): {looks}{searches}at most {self.micros:,.1f} µs for a request of {SIZE // 1024} KB"


def costs(policies: Sequence[Policy]) -> list[Cost]:
    """Bound what every expression takes over a large request; what reads nothing of its size takes nothing that grows."""
    found = []
    for policy in policies:
        for named in expressions_of(policy):
            program = named.expression.program
            head = replace(policy.head, refs=program.refs, loops=passes(program), patterns=program.patterns)
            plan = Plan(Governed((replace(policy, head=head),)))
            micros = plan.takes(SIZE, SIZE // SMALLEST) / 1000
            name = f"{policy.head.name}/{named.name}"
            found.append(Cost(name, named.role, named.expression.place, program.loops, program.patterns, micros))
    return found
