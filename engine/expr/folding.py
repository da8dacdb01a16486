"""Constants computed at load: `60 * 60`, `timestamp("2026-01-01T00:00:00Z")`, `cidr("10.0.0.0/8")`.

What fails stays as it is and fails when it is evaluated, perhaps never (`1 / 0 > 0 || true`). But text that is no time,
address or pattern is a mistake wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.expr import operators
from engine.expr.nodes import Binary, Call, Constant, ListLiteral, MapLiteral, Node, Unary
from engine.expr.patterns import compile_pattern
from engine.expr.values import EvaluationError, LimitError

OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operators.add,
    "-": operators.subtract,
    "*": operators.multiply,
    "/": operators.divide,
    "%": operators.modulo,
    "==": operators.equal,
    "!=": operators.not_equal,
    "<": operators.less,
    "<=": operators.less_equal,
    ">": operators.greater,
    ">=": operators.greater_equal,
    "in": operators.contains_in,
}
SIGNS: Final[Mapping[str, Callable[[Any], Any]]] = {"!": operators.logical_not, "-": operators.negate}

_LITERAL: Final = frozenset(["timestamp", "duration", "ip", "cidr"])
"""Functions whose constant argument is a literal in all but syntax."""
_LONGEST: Final = 4096
_NOT_CONSTANT: Final = object()


def folded(node: Node) -> tuple[Node, str]:
    """Return the constant that a node is, or the node itself; and what is wrong with it, if it is a bad literal."""
    if isinstance(node, Binary):
        return _applied(node, OPERATORS[node.sign], [node.left, node.right])
    if isinstance(node, Unary):
        return _applied(node, SIGNS[node.sign], [node.operand])
    if isinstance(node, Call) and node.function is not None and node.function.pure:
        if node.name == "matches" and len(node.args) == 2:
            return node, _compiled(node)
        if node.name != "dyn":
            return _applied(node, node.function.call, node.args)
    return node, ""


def constant_value(node: Node, default: object = None) -> Any:
    """Return the value of a constant or of a literal of constants, else the default."""
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, ListLiteral) and not node.optionals and all(isinstance(one, Constant) for one in node.items):
        return [constant_value(one) for one in node.items]
    if isinstance(node, MapLiteral) and not node.optionals:
        keys = [one.value for one in node.keys if type(one) is Constant and type(one.value) is str]
        values = [one.value for one in node.values if isinstance(one, Constant)]
        if len(set(keys)) == len(values) == len(node.keys):
            return dict(zip(keys, values, strict=True))
    return default


def _applied(node: Node, function: Callable[..., Any], args: list[Node]) -> tuple[Node, str]:
    """Return the constant of an operation on constants, if it succeeds and is a scalar."""
    values = [constant_value(one, _NOT_CONSTANT) for one in args]
    if any(one is _NOT_CONSTANT for one in values):
        return node, ""
    try:
        result = function(*values)
    except EvaluationError as error:
        literal = isinstance(node, Call) and node.name in _LITERAL and type(values[0]) is str
        return node, str(error) if literal else ""
    except (LimitError, TypeError, ValueError, ArithmeticError):
        return node, ""
    if isinstance(result, list | dict) or (isinstance(result, str | bytes) and len(result) > _LONGEST):
        return node, ""
    constant = Constant(node.at, result)
    constant.type = node.type
    return constant, ""


def _compiled(node: Call) -> str:
    """Put the compiled pattern in its place; return what is wrong with it."""
    pattern = node.args[1]
    if isinstance(pattern, Constant) and type(pattern.value) is str:
        try:
            node.args[1] = Constant(pattern.at, compile_pattern(pattern.value))
        except ValueError as error:
            return str(error)
    return ""
