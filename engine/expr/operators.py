"""The operators of CEL over plain Python values.

Laws of this file:
1. The common case is asked first and costs one comparison of classes: `bool`, `Uint` and the times are subclasses of
   `int` to Python, and another type to CEL.
2. Numbers of different types compare on one number line, where an integer beside a double counts as the double nearest
   to it (so the conformance suite says); arithmetic never mixes them.
3. Nothing is made that is longer than its limit, and messages name types and positions, never values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from engine.expr.faults import kind_name, too_long, type_name
from engine.expr.values import (
    MAX_INT,
    MAX_ITEMS,
    MAX_TEXT,
    MAX_UINT,
    MIN_INT,
    NONE,
    Duration,
    EvaluationError,
    LimitError,
    Map,
    Optional,
    Timestamp,
    Uint,
)

MIN_TIMESTAMP: Final = -62_135_596_800 * 10**9
MAX_TIMESTAMP: Final = 253_402_300_800 * 10**9 - 1

MOST_COMPARED: Final = 1 << 18
"""A literal may hold one list many times over, so that what is small in memory takes for ever to go through."""

_NUMBERS: Final = frozenset((int, Uint, float))
_ORDERED: Final = frozenset((int, float, str, Uint, Timestamp, Duration, bytes, bool))
_NESTED: Final = (list, dict)
_CONTAINERS: Final = frozenset((list, dict, Map, Optional))
_KEYS: Final = frozenset((str, int, Uint, bool, float))
_EXACT: Final = 1 << 53
_ABSENT: Final = object()


def add(left: Any, right: Any) -> Any:
    """Return `left + right`: numbers of one type, strings, bytes, lists, times."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            total = left + right
            if MIN_INT <= total <= MAX_INT:
                return total
            raise _overflow(kind)
        if kind is float:
            return left + right
        if kind is str:
            if len(left) + len(right) <= MAX_TEXT:
                return left + right
            raise too_long(kind)
    return _add_others(left, right)


def subtract(left: Any, right: Any) -> Any:
    """Return `left - right`: numbers of one type, times."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            total = left - right
            if MIN_INT <= total <= MAX_INT:
                return total
            raise _overflow(kind)
        if kind is float:
            return left - right
        if kind is Timestamp or kind is Duration:
            return duration_of(left - right)
        if kind is Uint:
            total = left - right
            if total >= 0:
                return Uint(total)
            raise _overflow(kind)
    elif kind is Timestamp and type(right) is Duration:
        return timestamp_of(left - right)
    raise _refused("-", left, right)


def multiply(left: Any, right: Any) -> Any:
    """Return `left * right`, of numbers of one type."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            product = left * right
            if MIN_INT <= product <= MAX_INT:
                return product
            raise _overflow(kind)
        if kind is float:
            return left * right
        if kind is Uint:
            product = left * right
            if product <= MAX_UINT:
                return Uint(product)
            raise _overflow(kind)
    raise _refused("*", left, right)


def divide(left: Any, right: Any) -> Any:
    """Return `left / right`, of numbers of one type; integers are truncated towards zero."""
    kind = type(left)
    if kind is type(right):
        if kind is float:
            if right:
                return left / right
            nan = left == 0 or math.isnan(left)
            return math.nan if nan else math.copysign(math.inf, left) * math.copysign(1.0, right)
        if kind is int or kind is Uint:
            if not right:
                raise EvaluationError(f"division by zero: {kind_name(kind)}")
            if left >= 0 and right > 0:
                return left // right if kind is int else Uint(left // right)
            quotient = abs(left) // abs(right)
            if (left < 0) != (right < 0):
                return -quotient
            if quotient <= MAX_INT:
                return quotient
            raise _overflow(kind)
    raise _refused("/", left, right)


def modulo(left: Any, right: Any) -> Any:
    """Return `left % right` of integers of one type; it has the sign of `left`."""
    kind = type(left)
    if kind is type(right) and (kind is int or kind is Uint):
        if not right:
            raise EvaluationError(f"modulus by zero: {kind_name(kind)}")
        if left >= 0 and right > 0:
            return left % right if kind is int else Uint(left % right)
        if left == MIN_INT and right == -1:
            raise _overflow(kind)
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    raise _refused("%", left, right)


def negate(value: Any) -> Any:
    """Return `-value`, of an int or a double."""
    kind = type(value)
    if kind is int:
        if value != MIN_INT:
            return -value
        raise _overflow(kind)
    if kind is float:
        return -value
    raise EvaluationError(f"no such overload: -{type_name(value)}")


def logical_not(value: Any) -> bool:
    """Return `!value`, of a bool."""
    if value is True:
        return False
    if value is False:
        return True
    raise EvaluationError(f"no such overload: !{type_name(value)}")


def equal(left: Any, right: Any) -> bool:
    """Return `left == right`: never an error; values of different types are unequal unless both are numbers."""
    kind = type(left)
    if kind is type(right):
        if kind in _CONTAINERS:
            return _deeply_equal(left, right)
        same: bool = left == right
        return same
    if kind in _NUMBERS and type(right) in _NUMBERS:
        return _numbers_equal(left, right)
    return isinstance(left, _NESTED) and _deeply_equal(left, right)


def not_equal(left: Any, right: Any) -> bool:
    """Return `left != right`."""
    return not equal(left, right)


def less(left: Any, right: Any) -> bool:
    """Return `left < right`, of values of one ordered type or of numbers."""
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        answer: bool = left < right
        return answer
    one, other = _number_line("<", left, right)
    return one < other


def less_equal(left: Any, right: Any) -> bool:
    """Return `left <= right`, of values of one ordered type or of numbers."""
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        answer: bool = left <= right
        return answer
    one, other = _number_line("<=", left, right)
    return one <= other


def greater(left: Any, right: Any) -> bool:
    """Return `left > right`, of values of one ordered type or of numbers."""
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        answer: bool = left > right
        return answer
    one, other = _number_line(">", left, right)
    return one > other


def greater_equal(left: Any, right: Any) -> bool:
    """Return `left >= right`, of values of one ordered type or of numbers."""
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        answer: bool = left >= right
        return answer
    one, other = _number_line(">=", left, right)
    return one >= other


def contains_in(element: Any, container: Any) -> bool:
    """Return `element in container`: among a list's values or a map's keys."""
    kind = type(element)
    if isinstance(container, list):
        if _counted(element, kind):
            # Python's own search is the fastest, and what it does not find is not there
            if element not in container:
                return False
            if type(container[container.index(element)]) is kind:
                return True
        return any(equal(element, one) for one in container)
    if isinstance(container, dict):
        if kind is str or (type(container) is Map and kind in _KEYS):
            return element in container
        if kind in _KEYS:
            return False
    raise _refused("in", element, container)


def index(container: Any, key: Any) -> Any:
    """Return `container[key]`: a list's value at a position from 0, or the value of a map's key.

    Of an optional it is an optional again.
    """
    kind = type(key)
    if isinstance(container, dict):
        if kind is str or (type(container) is Map and kind in _KEYS):
            value = container.get(key, _ABSENT)
            if value is not _ABSENT:
                return value
        elif kind not in _KEYS:
            raise EvaluationError(f"no such overload: {type_name(container)}[{type_name(key)}]")
        raise EvaluationError("no such key")
    if isinstance(container, list) and (kind in _NUMBERS):
        if kind is float:
            if not key.is_integer():
                raise EvaluationError("invalid argument: the position in a list is a double with a fraction")
            key = int(key)
        if 0 <= key < len(container):
            return container[key]
        raise EvaluationError(f"index out of range: the list has {len(container)} values")
    if type(container) is Optional:
        return find(container, key)
    raise EvaluationError(f"no such overload: {type_name(container)}[{type_name(key)}]")


def find(container: Any, key: Any) -> Optional:
    """Return `container[?key]`: the value if the container, which may be optional itself, has it, else none."""
    if type(container) is Optional:
        if not container.present:
            return container
        container = container.value
    kind = type(key)
    if isinstance(container, dict) and kind in _KEYS:
        if kind is str or type(container) is Map:
            value = container.get(key, _ABSENT)
            return NONE if value is _ABSENT else Optional(value)
        return NONE
    if isinstance(container, list) and kind in _NUMBERS:
        return Optional(container[int(key)]) if 0 <= key < len(container) and key == int(key) else NONE
    raise EvaluationError(f"no such overload: {type_name(container)}[?{type_name(key)}]")


def new_map(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the map of these entries; two equal keys are an error, and so is a key of any other type than CEL has."""
    entries = tuple(pairs)
    plain = True
    for key, _ in entries:
        kind = type(key)
        if kind is not str:
            plain = False
            if kind not in _KEYS or kind is float:
                raise EvaluationError(f"unsupported key type: {type_name(key)}")
    made = dict(entries) if plain else Map(entries)
    if len(made) != len(entries):
        raise EvaluationError("repeated key in a map")
    return made


def duration_of(nanoseconds: int) -> Duration:
    """Return a duration, if it is within the range of durations."""
    if MIN_INT <= nanoseconds <= MAX_INT:
        return Duration(nanoseconds)
    raise EvaluationError("range error: a duration spans 290 years at most")


def timestamp_of(nanoseconds: int) -> Timestamp:
    """Return a timestamp, if it is within the range of timestamps."""
    if MIN_TIMESTAMP <= nanoseconds <= MAX_TIMESTAMP:
        return Timestamp(nanoseconds)
    raise EvaluationError("range error: a timestamp is of the years 1 to 9999")


def _add_others(left: Any, right: Any) -> Any:
    kind, other = type(left), type(right)
    if kind is Uint and other is Uint:
        total = left + right
        if total <= MAX_UINT:
            return Uint(total)
        raise _overflow(kind)
    if kind is Duration and other is Duration:
        return duration_of(left + right)
    if (kind is Timestamp and other is Duration) or (kind is Duration and other is Timestamp):
        return timestamp_of(left + right)
    if (kind is bytes and other is bytes) or (isinstance(left, list) and isinstance(right, list)):
        if len(left) + len(right) > (MAX_TEXT if kind is bytes else MAX_ITEMS):
            raise too_long(kind)
        return left + right
    raise _refused("+", left, right)


def _counted(element: Any, kind: type) -> bool:
    """Whether what equals the element in CEL equals it in Python too."""
    if kind is int or kind is float:
        small: bool = -_EXACT < element < _EXACT
        return small
    return kind is str


def _numbers_equal(left: Any, right: Any) -> bool:
    if type(left) is float or type(right) is float:
        near: bool = float(left) == float(right)
        return near
    same: bool = left == right
    return same


def _number_line(sign: str, left: Any, right: Any) -> tuple[float, float]:
    """Return numbers of different types as Python compares them."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        if type(left) is float or type(right) is float:
            return float(left), float(right)
        return left, right
    raise _refused(sign, left, right)


def _deeply_equal(left: Any, right: Any) -> bool:
    """Compare without recursion: nesting is the client's."""
    pending = [(left, right)]
    for _ in range(MOST_COMPARED):
        if not pending:
            return True
        pairs = _pairs(*pending.pop())
        if pairs is None:
            return False
        for one, other in pairs:
            kind = type(one)
            if kind is not type(other):
                if not equal(one, other):
                    return False
            elif kind in _CONTAINERS:
                pending.append((one, other))
            elif one != other:
                return False
    raise LimitError(f"a comparison of more than {MOST_COMPARED:,} lists and maps")


def _pairs(left: Any, right: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return the values in two containers that must be equal, None if the containers differ anyhow."""
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return zip(left, right, strict=True)
    if isinstance(left, dict) and isinstance(right, dict) and len(left) == len(right):
        # the keys as they are held: what a Map answers for them has been translated
        return [(value, dict.get(right, key, _ABSENT)) for key, value in dict.items(left)]
    if type(left) is type(right) is Optional and left.present is right.present:
        return ((left.value, right.value),)
    return None


def _overflow(kind: type) -> EvaluationError:
    return EvaluationError(f"integer overflow: {kind_name(kind)}")


def _refused(sign: str, left: object, right: object) -> EvaluationError:
    return EvaluationError(f"no such overload: {type_name(left)} {sign} {type_name(right)}")
