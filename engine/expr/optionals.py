"""Values that may be missing: `body.?user.orValue("nobody")`."""

from __future__ import annotations

from typing import Any, Final

from engine.expr.faults import no_overload
from engine.expr.schema import BOOL, A, Function, Signature, list_of, optional_of
from engine.expr.values import NONE, EvaluationError, Map, Optional

_EMPTY: Final = frozenset((str, bytes, list, dict, Map))


def of(value: Any) -> Optional:
    """Return the optional with this value."""
    return Optional(value)


def none() -> Optional:
    """Return the optional without a value."""
    return NONE


def of_non_zero_value(value: Any) -> Optional:
    """Return the optional with this value, without one if it is `null`, `false`, zero or empty."""
    if value is None or value is False:
        return NONE
    if isinstance(value, (int, float)):
        return Optional(value) if value != 0 else NONE
    return NONE if type(value) in _EMPTY and not value else Optional(value)


def has_value(optional: Any) -> bool:
    """Whether there is a value."""
    present: bool = _checked("hasValue", optional).present
    return present


def value(optional: Any) -> Any:
    """Return the value; that of none is an error."""
    if _checked("value", optional).present:
        return optional.value
    raise EvaluationError("optional.none() has no value")


def first_of(optional: Any, other: Any) -> Any:
    """Return the optional if it has a value, else the other one."""
    if type(optional) is Optional and type(other) is Optional:
        return optional if optional.present else other
    raise no_overload("or", optional, other)


def value_or(optional: Any, other: Any) -> Any:
    """Return the optional's value if it has one, else the other value."""
    if type(optional) is Optional:
        return optional.value if optional.present else other
    raise no_overload("orValue", optional, other)


def unwrap(optionals: Any) -> list[Any]:
    """Return the values of a list's optionals, leaving out what has none."""
    if isinstance(optionals, list) and all(type(one) is Optional for one in optionals):
        return [one.value for one in optionals if one.present]
    raise no_overload("optional.unwrap", optionals)


def _checked(name: str, optional: Any) -> Optional:
    if type(optional) is Optional:
        return optional
    raise no_overload(name, optional)


_A: Final = optional_of(A)

FUNCTIONS: Final = (
    Function("optional.of", of, (Signature((A,), _A),)),
    Function("optional.none", none, (Signature((), _A),)),
    Function("optional.ofNonZeroValue", of_non_zero_value, (Signature((A,), _A),)),
    Function("optional.unwrap", unwrap, (Signature((list_of(_A),), list_of(A)),)),
    Function("unwrapOpt", unwrap, (Signature((list_of(_A),), list_of(A), method=True),)),
    Function("hasValue", has_value, (Signature((_A,), BOOL, method=True),)),
    Function("value", value, (Signature((_A,), A, method=True),)),
    Function("or", first_of, (Signature((_A, _A), _A, method=True),)),
    Function("orValue", value_or, (Signature((_A, A), A, method=True),)),
)
