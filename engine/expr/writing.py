"""The Python that an expression becomes: expressions as text, statements as blocks, and which text stands for what.

Every piece of text is an atom of Python's grammar (a name, a constant, a subscript, a call, or in parentheses), so
pieces combine without thought. Text that can fail carries marks, two control characters and an offset, which become the
table that leads an error back to the source; texts of users enter through `ascii()` only, which leaves none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from engine.expr.nodes import Node
from engine.expr.schema import DYN, Type

Block = list[Any]
"""Lines of code; a block among them is indented below its line."""

DEEPEST_TEXT: Final = 24
DEEPEST_LEVEL: Final = 40
MOST_BLOCKS: Final = 12
"""CPython nests 20 loops and handlers, 100 levels of indentation and some 90 brackets."""

_MARK: Final = re.compile("\x02([0-9]+)\x03|(\x04)")
_LITERALS: Final = frozenset([bool, int, float, str, bytes, type(None)])


class Code(NamedTuple):
    """A Python expression; `cheap` may be evaluated twice, `fails` may raise what conditions absorb."""

    text: str
    type: Type = DYN
    fails: bool = False
    depth: int = 0
    cheap: bool = False


class TooDeep(Exception):  # noqa: N818 - a signal within the generator
    """The code needs functions of its own for its inner parts."""


class Generated(NamedTuple):
    """Code to compile: `functions` beside the main one if it had to be cut, `places` as (line, from, to, offset)."""

    text: str
    constants: tuple[Any, ...]
    places: tuple[tuple[int, int, int, int], ...]
    cut: bool


class Writer:
    """Collects the statements, constants and names of one function."""

    def __init__(self, *, cut: bool = False) -> None:
        self.block: Block = []
        self.level = 1
        self.blocks = 0
        self.names = 0
        self.cut = cut
        self.constants: dict[str, Any] = {}
        self.known: dict[tuple[type, int], tuple[str, Any]] = {}
        self.functions: list[tuple[str, str, Block]] = []
        self.visible: list[str] = []
        self.counted = False
        self.searched = False

    @property
    def iterations(self) -> str:
        """Return the counter of iterations; it is a list's item where functions share it."""
        self.counted = True
        return "c[0]" if self.cut else "n"

    @property
    def scanned(self) -> str:
        """Return the counter of text searched by patterns."""
        self.searched = True
        return "c[1]" if self.cut else "s"

    def emit(self, line: str) -> None:
        """Add a statement."""
        self.block.append(line)

    def new_name(self, kind: str = "t") -> str:
        """Return a name that nothing else has."""
        self.names += 1
        return f"{kind}{self.names}"

    @contextmanager
    def captured(self, levels: int = 1, blocks: int = 0) -> Iterator[Block]:
        """Collect statements in a block that the caller places."""
        outer, self.block = self.block, []
        self.level += levels
        self.blocks += blocks
        try:
            yield self.block
        finally:
            self.block = outer
            self.level -= levels
            self.blocks -= blocks

    @contextmanager
    def indented(self, header: str, blocks: int = 0) -> Iterator[Block]:
        """Collect statements below a line."""
        with self.captured(blocks=blocks) as block:
            yield block
        self.emit(header)
        self.block.append(block or ["pass"])

    @contextmanager
    def seen(self, *names: str) -> Iterator[None]:
        """Let functions that are cut out see these names."""
        self.visible += names
        try:
            yield
        finally:
            del self.visible[len(self.visible) - len(names) :]

    def kept(self, code: Code) -> Code:
        """Return the code as a name, its value computed here."""
        name = self.new_name()
        self.emit(f"{name} = {code.text}")
        return Code(name, code.type, cheap=True)

    def twice(self, code: Code) -> Code:
        """Return code that may stand twice."""
        return code if code.cheap else self.kept(code)

    def constant(self, value: Any) -> str:
        """Return the text of a constant; what Python has no literal for becomes an argument of the function."""
        kind = type(value)
        if kind in _LITERALS and (kind is not float or (value - value == 0)):
            text = ascii(value)
            return f"({text})" if text[0] == "-" else text
        key = (kind, id(value))
        if key not in self.known:
            name = f"k{len(self.constants)}"
            self.constants[name] = value
            self.known[key] = (name, value)
        return self.known[key][0]

    def finished(self) -> Generated:
        """Return the code of all functions."""
        main, *others = [("f", "act", self.block), *self.functions]
        start: Block = []
        if self.cut:
            start.append("c = [0, 0]")
        else:
            start += [f"{name} = 0" for name, used in (("n", self.counted), ("s", self.searched)) if used]
        given = "" if self.cut else "".join(f", {name}=None" for name in self.constants)
        lines: list[str] = []
        for name, params, block in [(main[0], f"act{given}", start + main[2]), *others]:
            lines.append(f"def {name}({params}):")
            _flatten(block, 1, lines)
        text, places = _places(lines)
        return Generated(text, tuple(self.constants.values()), places, self.cut)


def marked(node: Node, text: str) -> str:
    """Return the text, marked as that of a node."""
    return f"\x02{node.at}\x03{text}\x04"


def _flatten(block: Block, level: int, lines: list[str]) -> None:
    for line in block:
        if isinstance(line, list):
            _flatten(line, level + 1, lines)
        else:
            lines.append(" " * level + line)


def _places(lines: list[str]) -> tuple[str, tuple[tuple[int, int, int, int], ...]]:
    """Return the text without marks, and where each marked piece stands in it."""
    places: list[tuple[int, int, int, int]] = []
    for number, line in enumerate(lines):
        if "\x02" not in line:
            continue
        pieces: list[str] = []
        column, end = 0, 0
        opened: list[tuple[int, int]] = []
        for mark in _MARK.finditer(line):
            pieces.append(line[end : mark.start()])
            column += mark.start() - end
            end = mark.end()
            if mark[1] is not None:
                opened.append((column, int(mark[1])))
            else:
                start, offset = opened.pop()
                places.append((number + 1, start, column, offset))
        pieces.append(line[end:])
        lines[number] = "".join(pieces)
    return "\n".join(lines) + "\n", tuple(places)
