"""What refusals say: the message of a rule, the reason of an error; never a value that the writer of a rule did not choose."""

from __future__ import annotations

import re

import structlog

from engine.activation import Activation
from engine.expr.program import ERRORS
from engine.expr.values import EvaluationError, LimitError
from engine.governed import Bound
from engine.policy import Expression, Policy

log = structlog.get_logger("interlock")

SHOWN = 1000
"""Characters of a computed message."""
_PLACE = re.compile(r" at [^()]+?(?=, \d+:\d+\))")


def message(bound: Bound, activation: Activation, policy: Policy) -> str:
    """Return what a rule says to the caller; a message that cannot be computed gives way to the plain one."""
    rule = bound.rule
    if rule.says is None:
        return rule.message
    try:
        said = str(rule.says.program.evaluate(activation))
    except ERRORS as error:
        log.warning("message not computed", policy=policy.head.name, reason=explained(rule.says, error))
        return rule.message
    return "".join(character if character.isprintable() else " " for character in said[:SHOWN])


def without_place(what: str) -> str:
    """Leave out the file: callers hear of the policy, the log and the record say where it is written."""
    return _PLACE.sub("", what)


def explained(expression: Expression | None, error: BaseException) -> str:
    """Say what went wrong and where, without any value."""
    notes = getattr(error, "__notes__", ())
    if notes:
        return str(notes[0])
    if expression is not None:
        return expression.explained(error)
    return str(error) if isinstance(error, EvaluationError | LimitError) else "an expression has no value here"
