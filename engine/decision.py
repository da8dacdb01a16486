"""What was decided about one call, by which rules, and how that is written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import orjson
from msgspec import Raw

from engine.activation import Activation
from engine.policy import Direction, Edit

if TYPE_CHECKING:
    from engine.governing import Plan

LONGEST = 256
"""Characters of one recorded value; a longer one is recorded by its hash."""


class Outcome(NamedTuple):
    """What one rule said that was not what it usually says: `match`, `miss`, `error`, `skipped`."""

    name: str
    said: str
    detail: str = ""


class Decision:
    """What the policies decided about one call.

    `determining` are the rules that decided; `warnings` are for the answer's headers; `seconds` is what deciding took.
    """

    __slots__ = ("_read", "activation", "determining", "direction", "edits", "outcomes", "plan", "seconds", "warnings")

    def __init__(self, plan: Plan, activation: Activation) -> None:
        self.plan = plan
        self.activation = activation
        self.outcomes: list[Outcome] = []
        self.determining: list[str] = []
        self.warnings: list[str] = []
        self.direction: Direction | None = None
        self.edits: Sequence[Edit] = ()
        self.seconds = 0.0
        self._read: Raw | None = None

    def __repr__(self) -> str:
        return f"<Decision by {', '.join(self.determining) or 'default'}>"

    @property
    def quiet(self) -> bool:
        """Whether every rule said what it usually says, and the call goes where it would have gone."""
        return not (self.outcomes or self.determining or self.warnings) and self.direction is None

    def outcomes_text(self) -> Raw:
        """Write what every rule said: those that said what they usually say by name alone."""
        if not self.outcomes:
            return self.plan.quiet
        told = {outcome.name for outcome in self.outcomes}
        quiet = [name for name in self.plan.named if name not in told]
        listed = [dict(zip(Outcome._fields, outcome, strict=True)) for outcome in self.outcomes]
        return Raw(orjson.dumps({"quiet": quiet, "told": listed}))

    def write(self) -> None:
        """Write what was read now, where what is left out does not depend on more."""
        if not self.plan.log.mask:
            self._read = self.read_text(content=self.plan.log.content, hidden=self.plan.hidden)

    def read_text(self, *, content: bool, hidden: frozenset[str]) -> Raw:
        """Write what was read: every attribute's value, content by its hash unless it is wanted."""
        if self._read is not None:
            return self._read
        return Raw(self.plan.reads.text(self.activation, content=content, hidden=hidden))

    def release(self) -> None:
        """Let go of what was read, once it is recorded: it holds the call, which holds the decision."""
        self.activation.clear()
        del self.activation.call
