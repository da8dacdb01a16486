"""The names of types, and the errors that name them: messages say what was given by its type, never by its value."""

from __future__ import annotations

from engine.expr.values import (
    MAX_ITEMS,
    MAX_TEXT,
    Duration,
    EvaluationError,
    LimitError,
    Map,
    Optional,
    Timestamp,
    TypeValue,
    Uint,
)

_NAMES: dict[type, str] = {
    type(None): "null_type",
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    Map: "map",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    TypeValue: "type",
    Optional: "optional_type",
}


def kind_name(kind: type) -> str:
    """Return the CEL name of a class of values."""
    name = _NAMES.get(kind)
    if name is None:
        name = next((_NAMES[base] for base in kind.__mro__ if base in _NAMES), "object")
    return name


def type_name(value: object) -> str:
    """Return the CEL name of a value's type."""
    return kind_name(type(value))


def name_type(kind: type, name: str) -> None:
    """Give a class of values its CEL name."""
    _NAMES[kind] = name


def no_overload(operation: str, *values: object) -> EvaluationError:
    """Return the error of a function that does not take values of these types."""
    return EvaluationError(f"no such overload: {operation}({', '.join(map(type_name, values))})")


def too_long(kind: type) -> LimitError:
    """Return the error of a string, bytes or list that would exceed its limit."""
    if kind is list:
        return LimitError(f"a list of more than {MAX_ITEMS:,} values")
    return LimitError(f"a {kind_name(kind)} of more than {MAX_TEXT:,} {'bytes' if kind is bytes else 'characters'}")
