"""`Transform`: request members set, dropped and clamped before a request goes upstream.

    kind: Transform
    name: trial-limits
    match: {teams: [trial]}
    set: {reasoning_effort: '"low"', metadata.tier: apiKey.metadata.tier}
    drop: [logit_bias]
    clamp: {max_tokens: {max: 1024}, temperature: {min: 0, max: 1}}
    metadata: {tier: '"trial"'}              # for later policies: `metadata.tier`

An absent member stays absent under `clamp`, but for the limit of an answer's length: that is set to its `max`, under
whichever of its names the client uses. `set` to `optional.none()` changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import msgspec

from engine.activation import Activation
from engine.expr.schema import DYN
from engine.expr.values import Duration, EvaluationError, Optional, Timestamp
from engine.policy import REMOVED, Edit, Expression, Head, Policy, Reader

LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""The names under which providers take the limit of an answer's length; a request has one of them."""
KEPT = {"model": "use TagRouting to send a call elsewhere", "stream": "only the client can choose it"}
DEEPEST = 8

Path = tuple[str, ...]


class Clamp(NamedTuple):
    """The bounds of one number."""

    path: Path
    least: Expression | None
    most: Expression | None


@dataclass(frozen=True, slots=True)
class Transform(Policy):
    """Says how requests are changed."""

    settings: tuple[tuple[Path, Expression], ...] = ()
    drops: tuple[Path, ...] = ()
    clamps: tuple[Clamp, ...] = ()
    metadata: tuple[tuple[str, Expression], ...] = ()

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read `set`, `drop`, `clamp` and `metadata`."""
        if not any(fields.has(name) for name in ("set", "drop", "clamp", "metadata")):
            fields.fault("says nothing; give it `set`, `drop`, `clamp` or `metadata`")
        written, clamps, said = fields.mapping("set"), fields.mapping("clamp"), fields.mapping("metadata")
        settings = [
            (path, cel)
            for name in written.names()
            if (path := _path(name, written)) and (cel := written.cel(name, DYN))
        ]
        drops = [path for name in fields.texts("drop") if (path := _path(name, fields))]
        bounds = [bound for name in clamps.names() if (bound := _clamp(name, clamps))]
        values = [(name, cel) for name in said.names() if (cel := said.cel(name, DYN))]
        return cls(head, tuple(settings), tuple(drops), tuple(bounds), tuple(values))

    def edits(self, activation: Activation) -> Sequence[Edit]:
        """Say what to change: settings first, then bounds, then what is dropped."""
        for name, cel in self.metadata:
            activation["metadata"][name] = cel.program.evaluate(activation)
        edits = []
        for path, cel in self.settings:
            value = cel.program.evaluate(activation)
            if isinstance(value, Optional):
                if not value.present:
                    continue
                value = value.value
            edits.append(Edit(path, _plain(value)))
        edits += [edit for clamp in self.clamps if (edit := _bounded(clamp, activation, edits))]
        edits += [Edit(path, REMOVED) for path in self.drops]
        return edits


def _path(name: str, fields: Reader) -> Path:
    path = tuple(name.split("."))
    if not all(path) or len(path) > DEEPEST:
        fields.fault(f"`{name}` is no path of members; write `member` or `member.inner`", name)
        return ()
    if path[0] in KEPT:
        fields.fault(f"`{path[0]}` is not changed by a Transform: {KEPT[path[0]]}", name)
        return ()
    return path


def _clamp(name: str, clamps: Reader) -> Clamp | None:
    path, bounds = _path(name, clamps), clamps.mapping(name)
    least, most = bounds.cel("min", DYN), bounds.cel("max", DYN)
    if not bounds.has("min") and not bounds.has("max"):
        clamps.fault("needs `min` or `max`", name)
    return Clamp(path, least, most) if path else None


def _bounded(clamp: Clamp, activation: Activation, edits: Sequence[Edit]) -> Edit | None:
    """Move a number into its bounds; None where it is there already."""
    path, value = _present(clamp.path, activation, edits)
    least = clamp.least.program.evaluate(activation) if clamp.least else None
    most = clamp.most.program.evaluate(activation) if clamp.most else None
    if value is None:
        return Edit(path, most) if most is not None and path[0] in LENGTHS and len(path) == 1 else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError(f"`{'.'.join(path)}` is not a number, so it cannot be clamped")
    bounded: Any = value
    if isinstance(least, int | float) and bounded < least:
        bounded = least
    if isinstance(most, int | float) and bounded > most:
        bounded = most
    return Edit(path, bounded) if bounded != value else None


def _present(path: Path, activation: Activation, edits: Sequence[Edit]) -> tuple[Path, Any]:
    """Find a member as it will be sent, a limit of length under any of its names."""
    for edit in reversed(edits):
        if edit.path == path:
            return path, edit.value
    members = activation.call.members
    if len(path) == 1 and path[0] in LENGTHS and path[0] not in members:
        path = next(((name,) for name in LENGTHS if name in members), path)
    raw = members.get(path[0])
    value: Any = msgspec.json.decode(raw) if raw is not None else None
    for step in path[1:]:
        value = value.get(step) if isinstance(value, dict) else None
    return path, value


def _plain(value: object) -> object:
    """Refuse what JSON cannot say."""
    if isinstance(value, Timestamp | Duration | bytes):
        raise EvaluationError(f"a {type(value).__name__.lower()} is not a JSON value; convert it with string()")
    return value
