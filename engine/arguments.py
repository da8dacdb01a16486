r"""Arguments of a tool call as they grow: JSON read far enough to know what its strings say, and where they may be changed.

`"a\u0040b.org"` says `a@b.org`: what is looked for must be looked for there, and what is found be put back in terms of the text
as it came. A string may be changed anywhere between its quotes, but not inside an escape; a number or a word only whole;
braces, colons and commas never. Text that is no JSON is read by the same rules; it only has to be read the same however it is cut.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 512
"""Characters of a number or a word; behind that another begins."""
_STRUCTURE = re.compile(r"[\s{}\[\]:,]+")
_SCALAR = re.compile(r"[^\s{}\[\]:,\"]+")
_PLAIN = re.compile(r'[^"\\]+')
_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_UNFINISHED = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]{0,1})?)?)?)?)?)?\Z"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Token(NamedTuple):
    """A string's contents, or a number or word, by its places in the text as it came."""

    start: int
    end: int
    string: bool


class Arguments:
    """Reads a text piece by piece; all places that it is asked for and answers with count from the text's first character."""

    __slots__ = ("_at", "_inside", "_rest", "_said", "_said_at", "_starts", "_tokens")

    def __init__(self) -> None:
        self._rest = ""
        self._at = 0
        self._said_at = 0
        self._inside = False
        self._tokens: list[Token] = []
        # Runs in which what is said and what came go side by side: where each starts, in the one and in the other.
        self._said: list[int] = [0]
        self._starts: list[int] = [0]

    @property
    def read(self) -> int:
        """Return how far the text has been read: an escape that is not all there waits."""
        return self._at

    def feed(self, text: str, *, last: bool = False) -> tuple[str, str]:
        """Take the next piece; return what came and has now been read, and what that says."""
        text = self._rest + text
        at, said = 0, []
        while at < len(text):
            end, piece = self._step(text, at, last=last)
            if end == at:
                break
            self._run(end - at, len(piece))
            said.append(piece)
            at = end
        self._rest = text[at:]
        return text[:at], "".join(said)

    def _step(self, text: str, at: int, *, last: bool) -> tuple[int, str]:
        """Read one run; return its end and what it says."""
        if text[at] == '"':
            self._inside = not self._inside
            if self._inside:
                self._tokens.append(Token(self._at + 1, self._at + 1, string=True))
            return at + 1, '"'
        if not self._inside:
            return self._outside(text, at)
        plain = _PLAIN.match(text, at)
        end, piece = (plain.end(), plain[0]) if plain else _read(text, at, last=last)
        self._tokens[-1] = self._tokens[-1]._replace(end=self._at + end - at)
        return end, piece

    def _outside(self, text: str, at: int) -> tuple[int, str]:
        found = _STRUCTURE.match(text, at)
        if found is None:
            open_token = self.open
            room = LONGEST - (open_token.end - open_token.start) if open_token else LONGEST
            found = _SCALAR.match(text, at, at + (room or LONGEST))
            end = found.end() if found else at + 1
            if open_token and room:
                self._tokens[-1] = open_token._replace(end=self._at + end - at)
            else:
                self._tokens.append(Token(self._at, self._at + end - at, string=False))
            return end, text[at:end]
        return found.end(), found[0]

    def _run(self, came: int, said: int) -> None:
        if self._starts[-1] - self._said[-1] != self._at - self._said_at or came != said:
            self._starts.append(self._at)
            self._said.append(self._said_at)
        self._at += came
        self._said_at += said
        if came != said:
            self._starts.append(self._at)
            self._said.append(self._said_at)

    @property
    def open(self) -> Token | None:
        """Return the number or word that may still grow."""
        token = self._tokens[-1] if self._tokens else None
        return (
            token
            if token and not token.string and token.end == self._at and token.end - token.start < LONGEST
            else None
        )

    def came(self, said: int) -> int:
        """Return where in the text as it came stands what is said at a place."""
        run = bisect.bisect_right(self._said, said) - 1
        return min(self._starts[run] + said - self._said[run], self._at)

    def floor(self, came: int) -> int:
        """Return the place, this or the nearest before, where the text may be cut: in no escape, number or word."""
        start, _ = self._escape(came)
        place = bisect.bisect_right(self._tokens, (start, float("inf"), True)) - 1
        token = self._tokens[place] if place >= 0 else None
        return token.start if token and not token.string and token.start < start < token.end else start

    def ceiling(self, came: int) -> int:
        """Return the place, this or the nearest behind, that is in no escape."""
        _, end = self._escape(came)
        return end

    def _escape(self, came: int) -> tuple[int, int]:
        """Return where the escape starts and ends that a place is in; the place itself where it is in none."""
        run = bisect.bisect_right(self._starts, came) - 1
        if run + 1 == len(self._starts) or came == self._starts[run]:
            return came, came
        start, end = self._starts[run : run + 2]
        return (came, came) if end - start == self._said[run + 1] - self._said[run] else (start, end)

    def changed(self, start: int, end: int, mask: str, quoted: str) -> Iterator[tuple[int, int, str]]:
        """Yield what to put where for `mask` to stand for all from `start` to `end`; `quoted` is the mask as a string of JSON."""
        start, end = self.floor(start), self.ceiling(end)
        place = max(0, bisect.bisect_right(self._tokens, (start, float("inf"), True)) - 1)
        for token in self._tokens[place:]:
            if token.start >= end:
                break
            if token.end <= start:
                continue
            if token.string:
                yield max(start, token.start), min(end, token.end), mask
                mask = ""
            else:
                yield token.start, token.end, quoted

    def forget(self, came: int) -> None:
        """Let go of what stands before a place."""
        run = bisect.bisect_right(self._starts, came) - 1
        del self._starts[:run], self._said[:run]
        place = bisect.bisect_right(self._tokens, (came, float("inf"), True)) - 1
        if place > 0:
            del self._tokens[:place]


def _read(text: str, at: int, *, last: bool) -> tuple[int, str]:
    """Read an escape; one that is not all there waits, unless nothing comes behind it."""
    if not last and _UNFINISHED.match(text, at):
        return at, ""
    pair = _PAIR.match(text, at)
    if pair:
        return pair.end(), (bytes.fromhex(pair[1]) + bytes.fromhex(pair[2])).decode("utf-16-be")
    number = _UNICODE.match(text, at)
    if number:
        one = chr(int(number[1], 16))
        return number.end(), "\ufffd" if "\ud800" <= one <= "\udfff" else one
    if at + 1 >= len(text):
        return at + 1, "\\"
    return at + 2, _ESCAPES.get(text[at + 1], text[at + 1])


def unescaped(text: str) -> str:
    """Return what stands in a string that is written as `text`."""
    return Arguments().feed(f'"{text}', last=True)[1][1:]
