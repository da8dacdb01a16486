"""What is known before a call comes: of all calls of one kind, or of all that are alike.

A rule that comes to an answer from what is known alone comes to it for every one of these calls, and is not evaluated
for them. That it reads more does not matter as long as its evaluation never gets there: `apiKey.team == "trial" && …`
is settled for the keys of other teams, whatever stands behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from engine.activation import ENV, caller_view
from engine.alike import stands
from engine.expr.program import ERRORS
from engine.expr.values import LimitError

if TYPE_CHECKING:
    from engine.call import Caller
    from engine.policy import Expression, Ref
    from engine.snapshot import ModelGroup

WHOLE = frozenset({"apiKey", "env"})
"""Variables that are known in every field."""
MAPS = frozenset({("llm", "params"), ("request", "headers")})
"""Fields of which single entries are known."""
ABSENT = object()


class UnsettledError(LimitError):
    """An evaluation asks for what only a call can tell; like any limit, it is absorbed by nothing."""


class Known(dict[str, Any]):
    """A map of which some fields are known and some are known to be absent; asking for any other is an UnsettledError."""

    __slots__ = ("absent",)
    __hash__ = None

    def __init__(self) -> None:
        super().__init__()
        self.absent: set[str] = set()

    def __missing__(self, name: str) -> NoReturn:
        if name in self.absent:
            raise KeyError(name)
        raise UnsettledError(name)

    def __contains__(self, name: object) -> bool:
        return self.get(name, ABSENT) is not ABSENT

    def get(self, name: Any, default: Any = None) -> Any:
        """Return a field, or the default where it is known to be absent."""
        try:
            return self[name]
        except KeyError:
            return default

    def _unsettled(self, *_: object) -> NoReturn:
        raise UnsettledError("all fields")

    __iter__ = __len__ = __eq__ = __ne__ = keys = values = items = _unsettled


class Standing:
    """What caller, route and model alone decide, and once `widened` what calls that are alike have in common, too.

    `known` holds values by the way to them: a variable, a field, or one entry of a field.
    """

    def __init__(
        self, known: Mapping[Ref, Any], model: str, group: ModelGroup | None, steady: Iterable[Ref] = ()
    ) -> None:
        self.known = known
        self.steady = frozenset(steady)
        self.facts = _tree(known)
        self._model = model
        self._group = group
        self._maps = frozenset(way[:end] for way in known for end in range(len(way)))

    @classmethod
    def of(cls, caller: Caller | None, operation: str, model: str, group: ModelGroup | None) -> Standing:
        """Return what is known of a caller's calls to a model."""
        known: dict[Ref, Any] = {
            ("apiKey",): caller_view(caller),
            ("env",): ENV,
            ("request", "route"): operation,
            ("llm", "model"): group.name if group is not None else "",
        }
        return cls(known, model, group)

    def widened(self, activation: Mapping[str, Any], steady: frozenset[Ref]) -> Standing:
        """Return what is known of calls in which steady attributes are as in this activation, too."""
        known = dict(self.known)
        for ref in steady:
            way = ref[: 3 if ref[:2] in MAPS else 2]
            if ref[0] in activation and ref[0] not in WHOLE and len(way) > 1:
                known[way] = follow(activation, way)
        return Standing(known, self._model, self._group, steady)

    def stands(self, ref: Ref) -> bool:
        """Tell whether a reference reads the same in all these calls."""
        return ref in self.steady or stands(ref)

    def value(self, way: Ref) -> Any:
        """Return what stands at the end of a way in all these calls; ABSENT where nothing does."""
        for end in range(1, len(way) + 1):
            if way[:end] in self.known:
                value = self.known[way[:end]]
                return value if end == len(way) else follow({"": value}, ("", *way[end:]))
        return ABSENT

    def admitted(self, admits: Callable[[str, ModelGroup], bool]) -> bool:
        """Ask a policy about the model of these calls."""
        return self._group is not None and admits(self._model, self._group)

    def settled(self, expression: Expression) -> object:
        """Return what an expression comes to for all these calls; None where that depends on the call."""
        if not self._maps.isdisjoint(expression.program.refs):
            return None
        try:
            return expression.program.evaluate(self.facts)
        except ERRORS:
            return None


def follow(variables: Mapping[str, Any], way: Iterable[str]) -> Any:
    """Return what stands at the end of a way; ABSENT where nothing does."""
    value: Any = variables
    for step in way:
        value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def _tree(known: Mapping[Ref, Any]) -> Known:
    root = Known()
    for (*inner, last), value in known.items():
        at = root
        for step in inner:
            at = at.setdefault(step, Known())
        if value is ABSENT:
            at.absent.add(last)
        else:
            at[last] = value
    return root
