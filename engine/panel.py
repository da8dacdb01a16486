"""Several detectors that look at one text: searched together, each answering as if it were alone.

Two passes tell for all rules of all detectors at once which can match and which could still come to: of a text in which
nothing stands that anyone looks for, nothing more is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.detecting import Detector, Hit
from engine.scanning import AROUND, Scanner, Sieve, character, offset

Late = dict[int, int]
"""By the places of detectors that lag behind: from which character on they have yet to say what is there."""


class Noted(NamedTuple):
    """A hit, and whose it is: the detector's place."""

    start: int
    end: int
    type: str
    score: float
    place: int


class Panel:
    """Detectors in their order."""

    __slots__ = ("_ends", "_ends_of", "_others", "_reach", "_rules", "_rules_of", "_scanners", "wholes")

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._scanners = {place: one for place, one in enumerate(detectors) if isinstance(one, Scanner)}
        self.wholes = {place: one for place, one in enumerate(detectors) if one.whole}
        self._others = {
            place: one
            for place, one in enumerate(detectors)
            if place not in self._scanners and place not in self.wholes
        }
        sieves = [(at, part, rule) for at, one in self._scanners.items() for part, rule in enumerate(one.sieves)]
        self._rules = Sieve([pattern for _, _, pattern in sieves])
        self._rules_of = [(at, part) for at, part, _ in sieves]
        ends = [(at, pattern) for at, one in self._scanners.items() for pattern in one.beginnings]
        self._ends = Sieve([pattern for _, pattern in ends])
        self._ends_of = [at for at, _ in ends]
        self._reach = max((one.reach for one in self._scanners.values()), default=0)

    def search(self, text: str, begin: int, late: Late, *, last: bool) -> tuple[list[Noted], Late]:
        """Search for what is not whole: each detector from `begin` on, or from where `late` says.

        Returns the settled hits, and for the detectors that are not done with the text from where on they are not.
        """
        noted: list[Noted] = []
        later: Late = {}
        if self._scanners:
            self._scan(text, begin, late, noted, None if last else later)
        for place, detector in self._others.items():
            start = late.get(place, begin)
            settled = len(text) if last else detector.pending(text, start)
            if settled < len(text):
                later[place] = settled
            noted += _settled(detector.find(text, start), place, settled)
        return noted, later

    def _scan(self, text: str, begin: int, late: Late, noted: list[Noted], later: Late | None) -> None:
        data = text.encode("utf-8", "replace")
        lowest = offset(text, data, min(late.values(), default=begin))
        fired: dict[int, list[int]] = {}
        for one in self._rules.passed(_from(data, lowest)):
            place, part = self._rules_of[one]
            fired.setdefault(place, []).append(part)
        still: set[int] = set()
        if later is not None:
            ends = self._ends.passed(_from(data, max(lowest, len(data) - self._reach)))
            still = {self._ends_of[one] for one in ends}
        for place in sorted({*fired, *still}):
            scanner = self._scanners[place]
            at = offset(text, data, late.get(place, begin))
            chain = scanner.chain(data, at, fired.get(place, ()))
            settled = len(data)
            if later is not None and place in still:
                settled = scanner.settled(data, at, chain)
                if settled < len(data):
                    later[place] = character(text, data, settled)
            noted += _settled(scanner.hits(data, [found for found in chain if found.start < settled]), place, len(text))


def _from(data: bytes, at: int) -> bytes:
    """Return what stands from a byte on, and the byte before, which says whether a word begins there."""
    return data[at - 1 :] if at > 0 else data


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
