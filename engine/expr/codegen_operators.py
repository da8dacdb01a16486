"""The code of operators: plain Python where the types are known, or where a look at a class opens the short way."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar, Final

from engine.expr.folding import OPERATORS, constant_value
from engine.expr.nodes import Binary, Constant, Node, Unary
from engine.expr.overloads import ARITHMETIC, EQUALITIES, ORDERED
from engine.expr.schema import DYN
from engine.expr.unify import NUMBERS
from engine.expr.values import MAX_INT, MIN_INT
from engine.expr.visits import CodeVisits
from engine.expr.writing import Code, marked

Visit = Generator[Node, Code, Code]

PYTHON_CLASSES: Final = {"int": "int", "double": "float", "string": "str"}
"""Types that one class holds alone, and whose values Python compares as CEL does."""

_ALIKE: Final = ORDERED | {"type"}
"""Types whose values are equal to values of their own type if Python says so."""
_DEEP: Final = frozenset(["dyn", "list", "map", "record", "optional"])
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_EXACT: Final = 1 << 53


class OperatorVisits(CodeVisits):
    """Visits to operators with one side or two."""

    visits: ClassVar[dict[type, Any]]

    def unary(self, node: Unary) -> Visit:
        """Generate `!x` or `-x`."""
        operand = yield node.operand
        if node.sign == "!" and operand.type.name == "bool":
            return Code(f"(not {operand.text})", node.type, operand.fails, operand.depth + 1)
        if node.sign == "-" and operand.type.name == "double":
            return Code(f"(-{operand.text})", node.type, operand.fails, operand.depth + 1)
        name = "logical_not" if node.sign == "!" else "negate"
        return Code(marked(node, f"{name}({operand.text})"), node.type, True, operand.depth + 1)

    def binary(self, node: Binary) -> Visit:
        """Generate an operator."""
        left = yield node.left
        right = yield node.right
        if node.sign in ARITHMETIC:
            return self.arithmetic(node, left, right)
        if node.sign in EQUALITIES:
            return self.equality(node, left, right)
        if node.sign == "in":
            return self.membership(node, left, right)
        return self.comparison(node, left, right)

    def general(self, node: Binary, left: str, right: str) -> str:
        """Return the call of the operator that knows all of CEL."""
        return marked(node, f"{OPERATORS[node.sign].__name__}({left}, {right})")

    def tested(self, node: Binary, codes: tuple[Code, Code], *, short: str, test: str, long: tuple[str, str]) -> Code:
        """Return `short if test else` the operator."""
        left, right = codes
        fails = left.fails or right.fails or node.sign not in EQUALITIES
        text = f"({short} if {test} else {self.general(node, *long)})"
        return Code(text, node.type, fails, max(left.depth, right.depth) + 2)

    def plain(self, node: Binary, left: Code, right: Code) -> Code:
        """Return Python's own operator."""
        text = f"({left.text} {node.sign} {right.text})"
        return Code(text, node.type, left.fails or right.fails, max(left.depth, right.depth) + 1)

    def comparison(self, node: Binary, left: Code, right: Code) -> Code:
        """Generate `<`, `<=`, `>` or `>=`."""
        one, other = left.type.name, right.type.name
        if (one == other and one in ORDERED) or (one in NUMBERS and other in NUMBERS and _exact(node)):
            return self.plain(node, left, right)
        if one in PYTHON_CLASSES and other == "dyn":
            code = self.half_known(node, right, left, mirrored=True)
        elif other in PYTHON_CLASSES and one == "dyn":
            code = self.half_known(node, left, right, mirrored=False)
        elif one == other == "dyn":
            code = self.both_unknown(node, left, right, "(q := type({0})) is type({1}) and (q is float or q is int)")
        else:
            return self.called(node, left, right)
        return code

    def half_known(self, node: Binary, unknown: Code, known: Code, *, mirrored: bool) -> Code:
        """Compare what may be of any type with what is a number or a string."""
        known = self.twice(known)
        name = self.new_name()
        kind = PYTHON_CLASSES[known.type.name]
        test = f"type({name} := {unknown.text}) is {kind}"
        if kind == "float" and _exact(node):
            test += f" or type({name}) is int"
        sign = _MIRRORED.get(node.sign, node.sign) if mirrored else node.sign
        long = (known.text, name) if mirrored else (name, known.text)
        return self.tested(node, (unknown, known), short=f"{name} {sign} {known.text}", test=test, long=long)

    def both_unknown(self, node: Binary, left: Code, right: Code, test: str) -> Code:
        """Apply Python's operator to values of any type, if a test of both lets it."""
        one, other = self.new_name(), self.new_name()
        filled = test.format(f"{one} := {left.text}", f"{other} := {right.text}")
        return self.tested(node, (left, right), short=f"{one} {node.sign} {other}", test=filled, long=(one, other))

    def called(self, node: Binary, left: Code, right: Code) -> Code:
        """Apply the operator that knows all of CEL."""
        fails = left.fails or right.fails or node.sign not in EQUALITIES
        return Code(self.general(node, left.text, right.text), node.type, fails, max(left.depth, right.depth) + 1)

    def equality(self, node: Binary, left: Code, right: Code) -> Code:
        """Generate `==` or `!=`."""
        constant = node.right
        if isinstance(node.left, Constant) and not isinstance(node.right, Constant):
            left, right, constant = right, left, node.left
        if isinstance(constant, Constant) and (constant.value is None or type(constant.value) is bool):
            text = f"({left.text} is{'' if node.sign == '==' else ' not'} {constant.value})"
            return Code(text, node.type, left.fails, left.depth + 1)
        if self.loops and not (self.within_element(node.left) or self.within_element(node.right)):
            left = self.compared(node, left, right)
        one, other = left.type.name, right.type.name
        alike = (one == other and one in _ALIKE) or (one in NUMBERS and other in NUMBERS and _exact(node))
        if alike or {one, other} in ({"dyn", "string"}, {"dyn", "type"}):
            code = self.plain(node, left, right)
        elif one == "dyn" and other in PYTHON_CLASSES:
            code = self.half_known(node, left, right, mirrored=False)
        elif other == "dyn" and one in PYTHON_CLASSES:
            code = self.half_known(node, right, left, mirrored=False)
        elif one == other == "dyn":
            code = self.both_unknown(node, left, right, "type({0}) is type({1}) is str")
        else:
            code = self.called(node, left, right)
        return code

    def compared(self, node: Binary, left: Code, right: Code) -> Code:
        """Return a side to compare within a loop: if both may be lists or maps, all that is in it counts."""
        if not (left.type.name in _DEEP and right.type.name in _DEEP):
            return left
        left = self.kept(left)
        self.iterate(node, f"extent({left.text})")
        return left

    def arithmetic(self, node: Binary, left: Code, right: Code) -> Code:
        """Generate `+`, `-`, `*`, `/` or `%`."""
        one, other = left.type.name, right.type.name
        if node.sign not in {"/", "%"}:
            if one == other == "double":
                return self.plain(node, left, right)
            if one == other == "int":
                name = self.new_name()
                sum_ = f"{MIN_INT} <= ({name} := {left.text} {node.sign} {right.text}) <= {MAX_INT}"
                text = f"({name} if {sum_} else {marked(node, 'int_overflow()')})"
                return Code(text, node.type, True, max(left.depth, right.depth) + 2)
            if {one, other} == {"double", "dyn"}:
                return self.half_double(node, left, right)
            if one == other == "dyn" and not self.loops:
                return self.both_unknown(node, left, right, "type({0}) is type({1}) is float")
        return self.weighed(node, self.called(node, left, right))

    def half_double(self, node: Binary, left: Code, right: Code) -> Code:
        """Calculate with a double and what may be of any type."""
        name = self.new_name()
        if left.type == DYN:
            right = self.twice(right)
            short, long, unknown = f"{name} {node.sign} {right.text}", (name, right.text), left
        else:
            left = self.twice(left)
            short, long, unknown = f"{left.text} {node.sign} {name}", (left.text, name), right
        test = f"type({name} := {unknown.text}) is float"
        return self.tested(node, (left, right), short=short, test=test, long=long)

    def membership(self, node: Binary, left: Code, right: Code) -> Code:
        """Generate `in`."""
        among = constant_value(node.right)
        if isinstance(among, list) and among and left.type.name in {"dyn", "string", "int"}:
            return self.among(node, left, right, among)
        container = right.type.name
        searched = self.searching(node, right)
        left = self.twice(left)
        if left.type.name == "string" and container in {"list", "map", "record"}:
            text = f"({left.text} in {searched.text})"
            return Code(text, node.type, left.fails or searched.fails, max(left.depth, searched.depth) + 1)
        if left.type.name == "string" and container == "dyn":
            name = self.new_name()
            test = f"type({name} := {searched.text}) is list or type({name}) is dict"
            short = f"{left.text} in {name}"
            return self.tested(node, (left, searched), short=short, test=test, long=(left.text, name))
        if left.type.name == "dyn" and container in {"list", "map", "record", "dyn"}:
            searched = self.twice(searched)
            test = f"type({left.text}) is str"
            if container == "dyn":
                test += f" and type({searched.text}) is list"
            short = f"{left.text} in {searched.text}"
            return self.tested(node, (left, searched), short=short, test=test, long=(left.text, searched.text))
        return self.called(node, left, searched)

    def among(self, node: Binary, left: Code, right: Code, values: list[Any]) -> Code:
        """Generate `in` of a list of constants: a set, if they are all strings or all ints."""
        kinds = {type(one) for one in values}
        (kind, *more) = kinds
        if more or kind not in {str, int}:
            return self.called(node, left, Code(self.constant(values), right.type, cheap=True))
        kept = f"{{{', '.join(dict.fromkeys(map(ascii, values)))}}}"
        own = left.type.name == ("string" if kind is str else "int")
        if own or (kind is str and left.type != DYN):
            return Code(f"({left.text} in {kept})", node.type, left.fails, left.depth + 1)
        if left.type != DYN:
            return self.called(node, left, Code(self.constant(values), right.type, cheap=True))
        name = self.new_name()
        test = f"type({name} := {left.text}) is {kind.__name__}"
        if kind is str:
            return Code(f"({test} and {name} in {kept})", node.type, left.fails, left.depth + 2)
        long = (name, self.constant(values))
        code = self.tested(node, (left, right), short=f"{name} in {kept}", test=test, long=long)
        return code._replace(fails=left.fails)

    def searching(self, node: Binary, container: Code) -> Code:
        """Return a container to search; within a loop, what is searched counts."""
        if not self.loops or container.type.name in {"map", "record"} or self.within_element(node.right):
            return container
        container = self.twice(container)
        self.charge(node, container)
        return container


OperatorVisits.visits = {Unary: OperatorVisits.unary, Binary: OperatorVisits.binary}


def _exact(node: Binary) -> bool:
    """Whether one side is a number that an int and a double compare with alike."""
    return any(
        isinstance(one, Constant) and type(one.value) in {int, float} and -_EXACT < one.value < _EXACT
        for one in (node.left, node.right)
    )
