"""A policy's own variables, as its expressions see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.activation import Activation
from engine.expr.program import ERRORS
from engine.expr.values import EvaluationError, LimitError
from engine.policy import Expression
from engine.wording import explained


class Variables(dict[str, Any]):
    """A policy's variables, each evaluated when it is first read."""

    __slots__ = ("_activation", "_expressions")

    def __init__(self, expressions: Iterable[tuple[str, Expression]], activation: Activation) -> None:
        super().__init__()
        self._expressions = dict(expressions)
        self._activation = activation

    def __missing__(self, name: str) -> Any:
        expression = self._expressions[name]
        try:
            value = self[name] = expression.value(self._activation)
        except LimitError:
            raise
        except ERRORS as error:
            raise EvaluationError(f"variable `{name}`: {explained(expression, error)}") from error
        return value
