"""Where in a file a place of an expression is: through quotes, escapes and block scalars, as far as that is exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.config.problems import Mark, Path
from engine.config.yaml import Document
from engine.expr.problems import Fault

WIDEST = 160


class Written(Protocol):
    """A document as it is written: its lines, and where its fields are."""

    document: Document
    lines: Sequence[str]

    def mark(self, path: Path) -> Mark:
        """Return the place of a field."""


def locate(sheet: Written, path: Path, fault: Fault, source: str) -> tuple[Mark, str]:
    """Return the place of a fault in its file, and the line it is in with a caret below."""
    document, lines, mark = sheet.document, sheet.lines, sheet.mark(path)
    line, column, style = document.scalars.get(path, (mark.line, mark.column, "?"))
    said = source.split("\n")
    fault = _before_end(fault, said)
    within = said[fault.line - 1]
    found = _exact(lines, (line, column, style), fault, within) if path in document.scalars else None
    if found is None:
        return Mark(mark.file, line, column), _caret(within, fault.column)
    at_line, at_column = found
    return Mark(mark.file, at_line, at_column), _caret(lines[at_line - 1], at_column)


def _before_end(fault: Fault, said: Sequence[str]) -> Fault:
    """Move a fault behind all that is said to where that ends: a block scalar has an empty last line."""
    at = min(fault.line, len(said))
    if any(line.strip() for line in said[at - 1 :]):
        return fault
    while at > 1 and not said[at - 1].strip():
        at -= 1
    return Fault(at, len(said[at - 1].rstrip()) + 1, fault.message)


def _exact(lines: Sequence[str], start: tuple[int, int, str], fault: Fault, within: str) -> tuple[int, int] | None:
    """Find line and column in the file; None where the text there is not that of the expression."""
    line, column, style = start
    if style == "|":
        at = line + fault.line
        indent = lines[at - 1].find(within) if at <= len(lines) else -1
        return (at, indent + fault.column) if indent >= 0 else None
    if fault.line != 1 or line > len(lines):
        return None
    written = lines[line - 1][column - 1 :]
    if style == "" and written.startswith(within):
        return line, column + fault.column - 1
    if style == "'" and written[1:].startswith(within.replace("'", "''")):
        return line, column + 1 + len(within[: fault.column - 1].replace("'", "''"))
    if style == '"' and written[1:].startswith(within):
        return line, column + fault.column
    return None


def _caret(line: str, column: int) -> str:
    """Show a line with a caret under a column, cut to what fits."""
    begin = max(0, column - WIDEST // 2)
    shown = line[begin : begin + WIDEST].replace("\t", " ")
    return f"    {shown}\n    {' ' * (column - 1 - begin)}^"
