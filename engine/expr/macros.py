"""Calls that are syntax: `has`, the loops, `cel.bind`, `optMap`."""

from __future__ import annotations

from typing import Final

from engine.expr.nodes import Bind, Call, Comprehension, Has, Name, Node, OptionalMap, Select
from engine.expr.problems import FaultAt

PREDICATES: Final = frozenset(["all", "exists", "exists_one"])
"""Macros whose body is a condition."""

_ARGUMENTS: Final = {
    "all": (2, 3),
    "exists": (2, 3),
    "exists_one": (2, 3),
    "existsOne": (2, 3),
    "filter": (2,),
    "map": (2, 3),
    "transformList": (3, 4),
    "transformMap": (3, 4),
    "transformMapEntry": (3, 4),
}
"""The numbers of arguments with which a call is a macro; with any other it is a call of some function."""


def expand(call: Call) -> Node:
    """Return what a call means as a macro, or the call itself; raises FaultAt if a macro is written wrongly."""
    if call.receiver is None:
        return _has(call) if call.name == "has" and len(call.args) == 1 else call
    count = len(call.args)
    if count in _ARGUMENTS.get(call.name, ()):
        return _comprehension(call, call.receiver)
    if call.name in {"optMap", "optFlatMap"} and count == 2:
        return OptionalMap(call.at, _name(call, 0), call.receiver, call.args[1], call.name == "optFlatMap")
    receiver = call.receiver
    if call.name == "bind" and count == 3 and isinstance(receiver, Name) and receiver.name == "cel":
        return Bind(call.at, _name(call, 0), call.args[1], call.args[2])
    return call


def _has(call: Call) -> Node:
    (field,) = call.args
    if not isinstance(field, Select) or field.optional:
        raise FaultAt(field.at, "has() takes a field, as in has(a.b)")
    return Has(field.at, field.operand, field.field)


def _comprehension(call: Call, over: Node) -> Node:
    transform = call.name.startswith("transform")
    two = transform or (call.name != "map" and len(call.args) == 3)
    names = tuple(_name(call, position) for position in range(1 + two))
    if len(set(names)) < len(names):
        raise FaultAt(call.args[1].at, f"`{names[1]}` is declared twice")
    macro = "exists_one" if call.name == "existsOne" else call.name
    rest = call.args[len(names) :]
    if macro == "filter":
        return Comprehension(call.at, macro, over, names, rest[0], Name(call.args[0].at, names[0]))
    return Comprehension(call.at, macro, over, names, rest[0] if len(rest) == 2 else None, rest[-1])


def _name(call: Call, position: int) -> str:
    name = call.args[position]
    if isinstance(name, Name) and not name.absolute:
        return name.name
    raise FaultAt(name.at, f"{call.name}() declares a variable here: a plain name, as in x.{call.name}(it, …)")


MACROS: Final = {
    "has": "has(a.b)",
    **{name: f"x.{name}(it, condition)" for name in ("all", "exists", "exists_one", "existsOne", "filter")},
    "map": "x.map(it, value)",
    "transformList": "x.transformList(position, it, value)",
    "transformMap": "x.transformMap(key, it, value)",
    "transformMapEntry": "x.transformMapEntry(key, it, {key: value})",
    "optMap": "x.optMap(it, value)",
    "optFlatMap": "x.optFlatMap(it, optional)",
    "cel.bind": "cel.bind(name, value, expression)",
}
"""How macros are written, for who mistypes one."""
