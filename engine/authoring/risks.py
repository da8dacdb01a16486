"""How an expression can fail on some call, though it compiles: what may be absent, and what only some values have."""

from __future__ import annotations

from collections.abc import Iterator

from engine.authoring.unparse import literal, unparse
from engine.expr.analysis import Analysis, Path
from engine.expr.checker import Checker
from engine.expr.library import FUNCTIONS
from engine.expr.names import Names
from engine.expr.nodes import Binary, Call, Constant, Index, MapLiteral, Node, Select, every
from engine.expr.parser import parse
from engine.expr.schema import Schema

READING = frozenset(
    {"int", "uint", "double", "bool", "timestamp", "duration", "ip", "cidr", "matches", "base64.decode", "charAt"}
)
"""Functions that fail on text of another form, when it is not a constant."""


def risks(source: str, schema: Schema) -> list[str]:
    """List how an expression that compiles can fail, each once: by what is absent, then by what values are."""
    root = _checked(source, schema)
    return list(dict.fromkeys([*_Absences(root).found, *_of_values(root)]))


def absences(source: str, schema: Schema) -> list[str]:
    """Name what an expression reads that may be absent, and that it does not ask for first."""
    return list(dict.fromkeys(_Absences(_checked(source, schema)).found))


def _checked(source: str, schema: Schema) -> Node:
    return Checker(Names(schema, FUNCTIONS, ""), checked=True).check(parse(source))


class _Absences(Analysis):
    """Finds fields that a call may lack and that nothing asks for."""

    def __init__(self, root: Node) -> None:
        self.found: list[str] = []
        self.asked = {
            (unparse(node.right), node.left.value)
            for node in every(root)
            if isinstance(node, Binary) and node.sign == "in" and isinstance(node.left, Constant)
        }
        super().__init__(root)
        self.found += [text for node in every(root) if (text := self.absent_key(node))]

    def warn_of_absence(self, node: Select, path: Path) -> None:
        """Note a field of an object of which nothing is known."""
        if node.operand.type.name in ("map", "dyn") and not node.optional and path not in self.guarded:
            owner = ".".join(path[:-1])
            if path[0] != "metadata" and (owner, node.field) not in self.asked:
                self.found.append(f"`{owner}.{node.field}` may be absent")

    def absent_key(self, node: Node) -> str:
        """Return what is said of `map["key"]`; nothing where that is no risk."""
        if not isinstance(node, Index) or node.optional or node.operand.type.name not in ("map", "dyn"):
            return ""
        if not isinstance(node.key, Constant) or not isinstance(node.key.value, str):
            return ""
        owner = unparse(node.operand)
        known = (owner, node.key.value) in self.asked or isinstance(node.operand, MapLiteral)
        return "" if known else f"`{owner}[{literal(node.key.value)}]` may be absent"


def _of_values(root: Node) -> Iterator[str]:
    for node in every(root):
        if isinstance(node, Index) and not node.optional and not isinstance(node.key, Constant):
            yield "an index may be out of range, or a key absent"
        elif isinstance(node, Index) and not node.optional and node.operand.type.name == "list":
            yield "a list may be too short for an index"
        elif isinstance(node, Binary) and node.sign in ("/", "%") and not isinstance(node.right, Constant):
            yield f"`{node.sign}` may divide by zero"
        elif isinstance(node, Call) and node.name in READING and not isinstance(node.args[-1], Constant):
            yield f"`{node.name}()` fails on text that is none"
