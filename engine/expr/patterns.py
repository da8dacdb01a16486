"""Regular expressions in linear time, by RE2: patterns are judged once, texts are bounded.

Laws of this file:
1. RE2's own object is called on bytes: the Python wrapper around it costs more than most searches.
2. A lone surrogate counts as `?`. Were it an error, a client could trip a rule off with one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from re2 import _re2

from engine.expr.faults import no_overload
from engine.expr.schema import BOOL, STRING, Function, Signature
from engine.expr.values import EvaluationError, LimitError

MAX_PROGRAM: Final = 1_000
MAX_PATTERN: Final = 8_192
MAX_SEARCHED: Final = 256 * 1024
KEPT: Final = 32
"""How many patterns that are no constants stay compiled; each may hold 8 MiB."""

_ADVICE: Final = {
    "invalid perl operator": "RE2 has no look-around, conditions, comments or atomic groups: match what must be there,"
    " and say `!x.matches(…)` for what must not",
    "invalid escape sequence": "RE2 has no back-references, and `\\z` instead of `\\Z`; in a plain CEL string a"
    " backslash is written twice, in a raw one (r'…') once",
    "invalid character class range": "known classes are those such as `[:alpha:]`, `\\d`, `\\pL` and `\\p{Greek}`",
    "invalid repetition size": "a repetition counts to 1,000 at most, nested ones to 1,000 together",
    "bad repetition operator": "write one of `*`, `+`, `?` and `{n,m}`, and `?` after it for the shortest match",
    "no argument for repetition operator": "a repetition follows what it repeats; `\\*` is the character",
    "missing )": "a group is open; `\\(` is the character",
    "unexpected )": "no group is open; `\\)` is the character",
    "missing ]": "a class is open; `\\[` is the character",
    "trailing \\": "a backslash at the end escapes nothing; `\\\\` is the character",
}


def _options() -> Any:
    options = _re2.RE2.Options()
    options.log_errors = False
    options.never_capture = True
    return options


_OPTIONS: Final = _options()
_ANYWHERE: Final = _re2.RE2.Anchor.UNANCHORED


class Pattern:
    """A compiled pattern. `size` is its program's, in instructions."""

    __slots__ = ("_match", "size", "text")

    def __init__(self, text: str, program: Any) -> None:
        self.text = text
        self.size: int = program.ProgramSize()
        self._match = program.Match

    def __reduce__(self) -> tuple[Callable[[str], Pattern], tuple[str]]:
        return compile_pattern, (self.text,)

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text; raises LimitError on more than 256 KiB."""
        data = text.encode(errors="replace") if len(text) <= MAX_SEARCHED else b""
        size = len(data)
        if size > MAX_SEARCHED or len(text) > MAX_SEARCHED:
            raise LimitError(f"a regular expression searches {MAX_SEARCHED // 1024} KiB at most")
        found: bool = self._match(_ANYWHERE, data, 0, size)[0][0] >= 0
        return found


def compile_pattern(text: str) -> Pattern:
    """Compile a pattern; raises ValueError that says what RE2 refuses, and what to write instead."""
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern of more than {MAX_PATTERN:,} characters")
    try:
        program = _re2.RE2(text.encode(), _OPTIONS)
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is not a character: remove it") from None
    if not program.ok():
        reason = program.error().decode(errors="replace")
        advice = _ADVICE.get(reason.partition(":")[0])
        raise ValueError(f"{reason} ({advice})" if advice else reason)
    pattern = Pattern(text, program)
    if pattern.size > MAX_PROGRAM:
        raise ValueError(
            f"the pattern compiles to {pattern.size:,} instructions, more than {MAX_PROGRAM:,}: repeat less, and prefer"
            " `[^ ]` or `\\w` to Unicode classes such as `\\pL`"
        )
    return pattern


@lru_cache(maxsize=KEPT)
def _kept(text: str) -> Pattern:
    return compile_pattern(text)


def matches(text: Any, pattern: Any) -> bool:
    """Whether a pattern known at run time only matches anywhere in the text."""
    if type(text) is not str or type(pattern) is not str:
        raise no_overload("matches", text, pattern)
    try:
        compiled = _kept(pattern)
    except ValueError as error:
        # what follows the colon quotes the pattern, a value here
        raise EvaluationError(f"invalid regular expression: {str(error).partition(':')[0]}") from None
    return compiled.search(text)


FUNCTIONS: Final = (
    Function("matches", matches, (Signature((STRING, STRING), BOOL), Signature((STRING, STRING), BOOL, method=True))),
)
