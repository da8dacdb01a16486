"""Our evaluation and that of others, with answers in one form: what type, and what tells it from others of the type.

Where there is no wheel of the other implementation, its tests are skipped.
"""

from __future__ import annotations

import ctypes
import math
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from engine.expr.faults import type_name
from engine.expr.program import ERRORS, ExpressionError, compile_expression
from engine.expr.schema import BOOL, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, Schema, Type, list_of, map_of
from engine.expr.values import Duration, LimitError, Optional, Timestamp
from tests.engine.expr.expressions import EPOCH

Answer = tuple[str, Any]
Evaluation = Callable[[str, dict[str, Any]], Answer]

TYPES: Final[dict[str, Type]] = {
    "flag": BOOL,
    "count": INT,
    "limit": INT,
    "rate": DOUBLE,
    "name": STRING,
    "text": STRING,
    "counts": list_of(INT),
    "names": list_of(STRING),
    "rates": list_of(DOUBLE),
    "quotas": map_of(STRING, INT),
    "labels": map_of(STRING, STRING),
    "now": TIMESTAMP,
    "span": DURATION,
    "thing": DYN,
    "body": map_of(STRING, DYN),
}
SCHEMA: Final = Schema(TYPES, {})
ERROR: Final[Answer] = ("error", None)
LIMIT: Final[Answer] = ("limit", None)
_MANY: Final = 20_000


def our_answer(source: str, data: dict[str, Any]) -> Answer:
    """Compile and evaluate with this repository's compiler."""
    try:
        program = compile_expression(source, SCHEMA)
    except ExpressionError as error:
        return "refused", str(error)
    activation = {
        **data,
        "now": Timestamp(_nanoseconds(data["now"] - EPOCH)),
        "span": Duration(_nanoseconds(data["span"])),
    }
    try:
        return _ours(program.evaluate(activation))
    except LimitError:
        return LIMIT
    except ERRORS:
        return ERROR


def _ours(value: Any) -> Answer:
    name = type_name(value)
    if name in {"google.protobuf.Timestamp", "google.protobuf.Duration"}:
        return name, int(value) // 1_000
    if isinstance(value, float):
        return name, _digits(value)
    if isinstance(value, list):
        return name, [_ours(one) for one in value]
    if isinstance(value, dict):
        return name, sorted((_key(key), _ours(one)) for key, one in value.items())
    if isinstance(value, Optional):
        return name, _ours(value.value) if value.present else None
    return name, str(value) if name == "type" else value


def _key(key: Any) -> str:
    """Return a map's key: the others do not tell ints from uints here."""
    return f"{type(key) is bool} {isinstance(key, str)} {key}"


def _digits(number: float) -> str:
    return "NaN" if math.isnan(number) else repr(number)


def _nanoseconds(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 10**9 + span.microseconds * 1_000


def google() -> Evaluation:
    """Return the evaluation of Google's C++ runtime, by cel-expr-python."""
    cel: Any = pytest.importorskip("cel_expr_python.cel")
    bindings: Any = pytest.importorskip("cel_expr_python.ext.ext_bindings")
    encoders: Any = pytest.importorskip("cel_expr_python.ext.ext_encoders")
    mathematics: Any = pytest.importorskip("cel_expr_python.ext.ext_math")
    optionals: Any = pytest.importorskip("cel_expr_python.ext.ext_optional")
    strings: Any = pytest.importorskip("cel_expr_python.ext.ext_strings")

    def known(kind: Type) -> Any:
        if kind.name in {"list", "map"}:
            return getattr(cel.Type, kind.name.capitalize())(*map(known, kind.parameters))
        return getattr(cel.Type, kind.name.upper())

    libraries = [bindings.ExtBindings(), encoders.ExtEncoders(), mathematics.ExtMath()]
    environment = cel.NewEnv(
        variables={name: known(kind) for name, kind in TYPES.items()},
        extensions=[*libraries, optionals.ExtOptional(), strings.ExtStrings()],
    )

    def evaluate(source: str, data: dict[str, Any]) -> Answer:
        try:
            expression = environment.compile(source)
        except Exception as error:  # noqa: BLE001 - the module raises bare exceptions
            return "refused", str(error)
        answer = _googles(expression.eval(data=data))
        _keep_none()
        return answer

    return evaluate


def _keep_none() -> None:
    """Make up for the references to None that the module takes and does not own: at zero, Python dies."""
    if sys.getrefcount(None) < _MANY:
        for _ in range(_MANY):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))


_GOOGLES_NAMES: Final = {
    "NULL": "null_type",
    "TIMESTAMP": "google.protobuf.Timestamp",
    "DURATION": "google.protobuf.Duration",
}


def _googles(value: Any) -> Answer:
    kind = str(value.type()).partition("<")[0]
    name = _GOOGLES_NAMES.get(kind, kind.lower())
    made = value.value()
    if name == "error":
        return LIMIT if "budget" in made else ERROR
    if isinstance(made, list):
        return name, [_googles(one) for one in made]
    if isinstance(made, dict):
        return name, sorted((_key(key), _googles(one)) for key, one in made.items())
    return name, _GOOGLES_VALUES.get(name, _same)(made)


def _same(value: Any) -> Any:
    return value


_GOOGLES_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    "double": _digits,
    "bytes": bytes,
    "type": lambda made: _GOOGLES_NAMES.get(str(made), str(made).lower()),
    "google.protobuf.Duration": lambda made: _nanoseconds(made) // 1_000,
    "google.protobuf.Timestamp": lambda made: _nanoseconds(made - EPOCH) // 1_000,
}


def cel_python() -> Evaluation:
    """Return the evaluation of cel-python, which is right about a part of the language."""
    recursion = sys.getrecursionlimit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        celpy: Any = pytest.importorskip("celpy")
    # importing it raises the limit of the whole process
    sys.setrecursionlimit(recursion)
    environment = celpy.Environment()

    def evaluate(source: str, data: dict[str, Any]) -> Answer:
        program = environment.program(environment.compile(source))
        try:
            return _cel_pythons(program.evaluate(celpy.json_to_cel(data)))
        except celpy.CELEvalError:
            return ERROR

    return evaluate


def _cel_pythons(value: Any) -> Answer:
    if isinstance(value, list):
        return "list", [_cel_pythons(one) for one in value]
    if isinstance(value, str):
        return "string", str(value)
    return ("bool", bool(value)) if type(value).__name__ in {"BoolType", "bool"} else ("int", int(value))
