"""What generated code calls when its short way is not open, and the names it may use at all.

Generated code sees these names, the activation and its own constants; it has no builtins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NoReturn

from engine.expr import operators
from engine.expr.faults import type_name
from engine.expr.patterns import MAX_SEARCHED
from engine.expr.values import MAX_INT, MIN_INT, NONE, EvaluationError, LimitError, Optional

MAX_ITERATIONS: Final = 10_000
WEIGHT: Final = 8
"""Within loops, 2 ** WEIGHT characters or items made or searched count as one iteration."""

_COMPARED: Final = 4

ABSORBED: Final = (EvaluationError, LookupError, TypeError, ArithmeticError, ValueError, AttributeError)
"""What `&&`, `||` and the macros absorb; a LimitError is none of these, nor is running out of stack."""

ERRORS: Final = (*ABSORBED, LimitError, RecursionError, MemoryError)
"""All that a failed evaluation can raise."""


def not_bool(value: object) -> NoReturn:
    """Refuse a condition that is no bool."""
    raise EvaluationError(f"no such overload: a condition of type {type_name(value)}")


def not_expected(value: object) -> NoReturn:
    """Refuse a result of a type that the caller cannot use."""
    raise EvaluationError(f"the result is {type_name(value)}")


def int_overflow() -> NoReturn:
    """Refuse a number beyond 64 bits."""
    raise EvaluationError("integer overflow: int")


def unbound(name: str) -> NoReturn:
    """Refuse a call of a function that is not there."""
    raise EvaluationError(f"unknown function {name}")


def again(kept: Sequence[BaseException]) -> NoReturn:
    """Raise the error of a value bound by cel.bind, now that it is needed."""
    try:
        raise kept[0]
    finally:
        # the error holds this frame from now on
        del kept


def too_many() -> LimitError:
    """Return the error of loops that are too long."""
    return LimitError(f"more than {MAX_ITERATIONS:,} iterations")


def too_much_text() -> LimitError:
    """Return the error of regular expressions that search too much."""
    return LimitError(f"regular expressions search {MAX_SEARCHED // 1024} KiB at most in one evaluation")


def has_field(container: object, name: str) -> bool:
    """Whether a map, or an optional map, has a field."""
    if isinstance(container, Optional):
        if not container.present:
            return False
        container = container.value
    if isinstance(container, dict):
        return name in container
    raise EvaluationError(f"no such overload: a field of {type_name(container)}")


def elements(container: object) -> list[Any] | dict[Any, Any]:
    """Return what a loop with one variable goes through."""
    if isinstance(container, list | dict):
        return container
    raise EvaluationError(f"no such overload: a loop over {type_name(container)}")


def entries(container: object) -> list[tuple[Any, Any]]:
    """Return what a loop with two variables goes through."""
    if isinstance(container, list):
        return list(enumerate(container))
    if isinstance(container, dict):
        return list(container.items())
    raise EvaluationError(f"no such overload: a loop over {type_name(container)}")


def single_entries(container: object) -> list[tuple[Any, Any]]:
    """Return the entries that one round of transformMapEntry makes."""
    if isinstance(container, dict):
        return list(container.items())
    raise EvaluationError(f"no such overload: entries of {type_name(container)}")


def weight(value: object) -> int:
    """Return what it counts, in iterations, to make or search a value within a loop."""
    return len(value) >> WEIGHT if isinstance(value, str | bytes | list | dict) else 0


def extent(value: object) -> int:
    """Return what it counts, in iterations, to compare a value within a loop: all that it holds, lists in lists too."""
    pending, count = [value], 0
    while pending and count < MAX_ITERATIONS << _COMPARED:
        one = pending.pop()
        count += 1
        if isinstance(one, list):
            pending += one
        elif isinstance(one, dict):
            pending += one.values()
    return count >> _COMPARED


def optional_item(value: object) -> list[Any]:
    """Return what `?value` adds to a list."""
    if isinstance(value, Optional):
        return [value.value] if value.present else []
    raise EvaluationError(f"no such overload: ?{type_name(value)} in a list")


def optional_entry(key: object, value: object) -> list[tuple[Any, Any]]:
    """Return what `?key: value` adds to a map."""
    if isinstance(value, Optional):
        return [(key, value.value)] if value.present else []
    raise EvaluationError(f"no such overload: ?{type_name(value)} in a map")


def value_at(container: object, name: str, default: object) -> Any:
    """Return a map's field, or the default if it has none."""
    found = operators.find(container, name)
    return found.value if found.present else default


def mapped(optional: object) -> Optional:
    """Return the operand of optMap, an optional."""
    if isinstance(optional, Optional):
        return optional
    raise EvaluationError(f"no such overload: {type_name(optional)}.optMap")


NAMES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "__builtins__": {},
        **{one.__name__: one for one in (bool, bytes, dict, enumerate, float, int, len, list, str, type)},
        **{
            one.__name__: one
            for one in vars(operators).values()
            if getattr(one, "__module__", "") == operators.__name__ and one.__name__[0] != "_"
        },
        **{
            one.__name__: one
            for one in (again, elements, entries, has_field, int_overflow, mapped, not_bool, not_expected)
        },
        **{one.__name__: one for one in (optional_entry, optional_item, single_entries, too_many, too_much_text)},
        **{one.__name__: one for one in (extent, unbound, value_at, weight)},
        "ABSORBED": ABSORBED,
        "EMPTY": {},
        "NONE": NONE,
        "Optional": Optional,
    }
)
INT_RANGE: Final = (MIN_INT, MAX_INT)
