"""The code of calls: Python's own methods where an argument's class allows, else the library's function."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar, Final

from engine.expr.codegen_macros import MacroVisits
from engine.expr.library import FUNCTIONS
from engine.expr.nodes import Call, Comprehension, Constant, ListLiteral, MapLiteral, Node, Select
from engine.expr.patterns import Pattern
from engine.expr.schema import BOOL, DYN
from engine.expr.writing import Code, marked

Visit = Generator[Node, Code, Code]

_SIZED: Final = frozenset(["string", "bytes", "list", "map", "record"])
_TESTS: Final = {
    "startsWith": "{0}.startswith({1})",
    "endsWith": "{0}.endswith({1})",
    "contains": "({1} in {0})",
}
_CONVERSIONS: Final = {"double": "float", "string": "str", "int": "int", "bool": "bool"}


class CallVisits(MacroVisits):
    """Visits to calls of functions."""

    specials: ClassVar[dict[str, tuple[Callable[[Any, Call], Visit], int]]]
    """Functions with short ways of their own, and with how many arguments."""

    def call(self, node: Call) -> Visit:
        """Generate a call."""
        function = node.function
        visit, count = self.specials.get(node.name, (None, 0))
        if visit is not None and len(node.args) == count and function is FUNCTIONS.get(node.name):
            code = yield from visit(self, node)
            return code
        args: list[Code] = []
        for argument in node.args:
            code = yield argument
            if self.loops and not isinstance(argument, Constant) and not self.within_element(argument):
                code = self.twice(code)
                self.charge(node, code)
            args.append(code)
        return self.called_function(node, args)

    def called_function(self, node: Call, args: list[Code]) -> Code:
        """Generate a call of the library's function."""
        if node.function is None:
            return Code(marked(node, f"unbound({node.name!a})"), DYN, True)
        text = self.function_text(node, *(code.text for code in args))
        return self.weighed(node, Code(text, node.type, True, max((code.depth for code in args), default=0) + 1))

    def function_text(self, node: Call, *args: str) -> str:
        """Return the call of the library's function."""
        function = node.function.call if node.function is not None else None
        return marked(node, f"{self.constant(function)}({', '.join(args)})")

    def dyn(self, node: Call) -> Visit:
        """Generate `dyn(x)`: the value, of a type that is not known."""
        code = yield node.args[0]
        # Python warns of a literal where it would be wrong, but not of a name
        code = self.kept(code) if isinstance(node.args[0], Constant | ListLiteral | MapLiteral) else code
        return code._replace(type=DYN)

    def size(self, node: Call) -> Visit:
        """Generate `size(x)`; elements of a filtered list are counted, not gathered."""
        (argument,) = node.args
        if isinstance(argument, Comprehension) and argument.macro == "filter" and argument.range.type.name != "map":
            return (yield from self.comprehension(argument, counting=True))
        code = yield argument
        if code.type.name in _SIZED:
            return Code(f"len({code.text})", node.type, code.fails, code.depth + 1)
        if code.type != DYN:
            return self.called_function(node, [code])
        name = self.new_name()
        test = f"(q := type({name} := {code.text})) is list or q is str or q is dict"
        long = self.function_text(node, name)
        return Code(f"(len({name}) if {test} else {long})", node.type, True, code.depth + 2)

    def matches(self, node: Call) -> Visit:
        """Generate the search of a pattern, compiled at load if it is a constant."""
        text = yield node.args[0]
        pattern = node.args[1].value if isinstance(node.args[1], Constant) else None
        if self.searches > 1:
            text = self.twice(text)
            self.search(node, text)
        if not isinstance(pattern, Pattern):
            return self.called_function(node, [text, (yield node.args[1])])
        search = f"{self.constant(pattern)}.search"
        if text.type.name == "string":
            return Code(marked(node, f"{search}({text.text})"), BOOL, text.fails, text.depth + 1)
        name = self.new_name()
        long = self.function_text(node, name, self.constant(pattern.text))
        short = marked(node, f"{search}({name})")
        return Code(f"({short} if type({name} := {text.text}) is str else {long})", BOOL, True, text.depth + 2)

    def text_test(self, node: Call) -> Visit:
        """Generate `startsWith`, `endsWith` or `contains`."""
        text, part = (yield node.args[0]), (yield node.args[1])
        if self.loops and node.name == "contains" and not self.within_element(node.args[0]):
            text = self.twice(text)
            self.charge(node, text)
        kinds = text.type.name, part.type.name
        depth, form = max(text.depth, part.depth) + 2, _TESTS[node.name]
        if kinds == ("string", "string"):
            return Code(form.format(text.text, part.text), BOOL, text.fails or part.fails, depth)
        one, other = self.new_name(), self.new_name()
        if kinds == ("dyn", "string"):
            part = self.twice(part)
            test, given = f"type({one} := {text.text}) is str", (one, part.text)
        elif kinds == ("string", "dyn"):
            text = self.twice(text)
            test, given = f"type({other} := {part.text}) is str", (text.text, other)
        elif kinds == ("dyn", "dyn"):
            test, given = f"type({one} := {text.text}) is type({other} := {part.text}) is str", (one, other)
        else:
            return self.called_function(node, [text, part])
        long = self.function_text(node, *given)
        return Code(f"({form.format(*given)} if {test} else {long})", BOOL, True, depth)

    def conversion(self, node: Call) -> Visit:
        """Generate `double(x)` and its like: what is of the type already stays as it is."""
        code = yield node.args[0]
        if code.type.name == node.name:
            return code
        if code.type != DYN:
            return self.called_function(node, [code])
        name = self.new_name()
        test = f"type({name} := {code.text}) is {_CONVERSIONS[node.name]}"
        text = f"({name} if {test} else {self.function_text(node, name)})"
        return self.weighed(node, Code(text, node.type, True, code.depth + 2))

    def or_value(self, node: Call) -> Visit:
        """Generate `optional.or(x)` or `optional.orValue(x)`: `x` is evaluated if it is needed."""
        optional, other = node.args
        if node.name == "orValue" and isinstance(optional, Select) and isinstance(other, Constant):
            steps, base = _steps(optional)
            if base is not None:
                return self.fetched(node, (yield base), steps, (yield other))
        code = yield optional
        with self.captured() as block:
            instead = yield other
        if code.type.name != "optional":
            self.block += block
            return self.called_function(node, [code, instead])
        name = self.new_name()
        value = f"{name}.value" if node.name == "orValue" else name
        if not block:
            text = f"({value} if ({name} := {code.text}).present else {instead.text})"
            return Code(text, node.type, code.fails or instead.fails, max(code.depth, instead.depth) + 2)
        result = self.new_name()
        self.emit(f"{name} = {code.text}")
        self.emit(f"if {name}.present: {result} = {value}")
        self.emit("else:")
        self.block.append([*block, f"{result} = {instead.text}"])
        return Code(result, node.type, cheap=True)

    def fetched(self, node: Call, base: Code, steps: list[Select], default: Code) -> Code:
        """Return the code of `base.?a.?b.orValue(constant)`, by way of `dict.get`."""
        code = base
        for position, step in enumerate(steps):
            missing = "EMPTY" if position < len(steps) - 1 else default.text
            key, name = ascii(step.field), self.new_name()
            if code.type.name in {"record", "map"}:
                text, fails = f"{code.text}.get({key}, {missing})", code.fails
            else:
                long = marked(step, f"value_at({name}, {key}, {missing})")
                text, fails = f"({name}.get({key}, {missing}) if type({name} := {code.text}) is dict else {long})", True
            code = Code(text, DYN, fails, code.depth + 2)
        return code._replace(type=node.type)


CallVisits.visits = {**MacroVisits.visits, Call: CallVisits.call}
CallVisits.specials = {
    "dyn": (CallVisits.dyn, 1),
    "size": (CallVisits.size, 1),
    "matches": (CallVisits.matches, 2),
    "orValue": (CallVisits.or_value, 2),
    "or": (CallVisits.or_value, 2),
    **dict.fromkeys(_TESTS, (CallVisits.text_test, 2)),
    **dict.fromkeys(_CONVERSIONS, (CallVisits.conversion, 1)),
}


def _steps(optional: Select) -> tuple[list[Select], Node | None]:
    """Return the fields of `base.?a.?b` and the base, or no base if it is not of this form."""
    steps: list[Select] = []
    node: Node = optional
    while isinstance(node, Select) and len(steps) < 8:
        steps.append(node)
        node = node.operand
        if steps[-1].optional and (not isinstance(node, Select) or not node.optional):
            break
    fits = steps[-1].optional and node.type.name in {"dyn", "map", "record"}
    return steps[::-1], node if fits else None
