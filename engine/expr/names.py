"""What the names of an expression stand for: variables, types and functions, seen from a container.

In container `a.b` a name `x.y` is `a.b.x.y`, else `a.x.y`, else `x.y`; of `x.y.z` the longest part that is declared is
the variable and the rest are fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.expr.library import TYPES
from engine.expr.macros import MACROS
from engine.expr.nodes import Call, Constant, Name, Node, Select, Variable
from engine.expr.schema import TYPE, Function, Schema


class Names:
    """The declared names of an expression's surroundings."""

    def __init__(self, schema: Schema, functions: Mapping[str, Function], container: str) -> None:
        self.schema = schema
        self.functions = functions
        parts = container.split(".") if container else []
        self.prefixes = [".".join([*parts[:count], ""]) for count in range(len(parts), 0, -1)] + [""]
        self.longest = 1 + max((name.count(".") for name in [*schema.variables, *functions]), default=0)
        self.longest = max(self.longest, 3)
        self.namespaces = {name.rpartition(".")[0] for name in [*functions, *MACROS] if "." in name}

    def candidates(self, name: str, *, absolute: bool) -> Iterator[str]:
        """Return the full names that a name may mean, in order."""
        return (prefix + name for prefix in ([""] if absolute else self.prefixes))

    def find(self, at: int, name: str, *, absolute: bool = False) -> Node | None:
        """Return the variable or type of a dotted name."""
        for full in self.candidates(name, absolute=absolute):
            declared = self.schema.variables.get(full)
            if declared is not None:
                variable = Variable(at, full)
                variable.type = declared
                return variable
            if full in TYPES:
                constant = Constant(at, TYPES[full])
                constant.type = TYPE
                return constant
        return None

    def spelled(self, node: Node) -> tuple[str, Name] | None:
        """Return `a.b.c` as it is spelled and the name it begins with, if it is short enough to be declared."""
        fields: list[str] = []
        while isinstance(node, Select) and not node.optional and len(fields) < self.longest:
            fields.append(node.field)
            node = node.operand
        if not isinstance(node, Name):
            return None
        fields.append(node.name)
        return ".".join(reversed(fields)), node

    def function(self, call: Call) -> Function | None:
        """Return the function that a call without receiver names, or one whose receiver is part of its name."""
        name, absolute = call.name, call.absolute
        if call.receiver is not None:
            spelled = self.spelled(call.receiver)
            if spelled is None:
                return None
            name, absolute = f"{spelled[0]}.{name}", spelled[1].absolute
        return next(
            (self.functions[full] for full in self.candidates(name, absolute=absolute) if full in self.functions), None
        )
