"""What counters have to say of being away, for those that never are: they are in the process itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.contracts import Counter, HoldId


class Present:
    """The part of `Counters` that is about where they are."""

    @property
    def reason(self) -> str:
        """Nothing: memory is always there."""
        return ""

    def roomy(self, counters: Sequence[Counter], room: Sequence[int]) -> bool:
        """Tell nothing: `grant` does."""
        del counters, room
        return False

    async def replay(self, settled: Iterable[tuple[HoldId, Sequence[tuple[bytes, int]]]]) -> None:
        """Do nothing: what a process before this one held ended with it."""

    async def ping(self) -> str:
        """Say nothing: memory is always there."""
        return ""

    async def run(self) -> None:
        """Do nothing: memory is always there."""

    async def close(self) -> None:
        """Do nothing: memory goes with the process."""
