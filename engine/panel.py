"""Several detectors that look at one text: searched together, each answering as if it were alone.

Two passes tell for all rules of all detectors at once which can match and which could still come to: of a text in which
nothing stands that anyone looks for, nothing more is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.detecting import Detector, Hit
from engine.scanning import AROUND, Scanner, Search, Sieve, Tail, behind, character, ended, hits, offset

Late = dict[int, int]
"""By the number of a rule or detector that lags behind: from which character on it has yet to say what is there."""


NEAR = 32
"""Bytes of a text's end that a glance may take for what could become a hit; where it is more, a search tells exactly."""
SHORT, PIECES = 24, 4_096
"""Of how many pieces of a text it is remembered what was found, and how long they may be."""
CLEARED = 16_384
"""How many texts it is remembered of that nothing was in them."""
KEPT = 8 * AROUND
"""Characters of a settled text at which those are let go that no check looks back at."""


class Noted(NamedTuple):
    """A hit, and whose it is: the detector's place."""

    start: int
    end: int
    type: str
    score: float
    place: int


class Panel:
    """Detectors in their order; of those that are made of rules, each rule goes its own way."""

    __slots__ = (
        "_cleared",
        "_ends",
        "_ends_of",
        "_known",
        "_others",
        "_owners",
        "_searches",
        "_sieve",
        "_tail",
        "near",
        "wholes",
    )

    def __init__(self, detectors: Sequence[Detector]) -> None:
        scanners = {place: one for place, one in enumerate(detectors) if isinstance(one, Scanner)}
        self.wholes = {place: one for place, one in enumerate(detectors) if one.whole}
        self._searches: list[Search] = [search for one in scanners.values() for search in one.searches]
        self._owners = [place for place, one in scanners.items() for _ in one.searches]
        self._sieve = Sieve([one.sieve for one in self._searches])
        self._ends_of = [number for number, one in enumerate(self._searches) if one.beginnings is not None]
        self._ends = Sieve([ended(one.beginnings) for one in self._searches if one.beginnings is not None])
        self._tail = Tail([one.roughly for one in self._searches if one.roughly is not None])
        self.near = min(NEAR, max((one.longest for one in self._searches), default=0))
        """Bytes that a glance may hold back: no more than a hit may have."""
        self._cleared: set[int] = set()
        self._known: dict[tuple[str, int], int] = {}
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

    def held(self, text: str, start: int) -> int:
        """Return how much of the end of a text could become a hit; -1 where it, or a hit, is to be searched for from `start` on.

        `start` is 0, or 1 where the first character only stands before. Models say the same words over and over: what was
        found of a few thousand short pieces is kept.
        """
        known = self._known.get((text, start))
        if known is None:
            known = self._held(text, start)
            if len(text) <= SHORT:
                if len(self._known) >= PIECES:
                    self._known.clear()
                self._known[text, start] = known
        return known

    def _held(self, text: str, start: int) -> int:
        data = text.encode("utf-8", "replace")
        if self._others or self._sieve.passed(data):
            return -1
        begins = self._tail.begins(data, offset(text, data, start))
        return len(text) - character(text, data, begins) if len(data) - begins <= self.near else -1

    def clear(self, text: str) -> bool:
        """Tell whether there is nothing in a text that is all there.

        A conversation comes again with each of its turns: of texts in which there was nothing their hashes are kept, no text.
        They are Python's own, of 64 bits under a key of this process, so that nobody can make two texts of one hash.
        """
        if self._others or self.wholes:
            return False
        hashed = hash(text)
        if hashed in self._cleared:
            return True
        data = text.encode("utf-8", "replace")
        if any(self._searches[number].found(data) for number in self._sieve.passed(data)):
            return False
        if len(self._cleared) >= CLEARED:
            self._cleared.clear()
        self._cleared.add(hashed)
        return True

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

    __slots__ = ("_base", "_even", "_late", "_panel", "_text", "_whole")

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._text, self._base = "", 0
        self._late: Late = {}
        self._even = 0
        """Up to where everyone is done; -1 while each is done with another part."""
        self._whole: list[str] = []

    def glance(self, piece: str) -> int:
        """Take the next piece if nothing is found in the text, and return up to where it is settled then; else -1."""
        even = self._even
        if even < 0 or len(self._text) - even > self._panel.near or self._panel.wholes:
            return -1
        text = self._text + piece
        at = even - 1 if even else 0
        held = self._panel.held(text[at:], even - at)
        if held < 0:
            return -1
        settled = len(text) - held
        self._text, self._even = text, settled
        at = settled + self._base
        if settled > KEPT:
            self._keep(settled)
        return at

    def feed(self, piece: str, *, last: bool) -> tuple[list[Noted], int]:
        """Take the next piece; return the hits that are settled now, and up to where all is."""
        panel, base = self._panel, self._base
        noted, settled = self._search(piece, last=last)
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

    def _search(self, piece: str, *, last: bool) -> tuple[list[Noted], int]:
        """Search what has come; places count from what is kept of the text.

        As long as nothing is found, all rules are taken to be done with as much as the slowest of them: then one glance tells
        for all. Once something is, each goes on from where it is.
        """
        begin, even = len(self._text), self._even
        text = self._text = self._text + piece
        if even >= 0:
            begin = even
        noted, late = self._panel.search(text, begin, self._late, last=last)
        settled = min(late.values(), default=len(text))
        alike = settled >= max((hit.end for hit in noted), default=0) and (even >= 0 or not late)
        self._late, self._even = ({}, settled) if alike else (late, -1)
        return noted, settled

    def _keep(self, settled: int) -> None:
        """Let go of what is settled, but for what checks look back at."""
        gone = settled - AROUND
        if gone > 0:
            self._text = self._text[gone:]
            self._base += gone
            self._late = {place: start - gone for place, start in self._late.items()}
            self._even -= gone if self._even >= 0 else 0
