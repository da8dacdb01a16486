"""Numbers: `math.greatest(a, b)`, rounding, signs, bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from engine.expr.faults import no_overload
from engine.expr.operators import greater, less
from engine.expr.schema import BOOL, DOUBLE, DYN, INT, UINT, Function, Signature, Type, list_of
from engine.expr.values import MAX_UINT, MIN_INT, EvaluationError, Uint

_NUMBERS: Final = frozenset((int, Uint, float))
_BITS: Final = 64
_SIGN_BIT: Final = 1 << 63


def greatest(*values: Any) -> Any:
    """Return the greatest of some numbers, or of a list's; the first of equals."""
    return _extreme("math.greatest", greater, values)


def least(*values: Any) -> Any:
    """Return the least of some numbers, or of a list's; the first of equals."""
    return _extreme("math.least", less, values)


def _extreme(name: str, beats: Callable[[Any, Any], bool], values: tuple[Any, ...]) -> Any:
    numbers = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not numbers:
        raise EvaluationError(f"{name}: no numbers to choose from")
    best = None
    for number in numbers:
        if type(number) not in _NUMBERS:
            raise no_overload(name, *values[:8])
        if best is None or beats(number, best):
            best = number
    return best


def _double(name: str, value: Any) -> float:
    if type(value) is float:
        return value
    raise no_overload(name, value)


def _rounded(name: str, value: Any, rounding: Callable[[float], int]) -> float:
    number = _double(name, value)
    # infinities have no integer, and -0.0 keeps its sign as IEEE 754 says
    return math.copysign(rounding(number), number) if math.isfinite(number) else number


def ceil(value: Any) -> float:
    """Return the least whole double that is not less."""
    return _rounded("math.ceil", value, math.ceil)


def floor(value: Any) -> float:
    """Return the greatest whole double that is not greater."""
    return _rounded("math.floor", value, math.floor)


def trunc(value: Any) -> float:
    """Return the double without its fraction."""
    return _rounded("math.trunc", value, math.trunc)


def rounded(value: Any) -> float:
    """Return the nearest whole double; halves go away from zero."""
    return _rounded("math.round", value, _half_away)


def _half_away(number: float) -> int:
    whole = math.trunc(number)
    if abs(number - whole) >= 0.5:
        return whole + (1 if number > 0 else -1)
    return whole


def absolute(value: Any) -> Any:
    """Return the number without its sign; the least int has none such."""
    kind = type(value)
    if kind not in _NUMBERS:
        raise no_overload("math.abs", value)
    if kind is int and value == MIN_INT:
        raise EvaluationError("integer overflow: int")
    return value if kind is Uint else abs(value)


def sign(value: Any) -> Any:
    """Return -1, 0 or 1, of the number's own type."""
    kind = type(value)
    if kind not in _NUMBERS:
        raise no_overload("math.sign", value)
    if kind is float and math.isnan(value):
        return value
    return kind((value > 0) - (value < 0))


def is_nan(value: Any) -> bool:
    """Whether a double is no number."""
    return math.isnan(_double("math.isNaN", value))


def is_inf(value: Any) -> bool:
    """Whether a double is infinite."""
    return math.isinf(_double("math.isInf", value))


def is_finite(value: Any) -> bool:
    """Whether a double is a number, and finite."""
    return math.isfinite(_double("math.isFinite", value))


def sqrt(value: Any) -> float:
    """Return the square root, NaN of a negative number."""
    if type(value) not in _NUMBERS:
        raise no_overload("math.sqrt", value)
    return math.sqrt(value) if value >= 0 else math.nan


def _bits(name: str, left: Any, right: Any) -> type:
    kind = type(left)
    if kind is type(right) and (kind is int or kind is Uint):
        return kind
    raise no_overload(name, left, right)


def bit_and(left: Any, right: Any) -> Any:
    """Return the bits set in both."""
    return _bits("math.bitAnd", left, right)(left & right)


def bit_or(left: Any, right: Any) -> Any:
    """Return the bits set in either."""
    return _bits("math.bitOr", left, right)(left | right)


def bit_xor(left: Any, right: Any) -> Any:
    """Return the bits set in one only."""
    return _bits("math.bitXor", left, right)(left ^ right)


def bit_not(value: Any) -> Any:
    """Return all bits turned over."""
    if type(value) is int:
        return ~value
    if type(value) is Uint:
        return Uint(MAX_UINT ^ value)
    raise no_overload("math.bitNot", value)


def bit_shift_left(value: Any, count: Any) -> Any:
    """Return the bits moved up; what leaves the 64 is lost."""
    return _shifted("math.bitShiftLeft", value, count, lambda bits, by: (bits << by) & MAX_UINT)


def bit_shift_right(value: Any, count: Any) -> Any:
    """Return the bits moved down, zeros filling up: an int's sign is a bit like others."""
    return _shifted("math.bitShiftRight", value, count, lambda bits, by: bits >> by)


def _shifted(name: str, value: Any, count: Any, shift: Callable[[int, int], int]) -> Any:
    kind = type(value)
    if (kind is not int and kind is not Uint) or type(count) is not int:
        raise no_overload(name, value, count)
    if count < 0:
        raise EvaluationError(f"{name}: the count is negative")
    bits = shift(value & MAX_UINT, count) if count < _BITS else 0
    return Uint(bits) if kind is Uint else (bits ^ _SIGN_BIT) - _SIGN_BIT


def _each(*kinds: Type, result: Type | None = None) -> tuple[Signature, ...]:
    """One argument of each type, giving its own type or the one named."""
    return tuple(Signature((kind,), result or kind) for kind in kinds)


def _pairs(count: Type | None = None) -> tuple[Signature, ...]:
    """Two ints or two uints, or either with a count."""
    return tuple(Signature((kind, count or kind), kind) for kind in (INT, UINT))


_KINDS: Final = (INT, UINT, DOUBLE)
_EXTREMES: Final = (
    *(Signature((kind,), kind) for kind in _KINDS),
    *(Signature((list_of(kind),), kind) for kind in _KINDS),
    *(Signature((left, right), left if left is right else DYN) for left in _KINDS for right in _KINDS),
    Signature((DYN, DYN, DYN), DYN, variadic=True),
)

FUNCTIONS: Final = (
    Function("math.greatest", greatest, _EXTREMES),
    Function("math.least", least, _EXTREMES),
    Function("math.ceil", ceil, _each(DOUBLE)),
    Function("math.floor", floor, _each(DOUBLE)),
    Function("math.trunc", trunc, _each(DOUBLE)),
    Function("math.round", rounded, _each(DOUBLE)),
    Function("math.abs", absolute, _each(INT, UINT, DOUBLE)),
    Function("math.sign", sign, _each(INT, UINT, DOUBLE)),
    Function("math.isNaN", is_nan, _each(DOUBLE, result=BOOL)),
    Function("math.isInf", is_inf, _each(DOUBLE, result=BOOL)),
    Function("math.isFinite", is_finite, _each(DOUBLE, result=BOOL)),
    Function("math.sqrt", sqrt, _each(INT, UINT, DOUBLE, result=DOUBLE)),
    Function("math.bitAnd", bit_and, _pairs()),
    Function("math.bitOr", bit_or, _pairs()),
    Function("math.bitXor", bit_xor, _pairs()),
    Function("math.bitNot", bit_not, _each(INT, UINT)),
    Function("math.bitShiftLeft", bit_shift_left, _pairs(INT)),
    Function("math.bitShiftRight", bit_shift_right, _pairs(INT)),
)
