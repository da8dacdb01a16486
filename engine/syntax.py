"""Reads the syntax of RE2 into a tree: what stands behind what, what repeats, and where only an edge is asked for.

Flags (`(?i)`) are written to every piece that they hold for. What a class or an escape matches is RE2's business: it is one
character, and kept as it was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Atom:
    """One character, whichever of some."""

    text: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A place between characters; `behind` says whether what comes behind it decides."""

    text: str
    behind: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after another."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    ways: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Again and again: at least, at most (None: without end)."""

    inner: Node
    least: int
    most: int | None


Node = Atom | Edge | Sequence | Choice | Repeat

_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\[pP]\{[^}]*\}|\\.|[^\]\\])*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{2})|[0-7]{1,3}|.)", re.DOTALL)
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP = re.compile(r"\((?:\?P?<\w+>|\?([imsU]*)(?:-([imsU]*))?([:)]))?")
_OFTEN = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_EDGES = {"^": False, "$": True, "\\A": False, "\\z": True, "\\b": True, "\\B": True}


def parse(pattern: str) -> Node:
    r"""Read a pattern that RE2 has accepted; raises ValueError for `\C`, a byte that need not be a character."""
    reader = _Reader(pattern)
    return reader.choice(frozenset())


class _Reader:
    __slots__ = ("_at", "_pattern")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def choice(self, flags: frozenset[str]) -> Node:
        """Read up to the end of the group that is open."""
        ways: list[Node] = []
        parts: list[Node] = []
        while self._at < len(self._pattern) and self._pattern[self._at] != ")":
            if self._pattern[self._at] == "|":
                self._at += 1
                ways.append(Sequence(tuple(parts)))
                parts = []
            elif flags_alone := self._flags(flags):
                (flags,) = flags_alone
            else:
                parts.extend(self._repeated(self._one(flags)))
        ways.append(Sequence(tuple(parts)))
        return ways[0] if len(ways) == 1 else Choice(tuple(ways))

    def _flags(self, flags: frozenset[str]) -> tuple[frozenset[str], ...]:
        """Take `(?i)`, which holds for the rest of its group; return nothing where there is none."""
        found = _GROUP.match(self._pattern, self._at)
        if found is None or found[3] != ")":
            return ()
        self._at = found.end()
        return ((flags | set(found[1])) - set(found[2] or ""),)

    def _one(self, flags: frozenset[str]) -> list[Node]:
        first = self._pattern[self._at]
        if first == "(":
            return [self._group(flags)]
        if self._pattern.startswith("\\Q", self._at):
            return self._quoted(flags)
        text = self._taken(_CLASS if first == "[" else _ESCAPE if first == "\\" else None)
        if text == "\\C":
            raise ValueError(f"pattern `{self._pattern}`: `\\C` matches half characters: write `.`")
        if text in _EDGES:
            return [Edge(_flagged(text, flags & {"m"}), _EDGES[text])]
        if len(text) == 1 and text != ".":
            return [_literal(text, flags)]
        return [Atom(_flagged(text, flags & ({"s"} if text == "." else {"i"})))]

    def _taken(self, form: re.Pattern[str] | None) -> str:
        found = form.match(self._pattern, self._at) if form else None
        text = found[0] if found else self._pattern[self._at]
        self._at += len(text)
        return text

    def _group(self, flags: frozenset[str]) -> Node:
        found = _GROUP.match(self._pattern, self._at)
        if found is None:
            raise ValueError(f"pattern `{self._pattern}`: the group at character {self._at} is none that RE2 knows")
        self._at = found.end()
        inner = self.choice((flags | set(found[1] or "")) - set(found[2] or ""))
        self._at += 1
        return inner

    def _quoted(self, flags: frozenset[str]) -> list[Node]:
        start = self._at + 2
        end = self._pattern.find("\\E", start)
        self._at = len(self._pattern) if end < 0 else end + 2
        return [_literal(one, flags) for one in self._pattern[start : len(self._pattern) if end < 0 else end]]

    def _repeated(self, nodes: list[Node]) -> list[Node]:
        """Take what says how often the last of some nodes comes."""
        while self._at < len(self._pattern):
            often = self._often()
            if often is None or not nodes:
                break
            if self._pattern.startswith("?", self._at):
                self._at += 1
            nodes = [*nodes[:-1], Repeat(nodes[-1], *often)]
        return nodes

    def _often(self) -> tuple[int, int | None] | None:
        sign = self._pattern[self._at]
        if sign in _OFTEN:
            self._at += 1
            return _OFTEN[sign]
        counted = _COUNT.match(self._pattern, self._at)
        if counted is None:
            return None
        self._at = counted.end()
        least = int(counted[1])
        return least, least if counted[2] is None else int(counted[3]) if counted[3] else None


def _literal(text: str, flags: frozenset[str]) -> Node:
    if text.isascii() and not text.isalnum():
        return Atom(f"\\x{ord(text):02x}")
    return Atom(_flagged(text, flags & {"i"}))


def _flagged(text: str, flags: frozenset[str]) -> str:
    return f"(?{''.join(sorted(flags))}:{text})" if flags else text
