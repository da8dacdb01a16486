"""`interlock eval`: one CEL expression over variables given as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from engine.authoring.evaluation import caret, compiled, evaluate
from engine.authoring.values import plain
from engine.expr.program import ExpressionError


@click.command("eval")
@click.argument("expression")
@click.option("--input", "file", metavar="FILE", help="A JSON object, variable by variable; `-` for standard input.")
def command(expression: str, file: str | None) -> None:
    """Evaluate a CEL expression and print its value as JSON.

    Exit 0: it has a value. 1: evaluating it is an error. 2: it does not compile, or the input cannot be read.
    """
    variables = _variables(file)
    try:
        program = compiled(expression, variables)
    except ExpressionError as error:
        _end(2, "\n".join(f"error: {fault}\n{caret(expression, fault)}" for fault in error.faults))
    value, fault = evaluate(program, variables)
    if fault is not None:
        _end(1, f"error: {fault}\n{caret(expression, fault)}")
    print(json.dumps(plain(value), ensure_ascii=False, indent=2))


def _variables(file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "not UTF-8").lower()
        _end(2, f"error: {file}: cannot be read ({reason})")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        _end(2, f"error: {file}:{error.lineno}:{error.colno}: is no JSON: {error.msg.lower()}")
    if not isinstance(found, dict):
        _end(2, f'error: {file}: must be an object of variables, such as {{"request": {{"path": "/v1"}}}}')
    return found


def _end(status: int, message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)
