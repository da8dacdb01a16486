"""Finds what rules describe, in whole texts and in texts that grow, with the same answer for both.

A rule hits where its pattern matches and its check agrees. Whether it does at a place depends only on the `AROUND` bytes before
that place and on what a match may span: `longest` characters of what follows, at most. Of all places the first counts, and the
search goes on behind its hit. So scanning can begin anew at any place that no hit of the rule spans, and says the same from
there on as if it had never stopped. Rules know nothing of each other: what one hits hides nothing from the next.

One pass of `re2.Set` tells which rules can match at all; only these are searched for. Texts are scanned as UTF-8: RE2 knows no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import re2

from engine.closure import closed, compiled, loosened, matcher, options
from engine.detecting import MOST, Hit

AROUND = 64
"""Bytes before a match that a check may look at; who cuts a text keeps as many characters of it."""
SHARD = 128
"""Patterns in one set: with many more its automaton, which is made as texts ask for it, outgrows its memory on texts of all digits."""
CANARY = r"\A(?s:.)"
"""Matches every text, in every set. RE2 answers `nothing` where a set's automaton runs out of memory: then this is missing too."""

Check = Callable[[str, str], float]
"""Takes what is hit and what stands before it, from `AROUND` bytes before the match on; returns how sure that is, from 0 (no hit) to 1."""


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
    """A hit in bytes: it spans `first` to `last` of a match that starts at `start`."""

    start: int
    first: int
    last: int
    score: float

    @property
    def next(self) -> int:
        """Return where the search goes on."""
        return max(self.last, self.start + 1)


class Search:
    """A rule ready to be searched for. `cap` is the most bytes of a match, where its pattern does not bound it."""

    __slots__ = ("_beginnings", "_cap", "_reach", "_regexp", "beginnings", "longest", "roughly", "rule", "sieve")

    def __init__(self, rule: Rule) -> None:
        closure = closed(rule.pattern)
        self.rule = rule
        loose = loosened(rule.pattern)
        self.sieve = rule.sieve or loose
        self.longest = rule.longest if closure.longest is None else closure.longest
        self.beginnings = None if closure.pattern is None else rf"(?:{closed(loose).pattern})"
        """What could still become a match, and a little more; to be looked for at the end of a text."""
        self.roughly = None if closure.pattern is None else f"(?:{closed(loosened(rule.pattern, 1)).pattern})"
        """The same and much more: of an automaton for all rules, that goes through a text backwards, each count would multiply the states."""
        self._regexp = compiled(rule.pattern)
        self._beginnings = None if closure.pattern is None else compiled(rf"(?:{closure.pattern})\z")
        self._cap = 0 if closure.longest is not None else rule.longest
        self._reach = self._cap or 4 * self.longest

    def chain(self, data: bytes, at: int) -> Sequence[Found]:
        """Return the hits from byte `at` on, one behind the other."""
        found, kept = self._next(data, at), []
        while found is not None:
            kept.append(found)
            found = self._next(data, found.next)
        return kept

    def found(self, data: bytes) -> bool:
        """Tell whether there is any hit."""
        return self._next(data, 0) is not None

    def settled(self, data: bytes, at: int, chain: Sequence[Found]) -> int:
        """Return the byte up to which all is settled, given the hits from `at` on."""
        open_from = self._open(data, at)
        for found in chain:
            if found.start >= open_from:
                break
            if open_from < found.next:
                open_from = self._open(data, found.next)
        return open_from

    def _open(self, data: bytes, at: int) -> int:
        end = len(data)
        found = None if self._beginnings is None else self._beginnings.search(data, max(at, end - self._reach))
        return end if found is None else int(found.start())

    def _next(self, data: bytes, at: int) -> Found | None:
        rule = self.rule
        while (span := self._match(data, at)) is not None:
            start, first, last = span
            score = rule.score
            if rule.check is not None:
                before = data[max(0, start - AROUND) : first].decode("utf-8", "ignore")
                score = rule.check(data[first:last].decode("utf-8", "ignore"), before)
            if score > 0:
                return Found(start, first, last, score)
            at = start + 1
        return None

    def _match(self, data: bytes, at: int) -> tuple[int, int, int] | None:
        if self._cap:
            return self._capped(data, at)
        found = self._regexp.search(data, at)
        return None if found is None else (found.start(), *found.span(self.rule.group))

    def _capped(self, data: bytes, at: int) -> tuple[int, int, int] | None:
        """Search in windows of two caps: any match that starts in the first half and has no more than a cap ends in it."""
        while at < len(data):
            found = self._regexp.search(data, at, at + 2 * self._cap)
            if found is None:
                at += self._cap
                continue
            start, end = found.span()
            if end - start > self._cap or start >= at + self._cap:
                found = self._regexp.match(data, start, start + self._cap)
            if found is not None:
                return (start, *found.span(self.rule.group))
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


def ended(pattern: str) -> str:
    """Return a pattern of what stands at the end of a text."""
    return rf"(?:{pattern})\z"


class Tail:
    """Finds in one pass where, at the end of a text, the first of some patterns begins that could still become a match."""

    __slots__ = ("_matchers",)

    def __init__(self, beginnings: Sequence[str]) -> None:
        shards = [beginnings[at : at + SHARD] for at in range(0, len(beginnings), SHARD)]
        self._matchers = [matcher(ended("|".join(shard))) for shard in shards]

    def begins(self, data: bytes, at: int) -> int:
        """Return the byte from which on, not before byte `at`, the end could become a match: never too late, maybe too early."""
        end = first = len(data)
        for match in self._matchers:
            start = match(data, at, end)[0][0]
            if 0 <= start < first:
                first = start
        return first


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

    __slots__ = ("_ends", "_ends_of", "_sieve", "longest", "searches", "types", "whole")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.searches = [Search(rule) for rule in rules]
        self._sieve = Sieve([one.sieve for one in self.searches])
        self._ends_of = [place for place, one in enumerate(self.searches) if one.beginnings is not None]
        self._ends = Sieve([ended(one.beginnings) for one in self.searches if one.beginnings is not None])
        self.types: Sequence[str] = tuple(dict.fromkeys(rule.type for rule in rules))
        self.whole = False
        self.longest = max(one.longest for one in self.searches)

    @property
    def rules(self) -> Sequence[Rule]:
        """Return the rules."""
        return [one.rule for one in self.searches]

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return all hits from `start` on; those of different rules may overlap."""
        data = text.encode("utf-8", "replace")
        at = offset(text, data, start)
        found = [
            (one, self.searches[place].rule.type)
            for place in self._sieve.passed(behind(data, at))
            for one in self.searches[place].chain(data, at)
        ]
        return hits(data, sorted(found))

    def pending(self, text: str, start: int = 0) -> int:
        """Return the first place, from `start` on, from which on the text's end could become a hit or a longer one."""
        data = text.encode("utf-8", "replace")
        at = offset(text, data, start)
        tail = behind(data, at)
        chains = {place: self.searches[place].chain(data, at) for place in self._sieve.passed(tail)}
        settled = len(data)
        for one in self._ends.passed(tail):
            place = self._ends_of[one]
            settled = min(settled, self.searches[place].settled(data, at, chains.get(place, ())))
        spans = sorted((found for chain in chains.values() for found in chain), reverse=True)
        for found in spans:
            if found.start < settled < found.last:
                settled = found.start
        return character(text, data, settled)


def hits(data: bytes, found: Sequence[tuple[Found, str]]) -> list[Hit]:
    """Return hits in characters, each given with its type."""
    if data.isascii():
        return [Hit(one.first, one.last, type_, one.score) for one, type_ in found]
    edges = sorted({edge for one, _ in found for edge in (one.first, one.last)})
    places = dict(zip(edges, characters(data, edges), strict=True))
    return [Hit(places[one.first], places[one.last], type_, one.score) for one, type_ in found]


def behind(data: bytes, at: int) -> bytes:
    """Return what stands from a byte on, and the byte before, which says whether a word begins there."""
    return data[at - 1 :] if at > 0 else data


def offset(text: str, data: bytes, place: int) -> int:
    """Return the byte at which a character starts."""
    return place if len(data) == len(text) else len(text[:place].encode("utf-8", "replace"))


def character(text: str, data: bytes, at: int) -> int:
    """Return the character that starts at a byte."""
    return at if len(data) == len(text) else len(data[:at].decode("utf-8", "ignore"))


def characters(data: bytes, edges: Iterable[int]) -> list[int]:
    """Return the characters that start at some bytes, given in ascending order."""
    places, last, count = [], 0, 0
    for edge in edges:
        count += len(data[last:edge].decode("utf-8", "ignore"))
        places.append(count)
        last = edge
    return places
