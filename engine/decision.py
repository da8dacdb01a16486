"""What was decided about one call, by which rules, and how that is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from msgspec import Raw

from engine.activation import Activation
from engine.expr.values import Duration, Timestamp
from engine.policy import Direction, Ref

if TYPE_CHECKING:
    from engine.governing import Plan

CONTENT = frozenset({("llm", "prompt"), ("llm", "completion"), ("response", "body")})
"""What is content: recorded by its hash and size."""
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
        told = {outcome.name for outcome in self.outcomes}
        quiet = [name for name in self.plan.named if name not in told] if told else self.plan.named
        listed = [dict(zip(Outcome._fields, outcome, strict=True)) for outcome in self.outcomes]
        return Raw(orjson.dumps({"quiet": quiet, "told": listed}))

    def read_text(self, *, content: bool, hidden: frozenset[str]) -> Raw:
        """Write what was read: every attribute's value, content by its hash unless it is wanted."""
        values = {
            ".".join(ref): value for ref, value in self._values(content=content) if not _hidden(".".join(ref), hidden)
        }
        return Raw(orjson.dumps(values, default=str))

    def _values(self, *, content: bool) -> Iterator[tuple[Ref, Any]]:
        for ref in sorted(self.plan.refs):
            path = ref[: ref.index("*")] if "*" in ref else ref
            value = _follow(self.activation, path)
            if value is _ABSENT:
                continue
            secret = path[:2] in CONTENT or path[0] == "llmRequest"
            yield path, value if content or not (secret or _large(value)) else _hashed(value)


_ABSENT = object()


def _hidden(name: str, hidden: frozenset[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in hidden)


def _follow(activation: Activation, path: Ref) -> Any:
    value: Any = activation.get(path[0], _ABSENT)
    for step in path[1:]:
        if not isinstance(value, dict) or step not in value:
            return _ABSENT
        value = value[step]
    return int(value) if isinstance(value, Timestamp | Duration) else value


def _large(value: Any) -> bool:
    return (isinstance(value, str) and len(value) > LONGEST) or (isinstance(value, list | dict) and len(value) > 16)


def _hashed(value: Any) -> dict[str, Any]:
    text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else orjson.dumps(value, default=str)
    return {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
