"""What is wrong with an expression, and where in its text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LONGEST_GUESS: Final = 64


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong at one place; line and column count from 1 within the expression."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.message}"


class ExpressionError(ValueError):
    """An expression that cannot be compiled, with all that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[tuple[Fault, ...]]]:
        return ExpressionError, (self.faults,)


class FaultAt(Exception):  # noqa: N818 - it never leaves the compiler
    """Ends lexing or parsing at an offset of the source."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


def fault_at(source: str, at: int, message: str) -> Fault:
    """Return the fault at an offset of the source."""
    before = source[:at]
    return Fault(before.count("\n") + 1, at - before.rfind("\n"), message)


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean ...?` if one of the names is close, else nothing."""
    if len(name) > LONGEST_GUESS:
        return ""
    close = difflib.get_close_matches(name, names, 1, 0.7)
    return f"; did you mean `{close[0]}`?" if close else ""
