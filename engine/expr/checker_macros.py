"""The checker's visits to macros: what their variables are, and what becomes of a loop."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar, Final

from engine.expr.deduction import Deduction
from engine.expr.macros import PREDICATES
from engine.expr.nodes import Bind, Comprehension, Node, OptionalMap
from engine.expr.schema import BOOL, DYN, INT, STRING, Type, list_of, map_of, optional_of

Visit = Generator[Node, Node, Node]

_LOOPED: Final = frozenset(["list", "map", "record", "dyn"])


class MacroVisits(Deduction):
    """Visits to the nodes that macros expand to."""

    visits: ClassVar[dict[type, Any]]

    def comprehension(self, node: Comprehension) -> Visit:
        """Check a loop: its variables are in scope within."""
        node.range = yield node.range
        one = self.shape(node.range.type)
        if one.name not in _LOOPED:
            self.fault(node.at, f"`{node.macro}` loops over a list or a map, not over {one}")
        outer = self.scope.copy()
        given = _variables(one, len(node.names))
        node.slots = tuple(self.declare(name, each) for name, each in zip(node.names, given, strict=True))
        if node.filter is not None:
            node.filter = yield node.filter
            self.condition(node.filter, f"the condition of `{node.macro}` is bool")
        node.body = yield node.body
        if node.macro in PREDICATES:
            self.condition(node.body, f"the condition of `{node.macro}` is bool")
        self.scope = outer
        return self.typed(node, self.looped(node, given))

    def looped(self, node: Comprehension, given: tuple[Type, ...]) -> Type:
        """Return the type of what a macro gives."""
        if node.macro in PREDICATES:
            return BOOL
        if node.macro == "transformMap":
            return map_of(given[0], node.body.type)
        if node.macro == "transformMapEntry":
            made = self.shape(node.body.type)
            if made.name not in {"map", "dyn"}:
                self.fault(node.body.at, f"`transformMapEntry` gives a map for each entry, not {made}")
                return DYN
            return map_of(DYN, DYN) if made == DYN else made
        return list_of(node.body.type)

    def bind(self, node: Bind) -> Visit:
        """Check `cel.bind`: its variable is in scope in the body."""
        node.value = yield node.value
        outer = self.scope.copy()
        node.slot = self.declare(node.name, node.value.type)
        node.body = yield node.body
        self.scope = outer
        return self.typed(node, node.body.type)

    def optional_map(self, node: OptionalMap) -> Visit:
        """Check `optMap` and `optFlatMap`: the variable is what the optional holds."""
        node.operand = yield node.operand
        one = self.shape(node.operand.type)
        name = "optFlatMap" if node.flat else "optMap"
        if one.name not in {"optional", "dyn"}:
            self.fault(node.at, f"`{name}` takes an optional, not {one}")
        outer = self.scope.copy()
        node.slot = self.declare(node.name, one.parameters[0] if one.name == "optional" else DYN)
        node.body = yield node.body
        self.scope = outer
        made = self.shape(node.body.type)
        if not node.flat:
            return self.typed(node, optional_of(made))
        if made.name not in {"optional", "dyn"}:
            self.fault(node.body.at, f"`optFlatMap` gives an optional, not {made}")
            made = DYN
        return self.typed(node, made if made.name == "optional" else optional_of(DYN))


MacroVisits.visits = {
    Comprehension: MacroVisits.comprehension,
    Bind: MacroVisits.bind,
    OptionalMap: MacroVisits.optional_map,
}


def _variables(one: Type, count: int) -> tuple[Type, ...]:
    """Return the types of a loop's variables: elements, or keys; of two, position and element, or key and value."""
    if one.name == "list":
        return (INT, one.parameters[0]) if count == 2 else (one.parameters[0],)
    if one.name == "record":
        return (STRING, DYN)[:count]
    return one.parameters[:count] if one.name == "map" else (DYN, DYN)[:count]
