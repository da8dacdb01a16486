"""The spaces within an expression, as everyone should write them: lines, parentheses, literals and comments stay.

They are decided from the words of the text, for the tree forgets how it was written; that the tree is still the same is
checked afterwards.
"""

from __future__ import annotations

from engine.authoring.unparse import same
from engine.expr.lexer import END, NAME, QUOTED, VALUE, Token, tokens_of
from engine.expr.parser import parse

_CLOSING = frozenset(")]}")
_OPENING = frozenset("([{")
_BARE = frozenset({"!", "unary", ".", "optional", *_OPENING})
"""What nothing stands behind at a distance."""


def spaced(source: str) -> str:
    """Return an expression with its spaces in order, or as it is where that would change what it says.

    Raises FaultAt for what is no expression.
    """
    text = _spaced(source)
    return text if same(parse(source), parse(text)) else source


def _spaced(source: str) -> str:
    reader, parts, end = _Reader(), [], 0
    for token in tokens_of(source):
        gap = source[end : token.at]
        kept = "\n" in gap or "/" in gap or not end or token.kind == END
        space = reader.gap(token)
        parts.append(gap if kept else space)
        end = token.at + len(token.text) + (2 if token.kind == QUOTED else 0)
        parts.append(source[token.at : end])
    return "".join(parts)


class _Reader:
    """Reads words from left to right and knows what each is for."""

    def __init__(self) -> None:
        self.before = ""
        self.ended = False
        """Whether what came last may end an operand."""
        self.open: list[int] = [0]
        """For every open bracket, how many `?` wait for their `:`."""

    def gap(self, token: Token) -> str:
        """Return the space before a word, and read it."""
        role = self._role(token)
        space = self._space(role)
        self._read(token, role)
        return space

    def _role(self, token: Token) -> str:
        if token.kind in (VALUE, QUOTED) or (token.kind == NAME and token.text != "in"):
            return "word"
        text = token.text
        if text == "-" and not self.ended:
            return "unary"
        if text == "?" and not self.ended:
            return "optional"
        if text == ":":
            return "else" if self.open[-1] else "colon"
        if text in ("(", "[", ".") and self.ended:
            return "suffix"
        return text

    def _space(self, role: str) -> str:
        if self.before in _BARE or role in _CLOSING or role in (",", "colon", "suffix"):
            return ""
        return " "

    def _read(self, token: Token, role: str) -> None:
        text = token.text if role != "word" else ""
        if text in _OPENING:
            self.open.append(0)
        elif text in _CLOSING and len(self.open) > 1:
            self.open.pop()
        elif role == "?":
            self.open[-1] += 1
        elif role == "else":
            self.open[-1] -= 1
        self.ended = role == "word" or text in _CLOSING
        self.before = text if role == "suffix" else role
