"""A plain account of what calls hold and use, kept beside a ledger: every amount that was ever granted, one by one.

It adds up anew each time that it is asked, by the rules of DESIGN.md and none of the ledger's own sums.
"""

from __future__ import annotations

import math
from collections import Counter as Bag
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.claims import Counter, Unit
from engine.windows import NEVER, Algorithm

LEASED, MINUTE, HOUR, DAY = 60, 60, 3_600, 86_400
ONE_PLACE = (Algorithm.CALENDAR, Algorithm.FIXED, Algorithm.TOTAL, Algorithm.LEASE)


class Label(NamedTuple):
    """What a counter is, whatever its limit and algorithm."""

    unit: str
    scope: str
    id: str
    detail: str
    kind: str


def label(counter: Counter) -> Label:
    return Label(str(counter.unit), str(counter.subject.scope), *counter.subject[1:], counter.window.kind)


class Entry:
    """One claim as it was granted: when, in which window (by its end), and what it comes to now."""

    def __init__(self, name: Label, held: int, at: float, epoch: int, until: float, algorithm: Algorithm) -> None:
        self.label, self.held, self.at, self.epoch, self.until, self.algorithm = name, held, at, epoch, until, algorithm
        self.used = 0
        self.open = True

    @property
    def counted(self) -> int:
        return self.held if self.open else self.used


class Hold:
    """What one attempt was granted."""

    def __init__(self, expires: float) -> None:
        self.entries: list[Entry] = []
        self.expires = expires
        self.state = "open"

    def close(self, amounts: Mapping[str, int] | None) -> None:
        """Count what was used by unit, of each counter the first claims first; all that was held without amounts."""
        names = [one.label for one in self.entries]
        rest = {name: (amounts or {}).get(name.unit, 0) for name in names}
        for at, entry in enumerate(self.entries):
            last = entry.label not in names[at + 1 :]
            used = rest[entry.label] if last else min(rest[entry.label], entry.held)
            rest[entry.label] -= used
            entry.used = 0 if entry.label.unit == Unit.PARALLEL else entry.held if amounts is None else used
            entry.open = False


class Accounts:
    """Every claim that was ever granted, and what the rows of calls should say."""

    def __init__(self) -> None:
        self.entries: dict[Label, list[Entry]] = {}
        self.epochs: Bag[Label] = Bag()
        self.algorithms: dict[Label, Algorithm] = {}
        self.loose: set[Label] = set()
        """Counters whose algorithm has changed: where their windows end is the ledger's affair."""
        self.ends: dict[Label, float] = {}
        self.highest: dict[Label, int] = {}
        self.rows: list[tuple[str, int, int, int]] = []
        self.spent: Bag[str] = Bag()

    def looked_at(self, counter: Counter) -> Label:
        """Note by which algorithm a counter counts from now on."""
        name = label(counter)
        if self.algorithms.setdefault(name, counter.algorithm) is not counter.algorithm:
            self.algorithms[name] = counter.algorithm
            self.epochs[name] += 1
            self.loose.add(name)
        return name

    def begin_anew(self, name: Label) -> None:
        if name.unit != Unit.PARALLEL:
            self.epochs[name] += 1
            self.loose.discard(name)
            self.ends.pop(name, None)

    def take(self, hold: Hold, counter: Counter, amount: int, limit: int, now: float) -> None:
        """Write down a claim that was granted, and see that it fits."""
        name = self.looked_at(counter)
        self.highest[name] = max(limit, self.highest.get(name, 0))
        if counter.algorithm is Algorithm.FIXED and not self.sum(name, now):
            self.ends[name] = now + MINUTE
        entry = Entry(name, amount, now, self.epochs[name], self.until(name, now), counter.algorithm)
        self.entries.setdefault(name, []).append(entry)
        hold.entries.append(entry)
        self.fits(name, limit, now)

    def until(self, name: Label, now: float) -> float:
        """Return from when on what is taken now counts no more, in Unix seconds."""
        algorithm = self.algorithms[name]
        if algorithm is Algorithm.CALENDAR:
            length = DAY if ":days:" in name.kind else HOUR
            return now // length * length + length
        if algorithm is Algorithm.FIXED:
            return self.ends[name]
        if algorithm is Algorithm.SLIDING:
            return math.floor(now) + 1 + MINUTE
        return math.ceil(now) + MINUTE if algorithm is Algorithm.TOKEN_BUCKET else math.inf

    def of(self, name: Label) -> Iterable[Entry]:
        return (one for one in self.entries.get(name, ()) if one.epoch == self.epochs[name])

    def sum(self, name: Label, now: float) -> int:
        """Return what counts now of a counter that counts in one place, or at least counts of another one."""
        if self.algorithms.get(name, Algorithm.TOTAL) in ONE_PLACE:
            return sum(one.counted for one in self.of(name) if one.until > now)
        return sum(one.counted for one in self.of(name) if one.at > now - MINUTE)

    def fits(self, name: Label, limit: int, now: float) -> None:
        algorithm = self.algorithms[name]
        if algorithm is Algorithm.TOKEN_BUCKET:
            mine = [*self.of(name)]
            for first in mine:
                since = [one for one in mine if one.at >= first.at]
                over = sum(max(0, one.used - one.held) for one in since)
                most = self.highest[name] * (MINUTE + now - first.at) / MINUTE
                assert sum(one.counted for one in since) <= most + over, name
        elif algorithm is not Algorithm.FIXED or name not in self.loose:
            assert self.sum(name, now) <= limit, name

    def amounts(self, now: float) -> dict[tuple[Label, int], int]:
        """Return what the store should have of counters that still count, by label and Unix nanoseconds."""
        found: Bag[tuple[Label, int]] = Bag()
        for name in self.entries.keys() - self.loose:
            for one in self.of(name):
                if one.until > now and one.algorithm is not Algorithm.LEASE:
                    found[name, NEVER if one.until == math.inf else int(one.until * 2) * 500_000_000] += one.used
        return {key: used for key, used in found.items() if used}

    def row(self, key: str, call: str, spend: int, asked: int, answered: int) -> None:
        self.rows.append((call, spend, asked, answered))
        self.spent[key] += spend
