"""What tests of counters share: a clock that they turn, and reserving that is expected to be granted or refused."""

from __future__ import annotations

from engine.contracts import Counter, Hold, HoldId, Refused, Unit
from engine.windows import TOTAL

NOON = 1_778_068_800  # 2026-05-06T12:00:00Z, a Wednesday


class Turned:
    """A clock that tests turn; its two hands may go apart."""

    def __init__(self) -> None:
        self.wall: float = NOON
        self.steady: float = 5_000

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def turn(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def usd(limit, name="money", window=TOTAL):
    return Counter(name, Unit.USD, window, limit, ("key-1",))


async def granted(counters, number, *claims, candidates=()):
    hold = await counters.reserve(HoldId(f"call-{number}", 0), claims, candidates)
    assert isinstance(hold, Hold), hold
    return hold


async def refused(counters, number, *claims, candidates=()):
    answer = await counters.reserve(HoldId(f"call-{number}", 0), claims, candidates)
    assert isinstance(answer, Refused)
    return answer
