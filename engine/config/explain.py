"""A validation error in words that name the field as written, what was expected and what was found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from engine.config.fields import Spec
from engine.config.problems import Findings, Path, holds, kind_of_value, nearest, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_EXPECTED = {
    "string_type": "text",
    "string_unicode": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
}

_SENTENCES = {
    "missing": "is required: add it",
    "string_too_short": "must not be empty: write a name",
    "greater_than_equal": "must not be negative: write 0 or more",
}

_SECRET = re.compile(r"key|secret|token|password|passwd|authorization|credential|header", re.IGNORECASE)


def explain(error: ValidationError, spec: type[Spec], place: tuple[Path, Any], findings: Findings) -> None:
    """Record every fault of a validation; `place` is where the mapping stands and the mapping as written."""
    path, written = place
    for fault in error.errors(include_url=False):
        if fault["type"] == "missing" and findings.faulty(path):
            continue
        at = (*path, *_steps(fault, spec, written))
        findings.error(at, _message(fault, hidden=_hidden(at, findings)))


def _steps(fault: ErrorDetails, spec: type[Spec], written: Any) -> Path:
    """Return the steps to a fault as the file has them: under the name used there, without validation's own."""
    steps: list[str | int] = []
    loc = fault["loc"]
    for depth, step in enumerate(loc):
        name = spec.written_name(written, str(step)) if depth == 0 else step
        if holds(written, name):
            written = written[name]
        elif depth and not (fault["type"] == "missing" and depth == len(loc) - 1):
            continue
        steps.append(name)
    return tuple(steps)


def _hidden(path: Path, findings: Findings) -> bool:
    """Whether the value at a path may be a secret."""
    return findings.written(path) in findings.from_environment or any(_SECRET.search(str(step)) for step in path)


def _message(fault: ErrorDetails, *, hidden: bool) -> str:
    kind, value = fault["type"], fault["input"]
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind in _EXPECTED:
        quotes = kind == "string_type" and isinstance(value, (int, float))
        found = f"expected {_EXPECTED[kind]}, found {kind_of_value(value)}"
        return f"{found}{_value(value, hidden=hidden)}{': put it in quotes' if quotes else ''}"
    if kind == "literal_error":
        return _choice(fault, hidden=hidden)
    if kind == "value_error":
        return str(fault["ctx"]["error"])
    return fault["msg"].lower()


def _value(value: Any, *, hidden: bool) -> str:
    shows = isinstance(value, (int, float, str)) and not isinstance(value, bool) and not hidden
    return f" `{shown(str(value))}`" if shows else ""


def _choice(fault: ErrorDetails, *, hidden: bool) -> str:
    """Say what may stand there, and what was probably meant."""
    choices = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
    text = f"expected one of {', '.join(f'`{choice}`' for choice in choices)}"
    value = fault["input"]
    if hidden or not isinstance(value, str):
        return f"{text}, found {kind_of_value(value)}"
    guess = nearest(value, choices)
    return f"{text}, found `{shown(value)}`{f': did you mean `{guess}`?' if guess else ''}"
