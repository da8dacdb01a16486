"""A store and journals in memory, as counters in Redis see them: what processes settled, and how far it is folded."""

from __future__ import annotations

from engine.contracts import Hold
from engine.windows import Algorithm


class Store:
    """What several journals have been folded into."""

    def __init__(self, name: str = "store") -> None:
        self.name = name
        self.positions: dict[str, tuple[int, int]] = {}
        self.amounts: list[tuple[bytes, int, int]] = []


class Journal:
    """What one process settled; the `Past` of its counters."""

    def __init__(self, store: Store, name: str) -> None:
        self.shared, self.store, self.journal = store, store.name, name
        self.records: list[tuple[bytes, int, int]] = []
        self.paused = 0
        self.read = 0

    def settled(self, hold: Hold, amounts: dict[bytes, int]) -> None:
        """Write how a hold of one claim a counter was settled, as a ledger does."""
        for (counter, amount), until in zip(hold.claims, hold.until(), strict=True):
            if counter.algorithm is not Algorithm.LEASE:
                self.records.append((counter.id, until, amounts.get(counter.id, amount)))

    def fold(self) -> None:
        if self.paused:
            return
        _, at = self.shared.positions.get(self.journal, (0, 0))
        self.shared.amounts += self.records[at:]
        self.shared.positions[self.journal] = self.mark()

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.paused -= 1

    def counted(self) -> tuple[dict[str, tuple[int, int]], list[tuple[bytes, int, int]]]:
        self.read += 1
        return dict(self.shared.positions), [*self.shared.amounts]

    def mark(self) -> tuple[int, int]:
        return (1, len(self.records))

    def since(self, begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[bytes, int, int]]:
        return self.records[begin[1] : end[1]]
