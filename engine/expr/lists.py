"""Lists, and lists as sets; `size` and `reverse`, which strings share with them.

Equality is CEL's: `1`, `1u` and `1.0` are one element, `true` is another.
"""

from __future__ import annotations

from typing import Any, Final

from engine.expr.faults import no_overload, too_long, type_name
from engine.expr.operators import equal
from engine.expr.schema import BOOL, BYTES, DYN, INT, STRING, A, B, Function, Signature, list_of, map_of, optional_of
from engine.expr.values import (
    MAX_ITEMS,
    MAX_TEXT,
    NONE,
    Duration,
    EvaluationError,
    LimitError,
    Optional,
    Timestamp,
    Uint,
)

_SORTED: Final = frozenset((int, Uint, float, bool, str, bytes, Timestamp, Duration))
_SIZES: Final = frozenset((str, list, dict, bytes))
_HASHED: Final = frozenset((str, bytes, bool, Timestamp, Duration))
_EXACT: Final = 1 << 53
_MOST_COMPARED: Final = 100_000


def size(value: Any) -> int:
    """Return how many code points, bytes, elements or keys there are."""
    if type(value) in _SIZES or isinstance(value, (list, dict)):
        return len(value)
    raise no_overload("size", value)


def reverse(value: Any) -> Any:
    """Return a string or a list from its end to its beginning."""
    if type(value) is not str:
        return _checked("reverse", value)[::-1]
    if len(value) > MAX_TEXT:
        raise too_long(str)
    return value[::-1]


def sliced(values: Any, start: Any, end: Any) -> list[Any]:
    """Return the elements from `start` up to `end`."""
    if not isinstance(values, list) or type(start) is not int or type(end) is not int:
        raise no_overload("slice", values, start, end)
    if 0 <= start <= end <= len(values):
        return _checked("slice", values[start:end])
    raise EvaluationError(f"slice: index out of range: the list has {len(values)} values")


def flatten(values: Any, depth: Any = 1) -> list[Any]:
    """Return the elements with those of lists among them in their place, `depth` levels deep."""
    if not isinstance(values, list) or type(depth) is not int:
        raise no_overload("flatten", values, depth)
    if depth < 0:
        raise EvaluationError("flatten: the depth is negative")
    flat = list(_checked("flatten", values))
    while depth and any(isinstance(one, list) for one in flat):
        if sum(len(one) if isinstance(one, list) else 1 for one in flat) > MAX_ITEMS:
            raise too_long(list)
        flat = [inner for one in flat for inner in (one if isinstance(one, list) else (one,))]
        depth -= 1
    return flat


def numbers(count: Any) -> list[int]:
    """Return the ints from 0 up to a count."""
    if type(count) is not int:
        raise no_overload("lists.range", count)
    if count > MAX_ITEMS:
        raise too_long(list)
    return list(range(count))


def sort(values: Any) -> list[Any]:
    """Return the elements, all of one ordered type, from the least to the greatest."""
    for one in _checked("sort", values):
        if type(one) not in _SORTED or type(one) is not type(values[0]):
            raise EvaluationError(
                f"sort: elements of one ordered type, not {type_name(values[0])} and {type_name(one)}"
            )
    return sorted(values)


def distinct(values: Any) -> list[Any]:
    """Return the elements, each once, where it stood first."""
    seen = _Bag()
    return [one for one in _checked("distinct", values) if seen.add(one)]


def first(values: Any) -> Optional:
    """Return the first element, if there is one."""
    if isinstance(values, list):
        return Optional(values[0]) if values else NONE
    raise no_overload("first", values)


def last(values: Any) -> Optional:
    """Return the last element, if there is one."""
    if isinstance(values, list):
        return Optional(values[-1]) if values else NONE
    raise no_overload("last", values)


def sets_contains(values: Any, others: Any) -> bool:
    """Whether all elements of the second list are in the first."""
    if isinstance(values, list) and isinstance(others, list):
        return _Bag(values).has_all(others)
    raise no_overload("sets.contains", values, others)


def sets_equivalent(values: Any, others: Any) -> bool:
    """Whether each list has all elements of the other."""
    if isinstance(values, list) and isinstance(others, list):
        return _Bag(values).has_all(others) and _Bag(others).has_all(values)
    raise no_overload("sets.equivalent", values, others)


def sets_intersects(values: Any, others: Any) -> bool:
    """Whether some element is in both lists."""
    if isinstance(values, list) and isinstance(others, list):
        bag = _Bag(values)
        return any(bag.has(one) for one in others)
    raise no_overload("sets.intersects", values, others)


def _checked(name: str, values: Any) -> list[Any]:
    """Return a list that is not longer than a result may be: data may hold longer ones."""
    if not isinstance(values, list):
        raise no_overload(name, values)
    if len(values) > MAX_ITEMS:
        raise too_long(list)
    return values


class _Bag:
    """Distinct elements: what may be hashed is; others are compared one by one, within a bound."""

    def __init__(self, values: list[Any] | None = None) -> None:
        self._hashed: set[Any] = set()
        self._others: list[Any] = []
        self._compared = 0
        for value in values or ():
            self.add(value)

    def add(self, value: Any) -> bool:
        """Add a value; answers whether it was not there."""
        if self.has(value):
            return False
        key = _key(value)
        if key is None:
            self._others.append(value)
        else:
            self._hashed.add(key)
        return True

    def has(self, value: Any) -> bool:
        """Whether an equal value is there."""
        key = _key(value)
        if key is not None:
            return key in self._hashed
        self._compared += len(self._others)
        if self._compared > _MOST_COMPARED:
            raise LimitError(f"more than {_MOST_COMPARED:,} comparisons of list elements")
        return any(equal(value, one) for one in self._others)

    def has_all(self, values: list[Any]) -> bool:
        """Whether equals of all these are there."""
        return all(map(self.has, values))


def _key(value: Any) -> Any:
    """Return what equal values share in a hash, or nothing."""
    kind = type(value)
    if kind is int or kind is Uint or kind is float:
        # beyond, integers and doubles are equal to more than themselves; NaN not even to itself
        return value if -_EXACT < value < _EXACT else None
    return (kind, value) if kind in _HASHED else None


_LIST: Final = list_of(A)
_SETS: Final = (Signature((list_of(A), list_of(A)), BOOL),)
_SAME: Final = (Signature((_LIST,), _LIST, method=True),)
_SIZED: Final = (STRING, BYTES, _LIST, map_of(A, B))

FUNCTIONS: Final = (
    Function(
        "size", size, tuple(Signature((kind,), INT, method=method) for kind in _SIZED for method in (False, True))
    ),
    Function("reverse", reverse, (Signature((STRING,), STRING, method=True), *_SAME)),
    Function("slice", sliced, (Signature((_LIST, INT, INT), _LIST, method=True),)),
    Function(
        "flatten",
        flatten,
        (
            Signature((list_of(_LIST),), _LIST, method=True),
            Signature((list_of(DYN), INT), list_of(DYN), method=True),
        ),
    ),
    Function("lists.range", numbers, (Signature((INT,), list_of(INT)),)),
    Function("sort", sort, _SAME),
    Function("distinct", distinct, _SAME),
    Function("first", first, (Signature((_LIST,), optional_of(A), method=True),)),
    Function("last", last, (Signature((_LIST,), optional_of(A), method=True),)),
    Function("sets.contains", sets_contains, _SETS),
    Function("sets.equivalent", sets_equivalent, _SETS),
    Function("sets.intersects", sets_intersects, _SETS),
)
