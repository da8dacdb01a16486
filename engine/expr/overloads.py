"""The overloads of operators, and the choice among overloads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.expr.schema import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    A,
    Function,
    Signature,
    Type,
    list_of,
)
from engine.expr.unify import NUMBERS, Bindings, comparable

_LISTS: Final = list_of(A)
ARITHMETIC: Final = {
    "+": (
        *(Signature((one, one), one) for one in (INT, DOUBLE, STRING, UINT, BYTES, DURATION, _LISTS)),
        Signature((TIMESTAMP, DURATION), TIMESTAMP),
        Signature((DURATION, TIMESTAMP), TIMESTAMP),
    ),
    "-": (
        *(Signature((one, one), one) for one in (INT, DOUBLE, UINT, DURATION)),
        Signature((TIMESTAMP, TIMESTAMP), DURATION),
        Signature((TIMESTAMP, DURATION), TIMESTAMP),
    ),
    "*": tuple(Signature((one, one), one) for one in (INT, DOUBLE, UINT)),
    "/": tuple(Signature((one, one), one) for one in (INT, DOUBLE, UINT)),
    "%": tuple(Signature((one, one), one) for one in (INT, UINT)),
}
ORDERED: Final = frozenset([*NUMBERS, "string", "bytes", "bool", "timestamp", "duration"])
"""Types whose values compare with values of their own type, as Python says."""
_LONGEST: Final = 60
EQUALITIES: Final = frozenset(["==", "!="])


def chosen(signatures: Iterable[Signature], given: list[Type], bindings: Bindings) -> Type | None:
    """Return the result of the signatures that take these types: `dyn` if it may be one or another, None if none do."""
    results = [one for one in (bindings.matches(each, given) for each in signatures) if one is not None]
    if not results:
        return None
    return results[0] if all(one == results[0] for one in results) else DYN


def result_of(sign: str, left: Type, right: Type, bindings: Bindings) -> Type | None:
    """Return what an operator makes of these types, None if it does not take them."""
    if sign in ARITHMETIC:
        return chosen(ARITHMETIC[sign], [left, right], bindings)
    one, other = bindings.known(left), bindings.known(right)
    if sign in EQUALITIES:
        return BOOL if comparable(one, other, bindings) else None
    if sign == "in":
        return BOOL if _element(one, other, bindings) else None
    loose = _loose(one) or _loose(other)
    if loose and all(_loose(each) or each.name in ORDERED for each in (one, other)):
        return BOOL
    numeric = one.name in NUMBERS and other.name in NUMBERS
    return BOOL if numeric or (one.name == other.name and one.name in ORDERED) else None


def refusal(sign: str, left: Type, right: Type) -> str:
    """Return the message about operands that an operator does not take."""
    advice = ""
    if "optional" in (left.name, right.name):
        advice = "; an optional has its value taken out first, as in x.orValue(0)"
    elif sign in ARITHMETIC and left.name in NUMBERS and right.name in NUMBERS and left != right:
        advice = "; numbers of one type only: convert one side, as in double(x)"
    elif sign in EQUALITIES:
        advice = "; they are never equal"
    elif sign == "in":
        advice = "; on its right stands a list of such values, or a map with such keys"
    return f"`{sign}` does not take {shown(left)} and {shown(right)}{advice}"


def refused_call(function: Function, given: list[Type], *, method: bool) -> str:
    """Return the message about arguments that a function does not take."""
    fitting = [one for one in function.signatures if one.method is method]
    if not fitting:
        name = function.name
        return f"`{name}` is written `{f'{name}(x)' if method else f'x.{name}(…)'}`"
    taken = " or ".join(dict.fromkeys(_written(function.name, one) for one in fitting[:4]))
    arguments = ", ".join(map(shown, given[method:]))
    return f"`{function.name}` takes {taken}, not {f'{shown(given[0])}.' if method else ''}{function.name}({arguments})"


def shown(one: Type) -> str:
    """Return a type as messages show it."""
    text = str(one)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _written(name: str, signature: Signature) -> str:
    params = [str(one).replace("$", "") for one in signature.params]
    dots = ", …" if signature.variadic else ""
    if signature.method:
        return f"{params[0]}.{name}({', '.join(params[1:])}{dots})"
    return f"{name}({', '.join(params)}{dots})"


def _loose(one: Type) -> bool:
    return one.name == "dyn" or one.name[0] == "$"


def _element(one: Type, container: Type, bindings: Bindings) -> bool:
    """Whether `one in container` makes sense."""
    if _loose(container):
        return True
    if container.name in {"list", "map"}:
        return comparable(one, container.parameters[0], bindings)
    return container.name == "record" and (_loose(one) or one == STRING)
