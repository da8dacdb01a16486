"""Texts of which an expression is true: `{cel: 'size(text) > 100 && text.contains("drop table")'}`, named by `name`.

It sees one text at a time, as `text`; what it says is said of the whole of it. Where it has no value the text is taken for found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.detecting import Hit
from engine.expr.program import ERRORS, ExpressionError, compile_expression
from engine.expr.schema import BOOL, STRING, Schema

TYPE = "EXPRESSION"
SEEN = Schema({"text": STRING}, {})


class Cel:
    """Evaluates an expression over a text; raises ValueError for one that does not compile."""

    __slots__ = ("_program", "longest", "types", "whole")

    def __init__(self, said: Any) -> None:
        told = said if isinstance(said, Mapping) else {"expression": said}
        expression = told.get("expression")
        if not isinstance(expression, str) or told.keys() - {"expression", "name"}:
            raise ValueError("cel: write an expression over `text`, such as 'size(text) > 100'")
        try:
            self._program = compile_expression(expression, SEEN, BOOL)
        except ExpressionError as error:
            raise ValueError(f"cel: {error}") from None
        self.types: Sequence[str] = (str(told.get("name", TYPE)),)
        self.whole = True
        self.longest = 0

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return one hit of the whole text if the expression is true of it, or has no value."""
        try:
            found = self._program.evaluate({"text": text[start:]})
        except ERRORS:
            found = True
        return [Hit(start, len(text), self.types[0])] if found else ()

    def pending(self, text: str, start: int = 0) -> int:
        """Return `start`: what comes may change what is true of a text."""
        del text
        return start
