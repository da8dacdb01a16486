"""What store and journal have counted, for shared counters whose server forgot, or did not hear it.

The store knows what is folded, the journal what is not yet. What a process before this one left unfolded is read here
before it is folded: a server may not have heard of it either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.claims import HoldId
from engine.folding import Folder
from engine.gathering import Gathering, Pair, grown
from engine.journal import Journal, Position
from engine.posting import Held, Part, Released, Settled, decode
from engine.storing import Store

Told = tuple[bytes, int, int]
"""A counter, the instant from which on an amount no longer counts in it, and the amount."""


class Past:
    """The past of one process's counters: `store` names the store, `journal` the process, beyond its restarts."""

    def __init__(self, store: Store, journal: Journal, folder: Folder, name: str) -> None:
        self.store = store.identity()
        self.journal = f"{self.store}/{name}"
        self._store, self._journal, self._folder = store, journal, folder
        folded = Position(*store.position(name))
        self._left = left(journal.recovery, folded, store.holds(name))
        self._begin = Position(journal.position.segment, 0)
        """Where this process's own records begin, and what is left is folded to."""

    def pause(self) -> None:
        """Fold nothing more into the store until `resume`."""
        self._folder.paused = True

    def resume(self) -> None:
        """Fold again."""
        self._folder.paused = False

    def counted(self) -> tuple[Mapping[str, tuple[int, int]], list[Told]]:
        """Return how far each journal is folded and what the store has counted, as of one moment; for a thread."""
        folded, amounts = self._store.snapshot()
        return {f"{self.store}/{name}": position for name, position in folded.items()}, [
            (one.counter, one.until, one.used) for one in amounts
        ]

    def mark(self) -> tuple[int, int]:
        """Return a position that all that is settled so far is before."""
        self._journal.flush()
        return self._journal.position

    def since(self, begin: tuple[int, int], end: tuple[int, int]) -> list[Told]:
        """Return what was settled between two positions of this process's journal; for a thread."""
        first = Position(*begin)
        gathering = Gathering({})
        for _, payload in self._journal.written(max(first, self._begin), Position(*end)):
            gathering.add(payload)
        told = [(one.counter, one.until, one.used) for one in gathering.batch(end).counts]
        if first < self._begin:
            told += [part for parts in self._left.values() for part in parts]
        return told

    def unheard(self) -> Iterable[tuple[HoldId, Sequence[tuple[bytes, int]]]]:
        """Return what the process before had not folded at its end, settled or not: a server may not have heard of it."""
        for (call, attempt), parts in self._left.items():
            sums: dict[bytes, int] = {}
            for counter, _, amount in parts:
                sums[counter] = sums.get(counter, 0) + amount
            yield HoldId(call, attempt), list(sums.items())


def left(
    records: Iterable[tuple[Position, bytes]], folded: Position, held: Iterable[tuple[str, int, bytes]]
) -> dict[Pair, list[Part]]:
    """Return what holds came to whose end is not folded; an open one counts in full, as it will be folded."""
    open_holds: dict[Pair, bytes] = {(call, attempt): record for call, attempt, record in held}
    ended: dict[Pair, list[Part]] = {}
    for position, payload in records:
        if position <= folded:
            continue
        record = decode(payload)
        if isinstance(record, Held):
            pair = (record.call, record.attempt)
            before = open_holds.get(pair)
            open_holds[pair] = payload if before is None else grown(before, payload)
        elif isinstance(record, Settled):
            pair = (record.call, record.attempt)
            open_holds.pop(pair, None)
            ended.setdefault(pair, record.parts)
        elif isinstance(record, Released):
            open_holds.pop((record.call, record.attempt), None)
            ended.setdefault((record.call, record.attempt), [])
    for pair, payload in open_holds.items():
        held_record = decode(payload)
        assert isinstance(held_record, Held)  # noqa: S101 - no other is open
        ended.setdefault(pair, held_record.parts)
    return ended
