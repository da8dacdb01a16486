"""Several detectors that look at one text: searched together, each answering as if it were alone.

Two passes tell for all rules of all detectors at once which can match and which could still come to: of a text in which
nothing stands that anyone looks for, nothing more is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.detecting import Detector, Hit
from engine.scanning import AROUND, Scanner, Search, Sieve, behind, character, hits, offset

Late = dict[int, int]
"""By the number of a rule or detector that lags behind: from which character on it has yet to say what is there."""


class Noted(NamedTuple):
    """A hit, and whose it is: the detector's place."""

    start: int
    end: int
    type: str
    score: float
    place: int


class Panel:
    """Detectors in their order; of those that are made of rules, each rule goes its own way."""

    __slots__ = ("_ends", "_ends_of", "_others", "_owners", "_searches", "_sieve", "wholes")

    def __init__(self, detectors: Sequence[Detector]) -> None:
        scanners = {place: one for place, one in enumerate(detectors) if isinstance(one, Scanner)}
        self.wholes = {place: one for place, one in enumerate(detectors) if one.whole}
        self._searches: list[Search] = [search for one in scanners.values() for search in one.searches]
        self._owners = [place for place, one in scanners.items() for _ in one.searches]
        self._sieve = Sieve([one.sieve for one in self._searches])
        self._ends_of = [number for number, one in enumerate(self._searches) if one.beginnings is not None]
        self._ends = Sieve([one.beginnings for one in self._searches if one.beginnings is not None])
        others = [(place, one) for place, one in enumerate(detectors) if place not in {*scanners, *self.wholes}]
        self._others = list(enumerate(others, len(self._searches)))

    def search(self, text: str, begin: int, late: Late, *, last: bool) -> tuple[list[Noted], Late]:
        """Search for what is not whole: each rule and detector from `begin` on, or from where `late` says.

        Returns the settled hits, and for the rules and detectors that are not done with the text from where on they are not.
        """
        noted: list[Noted] = []
        later: Late = {}
        if self._searches:
            self._scan(text, begin, late, noted, None if last else later)
        for number, (place, detector) in self._others:
            start = late.get(number, begin)
            settled = len(text) if last else detector.pending(text, start)
            if settled < len(text):
                later[number] = settled
            noted += _settled(detector.find(text, start), place, settled)
        return noted, later

    def _scan(self, text: str, begin: int, late: Late, noted: list[Noted], later: Late | None) -> None:
        data = text.encode("utf-8", "replace")
        tail = behind(data, offset(text, data, min(late.values(), default=begin)))
        fired = self._sieve.passed(tail)
        still = {self._ends_of[one] for one in self._ends.passed(tail)} if later is not None else set()
        for number in sorted(still.union(fired)):
            search = self._searches[number]
            at = offset(text, data, late.get(number, begin))
            chain = search.chain(data, at) if number in fired else ()
            settled = len(data)
            if later is not None and number in still:
                settled = search.settled(data, at, chain)
                if settled < len(data):
                    later[number] = character(text, data, settled)
            if chain:
                found = [(one, search.rule.type) for one in chain if one.start < settled]
                noted += _settled(hits(data, found), self._owners[number], len(text))


def _settled(hits: Sequence[Hit], place: int, settled: int) -> list[Noted]:
    return [Noted(*hit, place) for hit in hits if hit.start < settled]


class View:
    """A text that grows, as a panel sees it; keeps of it what is not settled, and a little of what stands before."""

    __slots__ = ("_base", "_late", "_panel", "_text", "_whole")

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._text, self._base = "", 0
        self._late: Late = {}
        self._whole: list[str] = []

    def feed(self, piece: str, *, last: bool) -> tuple[list[Noted], int]:
        """Take the next piece; return the hits that are settled now, and up to where all is."""
        panel, base = self._panel, self._base
        begin = len(self._text)
        self._text += piece
        noted, self._late = panel.search(self._text, begin, self._late, last=last)
        settled = min(self._late.values(), default=len(self._text))
        if base:
            noted = [hit._replace(start=hit.start + base, end=hit.end + base) for hit in noted]
        self._keep(settled)
        if panel.wholes:
            self._whole.append(piece)
            if not last:
                return noted, 0
            text = "".join(self._whole)
            noted += [Noted(*hit, place) for place, one in panel.wholes.items() for hit in one.find(text)]
        return sorted(noted), settled + base

    def _keep(self, settled: int) -> None:
        """Let go of what is settled, but for what checks look back at."""
        gone = settled - AROUND
        if gone > 0:
            self._text = self._text[gone:]
            self._base += gone
            self._late = {place: start - gone for place, start in self._late.items()}
