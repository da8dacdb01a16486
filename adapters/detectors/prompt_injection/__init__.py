"""Prompts that want to take command: `{promptInjection: {threshold: 0.5}}`, or only `{promptInjection: true}`.

Rules in English, Chinese and some of other languages, each with what it says, add up to a score from 0 to 1. They know what
attacks look like, not what they mean: an attack in new words passes. Who needs more asks a classifier (`remote`).
"""

from __future__ import annotations

import importlib.resources
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.closure import compiled
from engine.detecting import Hit
from engine.scanning import Sieve

THRESHOLD = 0.5
TYPE = "PROMPT_INJECTION"
_INVISIBLE = dict.fromkeys([0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF])
"""Characters that are not seen, and that split words for who looks for them."""


class PromptInjection:
    """Scores a text as a whole; raises ValueError for a threshold that is none."""

    __slots__ = ("_rules", "_sieve", "_threshold", "longest", "types", "whole")

    def __init__(self, said: Any) -> None:
        told = said if isinstance(said, Mapping) else {}
        if (not isinstance(said, Mapping) and said not in (True, None, "all")) or set(told) - {"threshold"}:
            raise ValueError("promptInjection: write `true`, or `{threshold: 0.5}`")
        threshold = told.get("threshold", THRESHOLD)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ValueError("promptInjection: `threshold` is a number above 0, up to 1")
        patterns = list(_packs())
        self._threshold = threshold
        self._rules = [(weight, compiled(pattern)) for weight, pattern in patterns]
        self._sieve = Sieve([pattern for _, pattern in patterns])
        self.types: Sequence[str] = (TYPE,)
        self.whole = True
        self.longest = 0

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return one hit of the whole text if its score reaches the threshold."""
        score = self.score(text[start:])
        return [Hit(start, len(text), TYPE, score)] if score >= self._threshold else ()

    def pending(self, text: str, start: int = 0) -> int:
        """Return `start`: any word more may change the score."""
        del text
        return start

    def score(self, text: str) -> float:
        """Return how much speaks for an injection, from 0 to 1."""
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE)
        data = text.encode("utf-8", "replace")
        left = 1.0
        for place in self._sieve.passed(data):
            weight, regexp = self._rules[place]
            if regexp.search(data) is not None:
                left *= 1 - weight
        return round(1 - left, 6)


def _packs() -> Iterator[tuple[float, str]]:
    """Yield what matches say and their patterns, of every pack beside this file."""
    for pack in sorted(importlib.resources.files(__name__).iterdir(), key=lambda one: one.name):
        if pack.name.endswith(".txt"):
            for line in pack.read_text(encoding="utf-8").splitlines():
                if line and not line.startswith("#"):
                    weight, _, pattern = line.partition(" ")
                    yield float(weight), f"(?i){pattern}"
