"""What a policy limits, and how kinds read it: the amount, and what tells its counters apart."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from engine.claims import NANO, UNLIMITED, Failure, Unit
from engine.expr.schema import DYN
from engine.policy import Expression, Reader
from engine.windows import Window

FAILURES: Mapping[str, Failure] = {"Fail": "Fail", "Ignore": "Ignore", "Local": "Local"}


class Limit(NamedTuple):
    """So much of a unit in each window, for every combination of values; a value that is a list stands for its elements.

    `soft` is the amount after which to warn, `fallback` the model that answers when the limit is used up, `message` what
    is said then beside the facts, `failure` what becomes of calls while the counters are away.
    """

    unit: Unit
    window: Window
    amount: int
    values: tuple[Expression, ...] = ()
    soft: int | None = None
    fallback: str = ""
    message: str = ""
    failure: Failure = "Fail"


def read_failure(fields: Reader) -> Failure:
    """Read `failurePolicy` as that of counters that are away."""
    return FAILURES[fields.choice("failurePolicy", tuple(FAILURES), "Fail")]


def read_counters(fields: Reader) -> tuple[Expression, ...]:
    """Read `counters: [{expression: apiKey.id}]`: one counter for each value."""
    found = []
    for entry in fields.each("counters"):
        expression = entry.cel("expression", DYN)
        if not entry.has("expression"):
            entry.fault("needs an `expression`, such as `apiKey.id`")
        elif expression is not None:
            found.append(expression)
    return tuple(found)


def read_amount(fields: Reader, unit: Unit, name: str = "limit") -> int | None:
    """Read an amount of a unit, money in USD; None, and a fault, when it is not there or none."""
    if not fields.has(name):
        fields.fault(f"needs a `{name}`" + (" in USD" if unit is Unit.USD else ""))
        return None
    number = fields.number(name, most=UNLIMITED // NANO if unit is Unit.USD else 2**53)
    if unit is Unit.USD:
        return int((Decimal(repr(number)) * NANO).to_integral_value(ROUND_HALF_UP))
    if number % 1:
        fields.fault("must be a whole number", name)
    return int(number)
