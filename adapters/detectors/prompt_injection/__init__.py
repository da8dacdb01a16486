"""Prompts that want to take command: `{promptInjection: {threshold: 0.5}}`, or only `{promptInjection: true}`.

Rules in English, Chinese and some of other languages, each with what it says, add up to a score from 0 to 1, within a window of
text. Talk about prompts and instructions is cut out first, disguises are undone. The rules know what attacks look like, not
what they mean: an attack in new words passes. Who needs more asks a classifier (`remote`).
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.detectors.prompt_injection.disguises import flooded, hidden, plain
from engine.closure import compiled
from engine.detecting import Hit
from engine.scanning import Sieve

THRESHOLD = 0.5
WINDOW = 4096
"""Bytes within which signs add up: those far from each other have nothing to do with each other."""
FLOOD = 0.6
"""What a text says that only repeats a few words: it seeks what a model does then."""
_GAP = re.compile(r"~(\d+)")
TYPE = "PROMPT_INJECTION"
_ASKED = compiled(r"(?i)\b(?:can|could|would) you\b")
_SPOKEN_TO = compiled(r"(?i)\b(?:you|your|yourself|above|previous|prior|prompt)\b|你|以上|上面|之前")
"""Words that say that a question is put to the model about itself."""


class PromptInjection:
    """Scores a text as a whole; raises ValueError for a threshold that is none."""

    __slots__ = ("_harmless", "_rules", "_sieve", "_threshold", "longest", "types", "whole")

    def __init__(self, said: Any) -> None:
        told = said if isinstance(said, Mapping) else {}
        if (not isinstance(said, Mapping) and said not in (True, None, "all")) or set(told) - {"threshold"}:
            raise ValueError("promptInjection: write `true`, or `{threshold: 0.5}`")
        threshold = told.get("threshold", THRESHOLD)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ValueError("promptInjection: `threshold` is a number above 0, up to 1")
        lines = list(_packs())
        patterns = [(float(mark), f"(?i){pattern}") for mark, pattern in lines if mark not in {"!", "?"}]
        self._threshold = threshold
        self._harmless = _Harmless(*([pattern for mark, pattern in lines if mark == kind] for kind in "!?"))
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
        data = plain(text).encode("utf-8", "replace")
        score = self._judged(data)
        if score > 0:
            score = self._judged(kept := self._harmless.cut(data))
            if len(kept) > WINDOW:
                score = max(self._judged(kept[at : at + WINDOW]) for at in range(0, len(kept), WINDOW // 2))
        return max([score, *map(self._judged, hidden(data)), FLOOD if flooded(data) else 0.0])

    def _judged(self, data: bytes) -> float:
        left = 1.0
        for place in self._sieve.passed(data):
            weight, regexp = self._rules[place]
            if regexp.search(data) is not None:
                left *= 1 - weight
        return round(1 - left, 6)


class _Harmless:
    """What is cut out of a text before it is judged: always, or where it does not speak to the model."""

    __slots__ = ("_always", "_asked")

    def __init__(self, always: Sequence[str], asked: Sequence[str]) -> None:
        self._always = compiled(f"(?i){'|'.join(always)}")
        self._asked = compiled(f"(?i){'|'.join(asked)}")

    def cut(self, data: bytes) -> bytes:
        """Return a text without what is harmless in it."""
        kept = self._always.sub(b" ; ", data)
        return bytes(
            self._asked.sub(lambda found: found[0] if _SPOKEN_TO.search(_ASKED.sub(b"", found[0])) else b" ; ", kept)
        )


def _packs() -> Iterator[tuple[str, str]]:
    """Yield what each line of every pack beside this file starts with, and its pattern."""
    for pack in sorted(importlib.resources.files(__name__).iterdir(), key=lambda one: one.name):
        if pack.name.endswith(".txt"):
            for line in pack.read_text(encoding="utf-8").splitlines():
                if line and not line.startswith("#"):
                    mark, _, pattern = line.partition(" ")
                    yield mark, _GAP.sub(_words, pattern)


def _words(gap: re.Match[str]) -> str:
    """Write out `~4`, a gap of up to four words."""
    return rf"\W+(?:\w+\W+){{0,{gap[1]}}}?"
