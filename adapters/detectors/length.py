"""Texts that are too long: `{length: {max: 20000}}` characters, `{maxWords: 3000}` or `{maxTokens: 4000}`; all that are given hold.

Tokens are a guess (four ASCII characters, or one of another script): who needs them exact limits tokens (`kind: RateLimit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.detecting import Hit

FIELDS = ("max", "maxTokens", "maxWords")
TYPE = "LENGTH"


class Length:
    """Measures a text as a whole; raises ValueError for bounds that are none."""

    __slots__ = ("_most", "_tokens", "_words", "longest", "types", "whole")

    def __init__(self, said: Any) -> None:
        told = said if isinstance(said, Mapping) else {"max": said}
        unknown = sorted(map(str, set(told) - set(FIELDS)))
        if unknown or not told:
            raise ValueError(f"length: write some of {', '.join(FIELDS)}{f', not `{unknown[0]}`' if unknown else ''}")
        for name, value in told.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"length: `{name}` is a whole number from 0 on")
        self._most, self._tokens, self._words = (told.get(name) for name in FIELDS)
        self.types: Sequence[str] = (TYPE,)
        self.whole = True
        self.longest = 0

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return one hit of the whole text if it is too long."""
        seen = text[start:] if start else text
        return [Hit(start, len(text), TYPE)] if self._over(seen) else ()

    def pending(self, text: str, start: int = 0) -> int:
        """Return `start`: a text may always become longer."""
        del text
        return start

    def _over(self, text: str) -> bool:
        return (
            (self._most is not None and len(text) > self._most)
            or (self._words is not None and len(text.split()) > self._words)
            or (self._tokens is not None and _tokens(text) > self._tokens)
        )


def _tokens(text: str) -> float:
    plain = len(text) if text.isascii() else sum(map(str.isascii, text))
    return plain / 4 + (len(text) - plain)
