"""One expression, evaluated over variables given as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.expr.problems import Fault
from engine.expr.program import ERRORS, Program, compile_expression
from engine.expr.schema import DYN, Schema
from engine.expr.times import timestamp
from engine.variables import ROUTED

MOMENTS = (("now",), ("request", "time"))
"""What is an instant in a call, and text in JSON."""


def compiled(source: str, variables: Mapping[str, Any]) -> Program:
    """Compile an expression; raises ExpressionError. Nothing is known of the types of what is given."""
    names = {*ROUTED.variables, *variables, "variables", "response"}
    return compile_expression(source, Schema(dict.fromkeys(names, DYN), {}))


def evaluate(program: Program, variables: Mapping[str, Any]) -> tuple[Any, Fault | None]:
    """Return the value, or what is wrong and where."""
    activation = dict(variables)
    for name, *path in MOMENTS:
        holder: Any = activation
        if path and isinstance(activation.get(name), dict):
            holder = activation[name] = dict(activation[name])
        step = path[0] if path else name
        if holder is activation and path:
            continue
        if isinstance(holder.get(step), str):
            try:
                holder[step] = timestamp(holder[step])
            except ERRORS:
                continue
    try:
        return program.evaluate(activation), None
    except ERRORS as error:
        return None, program.explain(error)


def caret(source: str, fault: Fault) -> str:
    """Show the line of a fault with a caret under its column."""
    line = source.split("\n")[fault.line - 1].replace("\t", " ")
    return f"    {line}\n    {' ' * (fault.column - 1)}^"
