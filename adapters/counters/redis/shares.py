"""What a process may spend of a counter while Redis is away: a share of its limit, held ahead like any other hold.

All shares together are held under the limit, so that any number of processes never spend more than it. A share is good for
as long as what is used now counts no longer than what is held counts: for windows with one end until that end; of a
sliding window for a sixtieth; a token bucket drains what is held and has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from adapters.counters.redis.holds import Granted
from engine.contracts import Claim, Counter, CountersError, HoldId
from engine.windows import NEVER, Algorithm

PART = 20
"""A share is the limit divided by this: 5 %."""
MOST = 1_000
"""Counters of which shares are held."""
WANTED = 300.0
"""Seconds for which a share is held since a call last claimed its counter."""


class Share:
    """A hold of a part of a limit, and what of it is used and held meanwhile."""

    __slots__ = ("asked", "counter", "held", "hold", "spent", "total")

    def __init__(self, counter: Counter, asked: float) -> None:
        self.counter = counter
        self.asked = asked
        self.hold: Granted | None = None
        self.total = self.spent = self.held = 0

    def __repr__(self) -> str:
        return f"<Share of {self.counter.name}: {self.spent} spent and {self.held} held of {self.total}>"

    def good(self, now: int) -> bool:
        """Tell whether what is used at an instant, in Unix nanoseconds, counts no longer than the share."""
        if self.hold is None:
            return False
        until = self.hold.until()[0]
        return until > now + (self.counter.window.length if self.counter.algorithm is Algorithm.SLIDING else 0)

    def settle(self, amount: int, actual: int) -> None:
        """Turn what is held into what was used."""
        self.held -= amount
        if self.counter.algorithm is not Algorithm.LEASE:
            self.spent += actual


class Shares:
    """The shares of one process; `now` is seconds of a clock that never goes back."""

    def __init__(self, member: str, now: Callable[[], float]) -> None:
        self._member = member
        self._now = now
        self._shares: dict[bytes, Share] = {}
        self._number = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Shares of {len(self._shares)}>"

    def want(self, counter: Counter) -> None:
        """Hold a share of a counter from now on, for as long as it is claimed now and then."""
        share = self._shares.get(counter.id)
        if share is not None:
            share.asked, share.counter = self._now(), counter
        elif len(self._shares) < MOST and counter.algorithm is not Algorithm.TOKEN_BUCKET and counter.limit >= PART:
            self._shares[counter.id] = Share(counter, self._now())

    def take(self, claims: Sequence[Claim], now: int) -> list[Share]:
        """Hold claims in shares, all or none; raises CountersError where one does not fit. `now` is Unix nanoseconds."""
        found = []
        for counter, amount in claims:
            share = self._shares.get(counter.id)
            if share is None or not share.good(now) or share.spent + share.held + amount > share.total:
                raise CountersError(
                    f"the share of `{counter.name}` that this process may spend without them is used up"
                )
            found.append(share)
        for share, (_, amount) in zip(found, claims, strict=True):
            share.held += amount
        return found

    def counted(self) -> None:
        """Take note that everything settled so far is counted elsewhere: shares hold the rest."""
        for share in self._shares.values():
            if share.hold is not None and share.spent:
                share.total -= min(share.spent, share.total)
                share.spent = 0
                share.hold.claims = [Claim(share.counter, share.total)]

    def over(self, now: int) -> Iterable[tuple[Granted, int]]:
        """Return shares that are to be given back, with what was spent of them: used, out of date, or wanted no more."""
        found = []
        since = self._now() - WANTED
        for key, share in [*self._shares.items()]:
            wanted = share.asked > since
            if share.hold is not None and not share.held and (share.spent or not wanted or not share.good(now)):
                found.append((share.hold, share.spent))
                share.hold, share.spent, share.total = None, 0, 0
            if not wanted and share.hold is None:
                del self._shares[key]
        return found

    def close(self) -> Iterable[tuple[Granted, int]]:
        """Return what is to be given back at the end; nothing is held any more."""
        self._closed = True
        return self.over(NEVER)

    def due(self) -> Iterable[tuple[Share, HoldId, Claim]]:
        """Return the shares that are to be held anew, by which name, and how much."""
        for share in [*self._shares.values()]:
            if share.hold is None and not self._closed:
                self._number += 1
                hold = HoldId(f"share/{self._member}", self._number)
                yield share, hold, Claim(share.counter, share.counter.limit // PART)

    def holds(self) -> list[Granted]:
        """Return what is held for shares."""
        return [share.hold for share in self._shares.values() if share.hold is not None]
