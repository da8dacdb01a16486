"""How an expression can fail on some call, though it compiles: what may be absent, and what only some values have."""

from __future__ import annotations

from collections.abc import Iterator

from engine.expr.analysis import Analysis, Path
from engine.expr.checker import Checker
from engine.expr.library import FUNCTIONS
from engine.expr.names import Names
from engine.expr.nodes import Binary, Call, Constant, Index, Node, Select, every
from engine.expr.parser import parse
from engine.expr.schema import Schema

READING = frozenset(
    {"int", "uint", "double", "bool", "timestamp", "duration", "ip", "cidr", "matches", "base64.decode", "charAt"}
)
"""Functions that fail on text of another form, when it is not a constant."""


def risks(source: str, schema: Schema) -> list[str]:
    """List how an expression that compiles can fail, each once."""
    root = Checker(Names(schema, FUNCTIONS, ""), checked=True).check(parse(source))
    return list(dict.fromkeys([*_Absences(root).found, *_of_values(root)]))


class _Absences(Analysis):
    """Finds fields that a call may lack and that nothing asks for."""

    def __init__(self, root: Node) -> None:
        self.found: list[str] = []
        super().__init__(root)

    def warn_of_absence(self, node: Select, path: Path) -> None:
        """Note a field of an object of which nothing is known."""
        if node.operand.type.name in ("map", "dyn") and not node.optional and path not in self.guarded:
            self.found.append(f"`{'.'.join(path)}` may be absent")


def _of_values(root: Node) -> Iterator[str]:
    for node in every(root):
        if isinstance(node, Index) and not node.optional and node.operand.type.name in ("map", "list", "dyn"):
            yield "an index may be out of range, or a key absent"
        elif isinstance(node, Binary) and node.sign in ("/", "%") and not isinstance(node.right, Constant):
            yield f"`{node.sign}` may divide by zero"
        elif isinstance(node, Call) and node.name in READING and not isinstance(node.args[-1], Constant):
            yield f"`{node.name}()` fails on text that is none"
