"""Finds what rules describe, in whole texts and in texts that grow, with the same answer for both.

A rule hits where its pattern matches and its check agrees. Whether it does at a place depends only on the `AROUND` bytes before
that place and on what a match may span: `longest` characters of what follows, at most. Of all places the first counts, of the
hits there the longest; the search goes on behind it. So scanning can begin anew at any place that no hit spans, and says the
same from there on as if it had never stopped.

One pass of `re2.Set` tells which rules can match at all; only these are searched for. Texts are scanned as UTF-8: RE2 knows no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import re2

from engine.closure import closed, compiled, options
from engine.detecting import MOST, Hit

AROUND = 64
"""Bytes before a match that a check may look at; who cuts a text keeps as many characters of it."""
SHARD = 64
"""Patterns in one set: more make an automaton that outgrows its memory."""
CANARY = r"\A(?s:.)"
"""Matches every text, in every set. RE2 answers `nothing` where a set's automaton runs out of memory: then this is missing too."""

Check = Callable[[str, str], float]
"""Takes what matched and what stands before it; returns how sure that is, from 0 (no hit) to 1."""


class Rule(NamedTuple):
    """What to find: RE2's pattern, and a check of what it matches. `group` says which part of a match is the hit."""

    type: str
    pattern: str
    check: Check | None = None
    group: int = 0
    longest: int = MOST
    """Characters at which a match without a bound of its own is cut."""
    score: float = 1.0
    sieve: str = ""
    """What every match contains, where that is quicker to look for than `pattern`."""


class Found(NamedTuple):
    """A hit in bytes; the smallest is the one that counts: the first, then the longest, then that of the first rule."""

    start: int
    """Where its match starts; the hit itself spans `first` to `last`."""
    minus_end: int
    place: int
    first: int
    last: int
    score: float


class _Ready:
    """A rule ready to be searched for. `cap` is the most bytes of a match, where its pattern does not bound it."""

    __slots__ = ("beginnings", "cap", "reach", "regexp", "rule")

    def __init__(self, rule: Rule) -> None:
        closure = closed(rule.pattern)
        self.rule = rule
        self.regexp = compiled(rule.pattern)
        self.cap = rule.longest if closure.longest is None else 0
        self.reach = self.cap or 4 * (closure.longest or 0)
        self.beginnings = closure.pattern

    def next(self, data: bytes, at: int, place: int) -> Found | None:
        """Return the first hit that starts at `at` or later."""
        rule = self.rule
        while (span := self._match(data, at)) is not None:
            start, end, first, last = span
            score = rule.score
            if rule.check is not None:
                before = data[max(0, start - AROUND) : start].decode("utf-8", "ignore")
                score = rule.check(data[first:last].decode("utf-8", "ignore"), before)
            if score > 0:
                return Found(start, -end, place, first, last, score)
            at = start + 1
        return None

    def _match(self, data: bytes, at: int) -> tuple[int, int, int, int] | None:
        if self.cap:
            return self._capped(data, at)
        found = self.regexp.search(data, at)
        return None if found is None else (*found.span(), *found.span(self.rule.group))

    def _capped(self, data: bytes, at: int) -> tuple[int, int, int, int] | None:
        """Search in windows of two caps: any match that starts in the first half and has no more than a cap ends in it."""
        while at < len(data):
            found = self.regexp.search(data, at, at + 2 * self.cap)
            if found is None:
                at += self.cap
                continue
            start, end = found.span()
            if end - start > self.cap or start >= at + self.cap:
                found = self.regexp.match(data, start, start + self.cap)
            if found is not None:
                return (*found.span(), *found.span(self.rule.group))
            at = start + 1
        return None


class Sieve:
    """Tells in one pass which of some patterns can match; may name one that cannot, never omits one that can."""

    __slots__ = ("_shards",)

    def __init__(self, patterns: Sequence[str]) -> None:
        self._shards = [_Shard(patterns[at : at + SHARD], at) for at in range(0, len(patterns), SHARD)]

    def passed(self, data: bytes) -> list[int]:
        """Return the places of the patterns that can match, in order."""
        if not data:
            return []
        return [place for shard in self._shards for place in shard.passed(data)]


class _Shard:
    __slots__ = ("_every", "_first", "_last", "_set")

    def __init__(self, patterns: Sequence[str], first: int) -> None:
        self._set = re2.Set.SearchSet(options())
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Add(CANARY)
        self._set.Compile()
        self._first, self._last = first, len(patterns)
        self._every = range(first, first + len(patterns))

    def passed(self, data: bytes) -> Iterable[int]:
        found = self._set.Match(data)
        if found is None or self._last not in found:
            return self._every
        if len(found) == 1:
            return ()
        return sorted(self._first + one for one in found if one != self._last)


class Scanner:
    """A detector made of rules; `find` and `pending` are the port's (`engine.detecting`)."""

    __slots__ = ("_ends", "_ready", "_sieve", "longest", "rules", "types", "whole")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._ready = [_Ready(rule) for rule in self.rules]
        self._sieve = Sieve(self.sieves)
        self._ends = [*_ends(self._ready)]
        self.types: Sequence[str] = tuple(dict.fromkeys(rule.type for rule in self.rules))
        self.whole = False
        self.longest = max(ready.cap or ready.reach // 4 for ready in self._ready)

    @property
    def sieves(self) -> Sequence[str]:
        """Return for each rule a pattern of what its matches contain."""
        return [rule.sieve or rule.pattern for rule in self.rules]

    @property
    def beginnings(self) -> Sequence[str]:
        """Return patterns of what could still become a match at the end of a text."""
        return [rf"(?:{ready.beginnings})\z" for ready in self._ready if ready.beginnings is not None]

    @property
    def reach(self) -> int:
        """Return how many bytes before its end a text can still become a match."""
        return max(ready.reach for ready in self._ready)

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return all hits from `start` on, which do not overlap."""
        data = text.encode("utf-8", "replace")
        at = offset(text, data, start)
        return self.hits(data, self.chain(data, at, self.fired(data, at)))

    def pending(self, text: str, start: int = 0) -> int:
        """Return the first place, from `start` on, from which on the text's end could become a hit or a longer one."""
        data = text.encode("utf-8", "replace")
        at = offset(text, data, start)
        return character(text, data, self.settled(data, at, self.chain(data, at, self.fired(data, at))))

    def fired(self, data: bytes, at: int) -> list[int]:
        """Return the places of the rules that can match from `at` on."""
        return self._sieve.passed(data[at - 1 :] if at > 0 else data)

    def chain(self, data: bytes, at: int, fired: Iterable[int]) -> Sequence[Found]:
        """Return the hits of some rules from byte `at` on, one behind the other."""
        ready = self._ready
        waiting = [found for place in fired if (found := ready[place].next(data, at, place)) is not None]
        kept: list[Found] = []
        while waiting:
            best = min(waiting)
            kept.append(best)
            at = max(best.last, best.start + 1)
            waiting = [
                later
                for one in waiting
                if (later := one if one.start >= at else ready[one.place].next(data, at, one.place)) is not None
            ]
        return kept

    def settled(self, data: bytes, at: int, chain: Sequence[Found]) -> int:
        """Return the byte up to which all is settled, given the hits from `at` on."""
        open_from = self._open(data, at)
        for found in chain:
            if found.start >= open_from:
                break
            at = max(found.last, found.start + 1)
            if open_from < at:
                open_from = self._open(data, at)
        return open_from

    def _open(self, data: bytes, at: int) -> int:
        end = first = len(data)
        for regexp, reach in self._ends:
            found = regexp.search(data, max(at, end - reach))
            if found is not None and found.start() < first:
                first = found.start()
        return first

    def hits(self, data: bytes, chain: Sequence[Found]) -> Sequence[Hit]:
        """Return hits in characters."""
        if not chain:
            return ()
        places = characters(data, (edge for found in chain for edge in (found.first, found.last)))
        return [
            Hit(start, end, self.rules[found.place].type, found.score)
            for found, start, end in zip(chain, places[::2], places[1::2], strict=True)
        ]


def _ends(ready: Sequence[_Ready]) -> Iterator[tuple[re2._Regexp, int]]:
    """Yield anchored patterns of beginnings, those together that reach as far back, and how far that is."""
    reaches: dict[int, list[str]] = {}
    for one in ready:
        if one.beginnings is not None:
            reaches.setdefault(one.cap or -1, []).append(one.beginnings)
    for cap, patterns in reaches.items():
        reach = cap if cap > 0 else max(one.reach for one in ready if not one.cap)
        for at in range(0, len(patterns), SHARD):
            yield compiled(rf"(?:{'|'.join(patterns[at : at + SHARD])})\z"), reach


def offset(text: str, data: bytes, place: int) -> int:
    """Return the byte at which a character starts."""
    return place if len(data) == len(text) else len(text[:place].encode("utf-8", "replace"))


def character(text: str, data: bytes, at: int) -> int:
    """Return the character that starts at a byte."""
    return at if len(data) == len(text) else len(data[:at].decode("utf-8", "ignore"))


def characters(data: bytes, edges: Iterable[int]) -> list[int]:
    """Return the characters that start at some bytes, given in ascending order."""
    if data.isascii():
        return [*edges]
    places, last, count = [], 0, 0
    for edge in edges:
        count += len(data[last:edge].decode("utf-8", "ignore"))
        places.append(count)
        last = edge
    return places
