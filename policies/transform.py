"""`Transform`: request members set, dropped and clamped before a request goes upstream.

    kind: Transform
    name: trial-limits
    match: {teams: [trial]}
    set: {reasoning_effort: '"low"', metadata.tier: apiKey.metadata.tier}
    drop: [logit_bias]
    clamp: {max_tokens: {max: 1024}, temperature: {min: 0, max: 1}}
    metadata: {tier: '"trial"'}              # for later policies: `metadata.tier`

An absent member stays absent under `clamp`, but for the limit of an answer's length: that is set to its `max`, under
whichever of its names the client uses. `set` to `optional.none()` changes nothing, a bound of it does not bind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import msgspec

from engine.activation import Activation
from engine.expr.program import ERRORS
from engine.expr.schema import DYN
from engine.expr.values import Duration, EvaluationError, LimitError, Optional, Timestamp
from engine.policy import REMOVED, Edit, Expression, Head, Phase, Policy, Reader, Ref

LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""The names under which providers take the limit of an answer's length; a client may send several."""
TAKEN = {
    "chat": LENGTHS[:2], "completions": LENGTHS[:1], "messages": LENGTHS[:1], "responses": LENGTHS[2:],
}  # fmt: skip
"""Those that a route's requests may have; the others have no such limit."""
KEPT = {"model": "use TagRouting to send a call elsewhere", "stream": "only the client can choose it"}
DEEPEST = 8

Path = tuple[str, ...]


class Clamp(NamedTuple):
    """The bounds of one number; `names` are the members that it may be, a limit of length goes by any of its names.

    A bound that reads nothing is its number already.
    """

    path: Path
    names: tuple[Path, ...]
    least: Expression | float | None
    most: Expression | float | None


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
            if (path := _path(name, written)) and (cel := written.cel(name, DYN, phase=Phase.CHANGE))
        ]
        drops = [path for name in fields.texts("drop") if (path := _path(name, fields, "drop"))]
        bounds = [bound for name in clamps.names() if (bound := _clamp(name, clamps))]
        values = [(name, cel) for name in said.names() if (cel := said.cel(name, DYN, phase=Phase.CHANGE))]
        return cls(head, tuple(settings), tuple(drops), tuple(bounds), tuple(values))

    def steady(self) -> frozenset[Ref] | None:
        """Name the members that are clamped; what goes into `metadata` depends on when it is written."""
        if self.metadata:
            return None
        names = {name for clamp in self.clamps for name in clamp.names}
        return frozenset(("llm", "params", name[0]) for name in names)

    def edits(self, activation: Activation) -> Sequence[Edit]:
        """Say what to change: settings first, then bounds, then what is dropped."""
        for name, cel in self.metadata:
            activation["metadata"][name] = cel.value(activation)
        edits: list[Edit] = []
        for path, cel in self.settings:
            value = cel.value(activation)
            if isinstance(value, Optional):
                if not value.present:
                    continue
                value = value.value
            edits.append(Edit(path, _plain(value)))
        for clamp in self.clamps:
            _bound_into(edits, clamp, activation)
        if self.drops:
            edits += [Edit(path, REMOVED) for path in self.drops]
        return edits


def _path(name: str, fields: Reader, field: str = "") -> Path:
    path = tuple(name.split("."))
    if not all(path) or len(path) > DEEPEST:
        fields.fault(f"`{name}` is no path of members; write `member` or `member.inner`", field or name)
        return ()
    if path[0] in KEPT:
        fields.fault(f"`{path[0]}` is not changed by a Transform: {KEPT[path[0]]}", field or name)
        return ()
    return path


def _clamp(name: str, clamps: Reader) -> Clamp | None:
    path, bounds = _path(name, clamps), clamps.mapping(name)
    least, most = (bounds.cel(bound, DYN, phase=Phase.CHANGE) for bound in ("min", "max"))
    if not bounds.has("min") and not bounds.has("max"):
        clamps.fault("needs `min` or `max`", name)
    if not path:
        return None
    names = tuple((one,) for one in LENGTHS) if len(path) == 1 and path[0] in LENGTHS else (path,)
    try:
        return Clamp(path, names, _fixed(least, path), _fixed(most, path))
    except ERRORS as error:
        known = isinstance(error, EvaluationError | LimitError)
        clamps.fault(str(error) if known else f"a bound of `{name}` has no value", name)
        return None


def _fixed(bound: Expression | None, path: Path) -> Expression | float | None:
    """Evaluate a bound that depends on nothing."""
    return bound if bound is None or bound.program.refs else _number(bound.program.evaluate({}), path)


def _bound_into(edits: list[Edit], clamp: Clamp, activation: Activation) -> None:
    """Move numbers into their bounds; those that are there already are left alone."""
    path, present = clamp.path, False
    for name in clamp.names:
        value = _present(name, activation, edits)
        if value is None:
            continue
        present = True
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise EvaluationError(f"`{'.'.join(name)}` is not a number, so it cannot be clamped")
        least, most = _bound(clamp.least, path, activation), _bound(clamp.most, path, activation)
        bounded = value if least is None else max(value, least)
        bounded = bounded if most is None else min(bounded, most)
        if bounded != value:
            edits.append(Edit(name, bounded))
    taken = TAKEN.get(activation.call.route.operation) if not present and len(clamp.names) > 1 else None
    if taken:
        most = _bound(clamp.most, path, activation)
        if most is not None:
            edits.append(Edit(path if path[0] in taken else taken[:1], most))


def _bound(bound: Expression | float | None, path: Path, activation: Activation) -> float | None:
    return _number(bound.value(activation), path) if isinstance(bound, Expression) else bound


def _number(value: object, path: Path) -> float | None:
    """Return a bound as a number; None for an optional without a value."""
    if isinstance(value, Optional):
        if not value.present:
            return None
        value = value.value
    if isinstance(value, bool | Timestamp | Duration) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        raise EvaluationError(f"a bound of `{'.'.join(path)}` is not a number")
    return int(value) if path[-1] in LENGTHS or isinstance(value, int) else value


def _present(path: Path, activation: Activation, edits: Sequence[Edit]) -> Any:
    """Find a member as it will be sent; None when it is absent or null."""
    for edit in reversed(edits) if edits else ():
        if edit.path == path:
            return edit.value
    raw = activation.call.members.get(path[0])
    if raw is None:
        return None
    value: Any = msgspec.json.decode(raw)
    for step in path[1:]:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _plain(value: object) -> object:
    """Refuse what JSON cannot say."""
    if isinstance(value, Timestamp | Duration | bytes):
        raise EvaluationError(f"a {type(value).__name__.lower()} is not a JSON value; convert it with string()")
    return value
