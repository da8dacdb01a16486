"""Words and phrases of one's own: `{keywords: [Falcon, 机密]}`, or `{keywords: {file: words.txt}}`, one a line, beside the policy.

A file may also be YAML: a list, or LiteLLM's `blocked_words: [{keyword: …}]`. A changed file is in force as a changed policy is.

Case does not count. A word is found as a word, `ass` not in `class`; what begins or ends with a letter of a script that
sets no spaces between words (Chinese, Japanese, Thai) is found wherever it stands. A space stands for up to four of any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from engine.scanning import Rule, Scanner

LONGEST = 200
"""Characters of a keyword: a longer one is a text, not a word."""
TOGETHER = 256
"""Keywords in one pattern."""
SPACES = r"\s{1,4}"
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_BEFORE, _BEHIND = r"(?:\A|[^\pL\pN_])", r"(?:\z|[^\pL\pN_])"


class Keywords(Scanner):
    """Finds keywords; raises ValueError for a list that is none, or a file that cannot be read."""

    __slots__ = ()

    def __init__(self, said: Any) -> None:
        told = said if isinstance(said, Mapping) else {"words": said}
        unknown = sorted(set(told) - {"words", "file", "name", "text"})
        if unknown:
            raise ValueError(f"keywords: unknown field `{unknown[0]}`; known are `words`, `file` and `name`")
        words = list(dict.fromkeys(_words(told)))
        if not words:
            raise ValueError("keywords: write a list of words, or `{file: …}` with one a line")
        super().__init__([*_rules(words, str(told.get("name", "KEYWORD")))])


def _words(told: Mapping[str, Any]) -> Iterator[str]:
    listed = told.get("words", [])
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ValueError("keywords: `words` is a list of texts")  # noqa: TRY004 a setting, not an argument
    for word in [*listed, *_filed(told.get("file"), told.get("text", ""))]:
        if not isinstance(word, str) or not word.strip() or len(word) > LONGEST:
            raise ValueError(f"keywords: `{word}` is none; write a text of 1 to {LONGEST} characters in quotes")
        yield word.strip().lower()


def _filed(file: Any, text: str) -> Sequence[Any]:
    """Read the words of a file, whose text the engine brings."""
    if file is None:
        return ()
    if not isinstance(file, str):
        raise ValueError("keywords: `file` is a path")  # noqa: TRY004 a setting, not an argument
    if not file.endswith((".yaml", ".yml")):
        return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    try:
        written = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"keywords: `{file}` is no YAML: {error}") from error
    listed = written.get("blocked_words") if isinstance(written, dict) else written
    if not isinstance(listed, list):
        raise ValueError(f"keywords: `{file}` is neither a list nor has `blocked_words`")  # noqa: TRY004 - of what is written
    return [one.get("keyword") if isinstance(one, dict) else one for one in listed]


def _rules(words: Sequence[str], name: str) -> Iterator[Rule]:
    """Put words with the same kind of edges together; of those that begin alike the longest counts."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for word in sorted(words, key=len, reverse=True):
        edges = (_edge(word[0], _BEFORE), _edge(word[-1], _BEHIND))
        kinds.setdefault(edges, []).append(SPACES.join(map(_escaped, word.split())))
    for (before, behind), patterns in kinds.items():
        for at in range(0, len(patterns), TOGETHER):
            together = "|".join(patterns[at : at + TOGETHER])
            yield Rule(name, f"(?i){before}({together}){behind}", group=1)


def _edge(letter: str, outside: str) -> str:
    if not letter.isalnum() or _UNSPACED.match(letter):
        return ""
    return r"\b" if letter.isascii() else outside


def _escaped(text: str) -> str:
    return "".join(one if one.isalnum() or not one.isascii() else f"\\x{ord(one):02x}" for one in text)
