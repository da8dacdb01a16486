"""Languages that are not allowed: `{language: [en, zh]}` hits texts that are clearly in another.

Scripts tell most (Han without kana is Chinese, Hangul is Korean); for those who write in Latin letters the small words do, of
which there have to be some. A text that tells too little (a name, a number, code) is never hit, nor one that two languages fit.
"""

from __future__ import annotations

import importlib.resources
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.detecting import Hit

TYPE = "LANGUAGE"
SEEN = 20_000
"""Characters from the start of a text that are looked at."""
LETTERS = 4
"""Letters of a script that are needed to name it."""
WORDS = 2
"""Small words of a language that are needed to name it."""
SCRIPTS = {
    "ja": "[\u3041-\u3096\u30a1-\u30fa]", "zh": "[\u3400-\u4dbf\u4e00-\u9fff]", "ko": "[\uac00-\ud7a3]", "uk": "[\u0456\u0457\u0454\u0491]",
    "ru": "[\u0400-\u04ff]", "fa": "[\u067e\u0686\u0698\u06af]", "ar": "[\u0620-\u06ff]", "he": "[\u05d0-\u05ea]", "th": "[\u0e01-\u0e4e]",
    "el": "[\u0370-\u03ff]", "hi": "[\u0900-\u097f]", "bn": "[\u0980-\u09ff]", "ta": "[\u0b80-\u0bff]", "te": "[\u0c00-\u0c7f]",
    "ka": "[\u10a0-\u10ff]", "hy": "[\u0530-\u058f]", "km": "[\u1780-\u17ff]", "my": "[\u1000-\u109f]",
}  # fmt: skip
"""By language, the letters that tell it; of some that share a script, the first that has enough."""
SHARED = {"ja": "zh", "uk": "ru", "fa": "ar"}
"""Languages that also use another's letters."""
_SCRIPTS = {name: re.compile(letters) for name, letters in SCRIPTS.items()}
_WORD = re.compile(r"[^\W\d_]+")


class Language:
    """Tells the language of a text as a whole; raises ValueError for a list that is none."""

    __slots__ = ("_allowed", "_words", "longest", "types", "whole")

    def __init__(self, said: Any) -> None:
        self._words = _profiles()
        known = sorted({*SCRIPTS, *self._words})
        if not isinstance(said, Sequence) or isinstance(said, str) or not said:
            raise ValueError(f"language: write a list of those that are allowed, some of {', '.join(known)}")
        self._allowed = {str(one).lower().split("-")[0] for one in said}
        unknown = sorted(self._allowed - set(known))
        if unknown:
            raise ValueError(f"language: cannot tell `{unknown[0]}`; can tell {', '.join(known)}")
        self.types: Sequence[str] = (TYPE,)
        self.whole = True
        self.longest = 0

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return one hit of the whole text if it clearly is in a language that is not allowed."""
        told = self.told(text[start : start + SEEN])
        return [Hit(start, len(text), TYPE, 0.9)] if told and told.isdisjoint(self._allowed) else ()

    def pending(self, text: str, start: int = 0) -> int:
        """Return `start`: what follows may be in another language."""
        del text
        return start

    def told(self, text: str) -> set[str]:
        """Return the languages that a text may be in; none where it tells too little."""
        latin = _WORD.findall(text.lower())
        if text.isascii():
            return self._small_words(latin)
        counts = {name: len(script.findall(text)) for name, script in _SCRIPTS.items()}
        name = max((one for one in counts if one not in SHARED), key=counts.__getitem__)
        letters = counts[name]
        if letters >= LETTERS and letters * 2 >= sum(map(len, latin)):
            own = next((one for one, other in SHARED.items() if other == name and counts[one] * 20 > letters), name)
            return {own}
        kana = counts["ja"]
        if kana >= LETTERS and (kana + counts["zh"]) * 2 >= sum(map(len, latin)):
            return {"ja"}
        return self._small_words(latin)

    def _small_words(self, words: Sequence[str]) -> set[str]:
        seen = Counter(words)
        counts = {name: sum(seen[word] for word in known) for name, known in self._words.items()}
        most = max(counts.values())
        if most < WORDS or most * 12 < len(words):
            return set()
        return {name for name, count in counts.items() if count * 3 >= most * 2}


def _profiles() -> dict[str, frozenset[str]]:
    lines = importlib.resources.files(__name__).joinpath("words.txt").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {name: frozenset(words.split()) for name, _, words in named}
