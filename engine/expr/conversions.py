"""One type into another: `int("7")`, `string(1.5)`, `type(x)`; what does not fit the target is an error."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.expr.faults import kind_name, no_overload, too_long
from engine.expr.network import CidrValue, IpValue
from engine.expr.schema import (
    BOOL,
    BYTES,
    CIDR,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    IP,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    A,
    Function,
    Signature,
    Type,
)
from engine.expr.times import duration, duration_text, timestamp, timestamp_text
from engine.expr.values import (
    MAX_INT,
    MAX_TEXT,
    MAX_UINT,
    MIN_INT,
    Duration,
    EvaluationError,
    Timestamp,
    TypeValue,
    Uint,
)

_LONGEST: Final = 400
"""A number of more characters is none that a double could tell from a shorter one."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,400}", re.ASCII)
_NATURAL: Final = re.compile(r"\+?[0-9]{1,400}", re.ASCII)
_DOUBLE: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE
)
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "false", "FALSE", "False"), False),
}
_types: dict[type, TypeValue] = {}


def to_int(value: Any) -> int:
    """Convert to an int; a double is cut towards zero, a timestamp counts its whole seconds."""
    kind = type(value)
    if kind is int:
        number: int = value
        return number
    if kind is Uint:
        return _bounded("int", int(value), MIN_INT, MAX_INT)
    if kind is float:
        # the bounds themselves are doubtful as doubles: both stand for integers beyond
        if -(2.0**63) < value < 2.0**63:
            return int(value)
        raise _range("double", "int")
    if kind is str:
        if len(value) > _LONGEST or not _INTEGER.fullmatch(value):
            raise EvaluationError("int: the string is not a decimal integer")
        return _bounded("int", int(value), MIN_INT, MAX_INT)
    if kind is Timestamp:
        return int(value) // 10**9
    raise no_overload("int", value)


def to_uint(value: Any) -> Uint:
    """Convert to a uint; a double is cut towards zero."""
    kind = type(value)
    if kind is Uint:
        number: Uint = value
        return number
    if kind is int:
        return Uint(_bounded("uint", value, 0, MAX_UINT))
    if kind is float:
        if 0 <= value < 2.0**64:
            return Uint(int(value))
        raise _range("double", "uint")
    if kind is str:
        if len(value) > _LONGEST or not _NATURAL.fullmatch(value):
            raise EvaluationError("uint: the string is not a decimal integer without a sign")
        return Uint(_bounded("uint", int(value), 0, MAX_UINT))
    raise no_overload("uint", value)


def to_double(value: Any) -> float:
    """Convert to a double, the nearest one."""
    kind = type(value)
    if kind is float:
        number: float = value
        return number
    if kind is int or kind is Uint:
        return float(value)
    if kind is str:
        if len(value) > _LONGEST or not _DOUBLE.fullmatch(value):
            raise EvaluationError("double: the string is not a number")
        number = float(value)
        if math.isinf(number) and value[-1].isdigit():
            raise _range("string", "double")
        return number
    raise no_overload("double", value)


def to_bool(value: Any) -> bool:
    """Convert to a bool: `true`, `True`, `TRUE`, `t`, `1`, and their contraries."""
    if value is True or value is False:
        answer: bool = value
        return answer
    if type(value) is str:
        found = _BOOLS.get(value)
        if found is not None:
            return found
        raise EvaluationError("bool: the string is neither `true` nor `false`")
    raise no_overload("bool", value)


def to_bytes(value: Any) -> bytes:
    """Convert to bytes: a string's UTF-8."""
    if type(value) is bytes:
        return value
    if type(value) is str:
        data = value.encode(errors="replace") if len(value) <= MAX_TEXT else b""
        if len(value) > MAX_TEXT or len(data) > MAX_TEXT:
            raise too_long(bytes)
        return data
    raise no_overload("bytes", value)


def to_string(value: Any) -> str:
    """Convert to a string: a timestamp's is RFC 3339 in UTC, a duration's is in seconds."""
    write = _WRITERS.get(type(value))
    if write is None:
        raise no_overload("string", value)
    return write(value)


def type_of(value: Any) -> TypeValue:
    """Return the type of a value, as a value."""
    kind = type(value)
    found = _types.get(kind)
    if found is None:
        found = _types[kind] = TypeValue(kind_name(kind))
    return found


def dyn(value: Any) -> Any:
    """Return the value: of no particular type to the checker."""
    return value


def _bounded(target: str, number: int, least: int, most: int) -> int:
    if least <= number <= most:
        return number
    raise EvaluationError(f"range error: the number is not within {target}")


def _range(source: str, target: str) -> EvaluationError:
    return EvaluationError(f"range error: the {source} is not within {target}")


def _double_text(number: float) -> str:
    """Write the shortest digits that read back the same, with an exponent from a million up and 0.0001 down."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-4 <= abs(number) < 1e6:
        return repr(number).removesuffix(".0")
    mantissa, _, exponent = repr(number).partition("e")
    if exponent:
        return f"{mantissa}e{exponent[0]}{exponent[1:]:0>2}"
    sign = "-" if number < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).strip("0")
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e+{len(whole) - 1:02}"


def _decoded(data: bytes) -> str:
    if len(data) > MAX_TEXT:
        raise too_long(str)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise EvaluationError("string: the bytes are not UTF-8") from None


_WRITERS: Final[Mapping[type, Callable[[Any], str]]] = {
    str: dyn,
    int: repr,
    Uint: int.__repr__,
    float: _double_text,
    bool: lambda value: "true" if value else "false",
    bytes: _decoded,
    Timestamp: timestamp_text,
    Duration: duration_text,
    IpValue: str,
    CidrValue: str,
}


def _from(result: Type, *sources: Type) -> tuple[Signature, ...]:
    return tuple(Signature((source,), result) for source in sources)


FUNCTIONS: Final = (
    Function("int", to_int, _from(INT, INT, UINT, DOUBLE, STRING, TIMESTAMP)),
    Function("uint", to_uint, _from(UINT, UINT, INT, DOUBLE, STRING)),
    Function("double", to_double, _from(DOUBLE, DOUBLE, INT, UINT, STRING)),
    Function("bool", to_bool, _from(BOOL, BOOL, STRING)),
    Function("bytes", to_bytes, _from(BYTES, BYTES, STRING)),
    Function("string", to_string, _from(STRING, STRING, INT, UINT, DOUBLE, BOOL, BYTES, TIMESTAMP, DURATION, IP, CIDR)),
    Function("timestamp", timestamp, _from(TIMESTAMP, TIMESTAMP, STRING, INT)),
    Function("duration", duration, _from(DURATION, DURATION, STRING)),
    Function("type", type_of, _from(TYPE, A)),
    Function("dyn", dyn, _from(DYN, A)),
)
