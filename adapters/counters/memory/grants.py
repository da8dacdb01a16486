"""Holds of one process's counters, and lots: counters that are claimed together over and over, found once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.contracts import Claim, Counter, Hold, HoldId, Overrun
from engine.tallies import Tally
from engine.windows import NEVER, Algorithm

CALENDAR, ONE_PLACE = Algorithm.CALENDAR, Algorithm.LEASE
FIXED = Algorithm.FIXED


class Lot:
    """Counters that each count in one place, with their tallies as long as none of these begins anew.

    `tallies` is None until they are found; the list is never changed, so that holds keep it. `ends` and `ends_wall` are the
    first instants, of either clock, at which one of them is over.
    """

    __slots__ = ("_fixed", "calendar", "counters", "ends", "ends_wall", "limits", "tallies", "until")

    def __init__(self, counters: Sequence[Counter]) -> None:
        self.counters = tuple(counters)
        self.limits = tuple(one.limit for one in counters)
        self.calendar = any(one.algorithm is CALENDAR for one in counters)
        self.tallies: list[Tally] | None = None
        self.ends = self.ends_wall = NEVER
        self.until: tuple[int, ...] = ()
        self._fixed: tuple[Tally, ...] = ()

    def __repr__(self) -> str:
        return f"<Lot of {len(self.counters)}>"

    def find(self, known: Mapping[bytes, Tally], now: int, wall: int, skew: int) -> bool:
        """Find all tallies; False where one is not there, or not of its counter's algorithm, or over."""
        found = []
        for counter in self.counters:
            tally = known.get(counter.id)
            if tally is None or tally.algorithm is not counter.algorithm:
                return False
            if tally.end <= (wall if counter.algorithm is CALENDAR else now):
                return False
            found.append(tally)
        self.tallies = found
        self._fixed = tuple(one for one in found if one.algorithm is FIXED)
        self.ends = min((one.end for one in self._fixed), default=NEVER)
        self.ends_wall = min((one.end for one in found if one.algorithm is CALENDAR), default=NEVER)
        self.until = tuple(one.end + skew if one.algorithm is FIXED else one.end for one in found)
        return True

    def begun(self) -> bool:
        """Tell whether every window has begun that begins with its first call."""
        return all(one.used or one.held for one in self._fixed)

    def overruns(self, held: Sequence[int], used: Sequence[int]) -> list[Overrun]:
        """Say by how much what was used exceeded what was held."""
        pairs = zip(self.counters, held, used, strict=True)
        return [
            Overrun(counter, actual - amount)
            for counter, amount, actual in pairs
            if actual > amount and counter.algorithm is not ONE_PLACE
        ]


class Grant(Hold):
    """A hold with the parts of tallies that its claims are in, and the instant its lease runs out.

    `taken` is when it was granted, `skew` how far Unix time was ahead of the clock that never goes back. That of a `lot` makes
    its claims of that and of `amounts` when they are asked for.
    """

    __slots__ = ("_until", "amounts", "expires", "lot", "parts", "skew", "taken")

    def __init__(
        self, hold_id: HoldId, claims: Sequence[Claim] | None, parts: list[Tally], expires: int,
        lot: Lot | None = None, amounts: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self.id = hold_id
        self._claims = None if claims is None else list(claims)
        self.candidate = 0
        self.estimated = False
        self.slices = 0
        self.parts = parts
        self.expires = expires
        self.skew = self.taken = 0
        self.lot = lot
        self.amounts = amounts
        self._until = lot.until if lot is not None else ()

    @property
    def claims(self) -> list[Claim]:
        """What is held, of which counters."""
        if self._claims is None:
            assert self.lot is not None  # noqa: S101 - without a lot there are claims
            self._claims = list(map(Claim, self.lot.counters, self.amounts))
        return self._claims

    @claims.setter
    def claims(self, claims: list[Claim]) -> None:
        self._claims = claims

    def left(self) -> Sequence[int]:
        """Return what is left under the limit of each claim's counter now."""
        if self.lot is not None and not self.slices:
            return [limit - one.used - one.held for limit, one in zip(self.lot.limits, self.parts, strict=True)]
        return [counter.limit - part.total() for (counter, _), part in zip(self.claims, self.parts, strict=True)]

    def until(self) -> Sequence[int]:
        """Return the Unix nanoseconds from which on each claim no longer counts."""
        if self._until and not self.slices:
            return self._until
        taken, skew = self.taken, self.skew
        return [
            part.end if part.algorithm <= ONE_PLACE and part.algorithm is not FIXED else part.until(taken) + skew
            for part in self.parts
        ]
