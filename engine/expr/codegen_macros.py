"""The code of macros: a `for` loop each, which pays for its rounds before the first one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from engine.expr.folding import constant_value
from engine.expr.macros import PREDICATES
from engine.expr.nodes import Bind, Comprehension, Node, OptionalMap
from engine.expr.schema import BOOL, INT
from engine.expr.visits import CodeVisits
from engine.expr.writing import Block, Code, marked

Visit = Generator[Node, Code, Code]


class MacroVisits(CodeVisits):
    """Visits to loops and to what names a value."""

    visits: ClassVar[dict[type, Any]]

    def comprehension(self, node: Comprehension, *, counting: bool = False) -> Visit:
        """Generate a loop; one that is `counting` gives the number of its results."""
        over = yield node.range
        over = self.over(node, over)
        result = self.new_name()
        names = [f"v{slot}" for slot in node.slots]
        outer, self.own = self.own, self.owned(node)
        self.loops += 1
        predicate = node.macro in PREDICATES
        with self.seen(*names), self.captured(levels=4, blocks=2) as block:
            if node.filter is not None:
                test = self.boolean(node.filter, (yield node.filter))
                self.emit(f"if not {test.text}: continue")
            if not counting:
                body = yield node.body
                if predicate:
                    body = self.boolean(node.body, body)
        self.loops -= 1
        self.own = outer
        header = f"for {', '.join(names)} in {self.pairs(node, over)}:"
        if counting:
            self.gather(result, "0", header, [*block, f"{result} += 1"])
            return Code(result, INT, cheap=True)
        if predicate:
            return self.decided(node, result, header, block, body)
        return self.collected(node, result, header, block, body)

    def gather(self, result: str, start: str, header: str, body: Block) -> None:
        """Emit a loop and what its result begins with."""
        self.emit(f"{result} = {start}")
        self.emit(header)
        self.block.append(body)

    def over(self, node: Comprehension, over: Code) -> Code:
        """Emit what a loop goes through, and its charge."""
        among = constant_value(node.range)
        if isinstance(among, list):
            over = Code(self.constant(among), over.type, cheap=True)
        elif over.type.name not in {"list", "map", "record"}:
            over = self.kept(over)
            check = marked(node, f"{'elements' if len(node.names) == 1 else 'entries'}({over.text})")
            test = f"if type({over.text}) is not list: " if len(node.names) == 1 else ""
            self.emit(f"{test}{over.text} = {check}")
        else:
            over = self.kept(over)
        self.iterate(node, f"len({over.text})")
        return over

    def pairs(self, node: Comprehension, over: Code) -> str:
        """Return what the loop's variables are taken from."""
        if len(node.names) == 1 or over.type.name == "dyn":
            return over.text
        return f"enumerate({over.text})" if over.type.name == "list" else f"{over.text}.items()"

    def owned(self, node: Comprehension) -> frozenset[int]:
        """Return the variables whose parts are no more than the input, if this loop goes through such parts."""
        return frozenset(node.slots) if not self.loops or self.within_element(node.range) else frozenset()

    def decided(self, node: Comprehension, result: str, header: str, block: Block, body: Code) -> Code:
        """Emit `all`, `exists` or `exists_one`; the first two absorb errors if another round decides."""
        if node.macro == "exists_one":
            self.gather(result, "0", header, [*block, f"if {body.text}: {result} += 1"])
            return Code(f"({result} == 1)", BOOL, depth=1)
        universal = node.macro == "all"
        decides = [*block, f"if {'not ' if universal else ''}{body.text}:", [f"{result} = {not universal}", "break"]]
        if not body.fails and not block:
            self.gather(result, str(universal), header, decides)
            return Code(result, BOOL, cheap=True)
        error = self.new_name("x")
        self.emit(f"{error} = None")
        self.gather(result, str(universal), header, ["try:", decides, f"except ABSORBED as e: {error} = [e]"])
        self.emit(f"if {error} is not None:")
        undecided = result if universal else f"not {result}"
        self.block.append([f"if {undecided}: raise {error}.pop()", f"{error} = None"])
        return Code(result, BOOL, cheap=True)

    def collected(self, node: Comprehension, result: str, header: str, block: Block, body: Code) -> Code:
        """Emit `map`, `filter` or a transformation."""
        if node.macro not in {"transformMap", "transformMapEntry"}:
            self.gather(result, "[]", header, [*block, f"{result}.append({body.text})"])
            return Code(result, node.type, cheap=True)
        if node.macro == "transformMap":
            line = f"{result}.append((v{node.slots[0]}, {body.text}))"
        else:
            line = f"{result} += {marked(node.body, f'single_entries({body.text})')}"
        self.gather(result, "[]", header, [*block, line])
        return self.kept(Code(marked(node, f"new_map({result})"), node.type, True, 1))

    def bind(self, node: Bind) -> Visit:
        """Generate `cel.bind`; the error of a value is kept until the value is needed."""
        with self.captured(blocks=1) as block:
            value = yield node.value
        name = f"v{node.slot}"
        doubtful = value.fails or bool(block)
        if doubtful:
            self.emit(f"x{name} = None")
            body = [*block, f"{name} = {value.text}"]
            self.block += ["try:", body, "except ABSORBED as e:", [f"x{name} = [e]", f"{name} = None"]]
            self.doubtful.add(node.slot)
        else:
            self.emit(f"{name} = {value.text}")
        if not doubtful:
            with self.seen(name):
                code = yield node.body
            return code
        with self.seen(name, f"x{name}"), self.captured(blocks=1) as block:
            code = self.kept((yield node.body))
        self.block += ["try:", block, "finally:", [f"x{name} = None"]]
        return code

    def optional_map(self, node: OptionalMap) -> Visit:
        """Generate `optMap` or `optFlatMap`."""
        operand = yield node.operand
        optional, result, name = self.new_name(), self.new_name(), f"v{node.slot}"
        value = operand.text if operand.type.name == "optional" else marked(node, f"mapped({operand.text})")
        self.emit(f"{optional} = {value}")
        with self.seen(name), self.captured() as block:
            body = yield node.body
        made = body.text if node.flat else f"Optional({body.text})"
        if node.flat and body.type.name != "optional":
            made = marked(node, f"mapped({body.text})")
        self.emit(f"if {optional}.present:")
        self.block.append([f"{name} = {optional}.value", *block, f"{result} = {made}"])
        self.emit(f"else: {result} = NONE")
        return Code(result, node.type, cheap=True)


MacroVisits.visits = {
    Comprehension: MacroVisits.comprehension,
    Bind: MacroVisits.bind,
    OptionalMap: MacroVisits.optional_map,
}
