"""A checked tree to Python source: locals, plain loops, and the test of a class where a type is not known.

Types are trusted where the checker deduced them. What is `dyn` is tested at the place: the short way is open to the
classes that are likely there, everything else goes through the operators, which know all of CEL.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from engine.expr.codegen_calls import CallVisits
from engine.expr.codegen_fields import FieldVisits
from engine.expr.codegen_logic import LogicVisits
from engine.expr.codegen_operators import OperatorVisits
from engine.expr.nodes import Constant, Local, Node, Variable, walk
from engine.expr.schema import DYN, Type
from engine.expr.writing import DEEPEST_LEVEL, DEEPEST_TEXT, MOST_BLOCKS, Code, Generated, TooDeep, marked

Visit = Generator[Node, Code, Code]

_CLASSES: Final = {
    "bool": "bool",
    "int": "int",
    "double": "float",
    "string": "str",
    "bytes": "bytes",
}
_CONTAINERS: Final = {"list": "list", "map": "dict", "record": "dict"}


class CodeGenerator(OperatorVisits, LogicVisits, FieldVisits, CallVisits):
    """Generates the code of one expression."""

    def visit(self, node: Node) -> Visit:
        """Generate a node; what lies too deep becomes a function of its own."""
        if (self.level > DEEPEST_LEVEL or self.blocks > MOST_BLOCKS) and any(True for _ in node.children()):
            if not self.cut:
                raise TooDeep
            return self.cut_out(node)
        return self.bounded(node)

    def bounded(self, node: Node) -> Visit:
        """Generate a node, and name its value if its text is nested too deeply."""
        visit: Callable[[Any, Any], Visit] = self.visits[type(node)]
        code = yield from visit(self, node)
        return code if code.depth < DEEPEST_TEXT else self.kept(code)

    def cut_out(self, node: Node) -> Visit:
        """Generate a node as a function of its own."""
        name = self.new_name("g")
        params = ", ".join(["act", "c", *dict.fromkeys(self.visible)])
        outer = self.level, self.blocks
        with self.captured() as block:
            self.level, self.blocks = 1, 0
            code = yield from self.bounded(node)
            self.emit(f"return {code.text}")
        self.level, self.blocks = outer
        self.functions.append((name, params, block))
        return Code(f"{name}({params})", code.type, fails=True, depth=1)

    def constant_node(self, node: Constant) -> Visit:
        """Generate a constant."""
        yield from ()
        return Code(self.constant(node.value), node.type, cheap=True)

    def variable(self, node: Variable) -> Visit:
        """Generate the reading of a variable, which may be made on being read, and fail."""
        yield from ()
        return Code(marked(node, f"act[{node.name!a}]"), node.type, fails=True, depth=1, cheap=True)

    def local(self, node: Local) -> Visit:
        """Generate the reading of a macro's variable; one whose value failed fails where it is needed."""
        yield from ()
        name = f"v{node.slot}"
        if node.slot in self.doubtful:
            return Code(f"({name} if x{name} is None else again(x{name}))", node.type, fails=True, depth=1, cheap=True)
        return Code(name, node.type, cheap=True)

    def result(self, root: Code, expects: Type | None) -> None:
        """Emit the end: the value, if it is of the type that is expected."""
        if expects is None or expects == DYN or root.type.name == expects.name:
            self.emit(f"return {root.text}")
            return
        value = self.twice(root).text
        kind = _CLASSES.get(expects.name)
        test = f"type({value}) is {kind}" if kind else f"isinstance({value}, {_CONTAINERS.get(expects.name, 'object')})"
        self.emit(f"return {value} if {test} else not_expected({value})")


CodeGenerator.visits = {
    **OperatorVisits.visits,
    **LogicVisits.visits,
    **FieldVisits.visits,
    **CallVisits.visits,
    Constant: CodeGenerator.constant_node,
    Variable: CodeGenerator.variable,
    Local: CodeGenerator.local,
}


def generate(root: Node, expects: Type | None, *, searches: int = 0) -> Generated:
    """Return the Python of a checked tree; `searches` over 1 says that patterns share a budget."""
    for cut in (False, True):
        generator = CodeGenerator(cut=cut, searches=searches)
        try:
            code = walk(generator.visit, root)
        except TooDeep:
            continue
        generator.result(code, expects)
        return generator.finished()
    raise AssertionError("code that is cut is never too deep")
