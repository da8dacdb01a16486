"""What all visits of the code generator share: conditions, and the charges within loops."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar, Final

from engine.expr.nodes import Index, Local, Node, Select
from engine.expr.patterns import MAX_SEARCHED
from engine.expr.runtime import MAX_ITERATIONS, WEIGHT
from engine.expr.schema import BOOL
from engine.expr.writing import Code, Writer, marked

Visit = Generator[Node, Code, Code]

_WEIGHTLESS: Final = frozenset(
    ["bool", "int", "uint", "double", "null_type", "timestamp", "duration", "type", "ip", "cidr"]
)
_SIZED: Final = frozenset(["string", "bytes", "list"])


class CodeVisits(Writer):
    """The writer with what visits know of their surroundings."""

    visits: ClassVar[dict[type, Any]]

    def __init__(self, *, cut: bool = False, searches: int = 0) -> None:
        super().__init__(cut=cut)
        self.searches = searches
        self.loops = 0
        self.own: frozenset[int] = frozenset()
        """Variables whose parts, over all rounds of the loops, are no more than the input is long."""
        self.doubtful: set[int] = set()
        """Variables of cel.bind whose value may have failed."""

    def boolean(self, node: Node, code: Code) -> Code:
        """Return the code of a condition: what is not known to be a bool is looked at."""
        if code.type == BOOL:
            return code
        name = self.new_name()
        refused = marked(node, f"not_bool({name})")
        text = f"({name} if ({name} := {code.text}) is True or {name} is False else {refused})"
        return Code(text, BOOL, True, code.depth + 2)

    def within_element(self, node: Node) -> bool:
        """Whether the node is a part of what a loop goes through."""
        while isinstance(node, Select | Index):
            node = node.operand
        return isinstance(node, Local) and node.slot in self.own

    def iterate(self, node: Node, count: str) -> None:
        """Emit the charge for rounds of a loop."""
        self.emit(f"{self.iterations} += {count}")
        self.emit(f"if {self.iterations} > {MAX_ITERATIONS}: {marked(node, 'raise too_many()')}")

    def charge(self, node: Node, code: Code) -> None:
        """Emit the charge for going through a value within a loop."""
        if code.type.name in _SIZED:
            self.iterate(node, f"len({code.text}) >> {WEIGHT}")
        elif code.type.name not in _WEIGHTLESS:
            self.iterate(node, f"weight({code.text})")

    def weighed(self, node: Node, code: Code) -> Code:
        """Return the code of a value that is made; within a loop, its size counts."""
        if not self.loops or code.type.name in _WEIGHTLESS:
            return code
        made = self.kept(code)
        self.charge(node, made)
        return made

    def search(self, node: Node, text: Code) -> None:
        """Emit the charge for searching a text by a pattern, if patterns share a budget."""
        if self.searches < 2:
            return
        test = "" if text.type.name == "string" else f"if type({text.text}) is str: "
        self.emit(f"{test}{self.scanned} += len({text.text})")
        self.emit(f"if {self.scanned} > {MAX_SEARCHED}: {marked(node, 'raise too_much_text()')}")
