"""What was decided about one call, by which rules, and how that is written down."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from msgspec import Raw

from engine.activation import Activation
from engine.policy import Direction

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

    __slots__ = ("activation", "determining", "direction", "edits", "outcomes", "plan", "seconds", "warnings")

    def __init__(self, plan: Plan, activation: Activation) -> None:
        self.plan = plan
        self.activation = activation
        self.outcomes: list[Outcome] = []
        self.determining: list[str] = []
        self.warnings: list[str] = []
        self.direction: Direction | None = None
        self.edits = 0
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"<Decision by {', '.join(self.determining) or 'default'}>"

    def outcomes_text(self) -> Raw:
        """Write what every rule said: those that said what they usually say by name alone."""
        if not self.outcomes:
            return Raw(self.plan.quiet)
        told = {outcome.name for outcome in self.outcomes}
        quiet = [name for name in self.plan.named if name not in told]
        listed = [dict(zip(Outcome._fields, outcome, strict=True)) for outcome in self.outcomes]
        return Raw(orjson.dumps({"quiet": quiet, "told": listed}))

    def read_text(self, *, content: bool, hidden: frozenset[str]) -> Raw:
        """Write what was read: every attribute's value, content by its hash unless it is wanted."""
        activation = self.activation
        values: dict[str, Any] = {}
        for read in self.plan.reads:
            # What a caller is was perhaps read at load: rules that read nothing else are settled there.
            value: Any = activation["apiKey"] if read.variable == "apiKey" else activation.get(read.variable, _ABSENT)
            for step in read.path:
                value = value.get(step, _ABSENT) if isinstance(value, dict) else _ABSENT
            if value is _ABSENT or (hidden and _hidden(read.name, hidden)):
                continue
            for inner in hidden:
                if inner.startswith(f"{read.name}."):
                    value = _without(value, inner[len(read.name) + 1 :])
            if not content and (read.content or _large(value)):
                value = _hashed(value)
            values[read.name] = value
        return Raw(_written(values))

    def release(self) -> None:
        """Let go of what was read, once it is recorded: it holds the call, which holds the decision."""
        self.activation.clear()
        del self.activation.call


_ABSENT = object()


def _hidden(name: str, hidden: frozenset[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in hidden)


def _plain(value: object) -> object:
    """Write what JSON has no word for: times in nanoseconds, unsigned numbers as numbers, anything else as text."""
    return int(value) if isinstance(value, int) else str(value)


def _without(value: Any, name: str) -> Any:
    """Return a value less what a path in it leads to; keys may hold dots themselves."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without(inner, name[len(key) + 1 :]) if name.startswith(f"{key}.") else inner
        for key, inner in value.items()
        if key != name
    }


def _written(value: Any) -> bytes:
    """Write a value, an odd one too: clients send numbers beyond 64 bits, and headers that are not UTF-8."""
    try:
        return orjson.dumps(value, _plain, orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(value, default=_plain).encode()


def _large(value: Any) -> bool:
    return (isinstance(value, str) and len(value) > LONGEST) or (isinstance(value, list | dict) and len(value) > 16)


def _hashed(value: Any) -> dict[str, Any]:
    text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _written(value)
    return {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
