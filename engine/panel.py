"""Several detectors that look at one text: searched together, each answering as if it were alone.

Two passes tell for all rules of all detectors at once which can match and which could still come to: of a text in which
nothing stands that anyone looks for, nothing more is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.detecting import Detector, Hit
from engine.scanning import AROUND, Scanner, Sieve, character, offset


class Noted(NamedTuple):
    """A hit, and whose it is: the detector's place."""

    start: int
    end: int
    type: str
    score: float
    place: int


class Panel:
    """Detectors in their order."""

    __slots__ = ("_ends", "_ends_of", "_others", "_reach", "_rules", "_rules_of", "_scanners", "size", "wholes")

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.size = len(detectors)
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

    def search(self, text: str, starts: list[int], *, last: bool) -> Sequence[Noted]:
        """Return the settled hits of what is not whole from `starts` on, one place each detector; moves them to what is settled."""
        noted: list[Noted] = []
        if self._scanners:
            self._scan(text, starts, noted, last=last)
        for place, detector in self._others.items():
            start = starts[place]
            starts[place] = len(text) if last else detector.pending(text, start)
            noted += _settled(detector.find(text, start), place, starts[place])
        return noted

    def _scan(self, text: str, starts: list[int], noted: list[Noted], *, last: bool) -> None:
        data = text.encode("utf-8", "replace")
        lowest = offset(text, data, min(starts[place] for place in self._scanners))
        fired: dict[int, list[int]] = {}
        for one in self._rules.passed(_from(data, lowest)):
            place, part = self._rules_of[one]
            fired.setdefault(place, []).append(part)
        still = (
            ()
            if last
            else {self._ends_of[one] for one in self._ends.passed(_from(data, max(lowest, len(data) - self._reach)))}
        )
        for place, scanner in self._scanners.items():
            if place not in fired and place not in still:
                starts[place] = len(text)
                continue
            at = offset(text, data, starts[place])
            chain = scanner.chain(data, at, fired.get(place, ()))
            settled = scanner.settled(data, at, chain) if place in still else len(data)
            starts[place] = character(text, data, settled)
            noted += _settled(scanner.hits(data, [found for found in chain if found.start < settled]), place, len(text))


def _from(data: bytes, at: int) -> bytes:
    """Return what stands from a byte on, and the byte before, which says whether a word begins there."""
    return data[at - 1 :] if at > 0 else data


def _settled(hits: Sequence[Hit], place: int, settled: int) -> list[Noted]:
    return [Noted(*hit, place) for hit in hits if hit.start < settled]


class View:
    """A text that grows, as a panel sees it; keeps of it what is not settled, and a little of what stands before."""

    __slots__ = ("_base", "_panel", "_starts", "_text", "_whole")

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._text, self._base = "", 0
        self._starts = [0] * panel.size
        self._whole: list[str] = []

    def feed(self, piece: str, *, last: bool) -> tuple[Sequence[Noted], int]:
        """Take the next piece; return the hits that are settled now, and up to where all is."""
        panel = self._panel
        if panel.wholes:
            self._whole.append(piece)
        self._text += piece
        base = self._base
        starts = [max(0, start - base) for start in self._starts]
        noted = [
            Noted(hit.start + base, hit.end + base, *hit[2:]) for hit in panel.search(self._text, starts, last=last)
        ]
        end = base + len(self._text)
        self._starts = [start + base for start in starts]
        settled = min((start for place, start in enumerate(self._starts) if place not in panel.wholes), default=end)
        self._keep(settled)
        if panel.wholes:
            if not last:
                return noted, 0
            text = "".join(self._whole)
            noted += [Noted(*hit, place) for place, one in panel.wholes.items() for hit in one.find(text)]
        return sorted(noted), settled

    def _keep(self, settled: int) -> None:
        keep = max(self._base, settled - AROUND)
        self._text = self._text[keep - self._base :]
        self._base = keep
