"""Holds as this process knows them: what Redis said when it granted them, and which shares stand in for it while it is away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.counters.redis.reckoning import nanos
from engine.contracts import Claim, Hold, HoldId

if TYPE_CHECKING:
    from adapters.counters.redis.shares import Share


class Granted(Hold):
    """A granted hold. `expires` is when its lease runs out, by the clock that never goes back.

    `away` is None for what Redis holds; else nobody holds it there, and each claim has its share, or none.
    """

    __slots__ = ("_left", "_until", "away", "expires")

    def __init__(self, hold_id: HoldId, claims: Sequence[Claim], candidate: int, expires: int) -> None:
        super().__init__(hold_id, claims, candidate)
        self.expires = expires
        self.away: list[Share | None] | None = None
        self._left: list[int] = []
        self._until: list[int] = []

    @property
    def name(self) -> bytes:
        """Return what Redis calls it."""
        return name_of(self.id)

    def learn(self, claims: Sequence[Claim], said: Sequence[int]) -> None:
        """Take up what Redis said of claims that were granted just now: used, held and until of each counter."""
        for (counter, _), used, held in zip(claims, said[::3], said[1::3], strict=True):
            self._left.append(counter.limit - used - held)
        self._until += [nanos(until) for until in said[2::3]]

    def assume(self, left: Sequence[int], until: Sequence[int]) -> None:
        """Take up what nobody could be asked for."""
        self._left += left
        self._until += until

    def used(self, actuals: Sequence[int]) -> None:
        """Correct what is left by what was used."""
        for place, (_, amount) in enumerate(self.claims):
            self._left[place] += amount - actuals[place]

    def void(self) -> None:
        """Count on this no longer: its lease has run out."""
        self._until = [0] * len(self._until)

    def left(self) -> Sequence[int]:
        """Return what was left when Redis was last asked."""
        return self._left

    def until(self) -> Sequence[int]:
        """Return the Unix nanoseconds from which on each claim no longer counts."""
        return self._until


def name_of(hold: HoldId, mark: str = "") -> bytes:
    """Return what Redis calls a hold."""
    return f"{hold.call}/{hold.attempt}{mark}".encode()
