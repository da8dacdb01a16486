"""The code of `&&`, `||` and `? :`.

`a && b` is Python's `and` as long as `a` cannot fail. If it can, its error is set aside, and raised after `b` unless `b`
settles the matter:

    x = None
    try: t = a
    except ABSORBED as e: x = [e]; t = True
    if t:
        try: t = b
        except ABSORBED as e: x = [e]; t = True
    if x is not None:
        if t: raise x.pop()
        x = None

No error leaves while another is set aside, and what is set aside is let go: a frame that held an error that holds the
frame would keep the activation, request and all, until the garbage collector runs.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from engine.expr.nodes import Conditional, Logic, Node
from engine.expr.schema import BOOL, DYN
from engine.expr.visits import CodeVisits
from engine.expr.writing import Block, Code

Visit = Generator[Node, Code, Code]


class LogicVisits(CodeVisits):
    """Visits to what evaluates some of its parts only."""

    visits: ClassVar[dict[type, Any]]

    def logic(self, node: Logic) -> Visit:
        """Generate a junction of any length, as one expression if it can be one."""
        parts: list[tuple[Block, Code]] = []
        for operand in node.operands:
            with self.captured(levels=2, blocks=1) as block:
                code = self.boolean(operand, (yield operand))
            parts.append((block, code))
        runs = self.runs(node.sign, parts)
        if len(runs) == 1 and not runs[0][0]:
            return runs[0][1]
        return self.junction(node.sign, runs)

    def runs(self, sign: str, parts: list[tuple[Block, Code]]) -> list[tuple[Block, Code]]:
        """Join operands to Python's own junctions: in one of these only the last may fail."""
        word = " and " if sign == "&&" else " or "
        runs: list[tuple[Block, list[Code]]] = []
        for block, code in parts:
            if runs and not block and not runs[-1][0] and not runs[-1][1][-1].fails:
                runs[-1][1].append(code)
            else:
                runs.append((block, [code]))
        return [(block, codes[0] if len(codes) == 1 else _joined(word, codes)) for block, codes in runs]

    def junction(self, sign: str, runs: list[tuple[Block, Code]]) -> Code:
        """Emit a junction as statements."""
        conjunction = sign == "&&"
        undecided = "" if conjunction else "not "
        result, error = self.new_name(), self.new_name("x")
        absorbs = any(code.fails or block for block, code in runs[:-1])
        if absorbs:
            self.emit(f"{error} = None")
        for position, (block, code) in enumerate(runs):
            body: Block = [*block, f"{result} = {code.text}"]
            if absorbs and (code.fails or block):
                handler = [f"{error} = [e]", f"{result} = {conjunction}"]
                body = ["try:", body, "except ABSORBED as e:", handler]
            if position:
                body = [f"if {undecided}{result}:", body]
            self.block += body
        if absorbs:
            self.emit(f"if {error} is not None:")
            self.block.append([f"if {undecided}{result}: raise {error}.pop()", f"{error} = None"])
        return Code(result, BOOL, cheap=True)

    def conditional(self, node: Conditional) -> Visit:
        """Generate `test ? yes : no`."""
        test = self.boolean(node.test, (yield node.test))
        with self.captured() as first:
            yes = yield node.yes
        with self.captured() as second:
            no = yield node.no
        kind = node.type if yes.type.name == no.type.name else DYN
        if not first and not second:
            fails = test.fails or yes.fails or no.fails
            depth = max(test.depth, yes.depth, no.depth) + 1
            return Code(f"({yes.text} if {test.text} else {no.text})", kind, fails, depth)
        result = self.new_name()
        self.emit(f"if {test.text}:")
        self.block.append([*first, f"{result} = {yes.text}"])
        self.emit("else:")
        self.block.append([*second, f"{result} = {no.text}"])
        return Code(result, kind, cheap=True)


LogicVisits.visits = {Logic: LogicVisits.logic, Conditional: LogicVisits.conditional}


def _joined(word: str, codes: list[Code]) -> Code:
    text = f"({word.join(code.text for code in codes)})"
    return Code(text, BOOL, codes[-1].fails, max(code.depth for code in codes) + 1)
