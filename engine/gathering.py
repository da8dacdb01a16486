"""What records of the ledger come to for the store: a batch of them, and the holds that are open behind it."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from engine.posting import Held, Opened, Part, Released, Settled, decode, decode_named, encode
from engine.storing import Amount, Batch, OpenHold, SpendRow

Pair = tuple[str, int]
"""A call and its attempt: what names a hold."""
_amounts = functools.partial(defaultdict[int, int], int)


class Gathering:
    """Records gathered in the order of the journal.

    `known` are the records of holds open before, `settled` what was settled lately: a repeat of these is ignored.
    """

    def __init__(self, known: Mapping[Pair, bytes], settled: Collection[Pair] = ()) -> None:
        self.opened: dict[Pair, bytes] = {}
        """Records of the holds that opened or grew, and are open."""
        self.closed: dict[Pair, None] = {}
        """Holds that were known, and have ended."""
        self.settled: set[Pair] = set()
        self._known, self._before = known, settled
        self._rows: list[SpendRow] = []
        self._counts: defaultdict[bytes, defaultdict[int, int]] = defaultdict(_amounts)
        self._resets: dict[bytes, None] = {}

    def add(self, payload: bytes) -> None:
        """Add a record; raises msgspec.DecodeError when it is none."""
        record = decode_named(payload)
        if isinstance(record, Settled):
            self._settle(record)
        elif isinstance(record, Opened):
            self._open((record.call, record.attempt), payload)
        elif isinstance(record, Released):
            self._close((record.call, record.attempt))
        else:
            self._counts.pop(record.counter, None)
            self._resets[record.counter] = None
            self._forget(record.counter)

    def estimate(self, payload: bytes) -> None:
        """End a hold of which nothing more will be heard: what it held counts as used, and its row says so."""
        held = decode(payload)
        assert isinstance(held, Held)  # noqa: S101 - the caller's promise
        self._close((held.call, held.attempt))
        self._count(held.parts)
        row = held.row.spend_row()
        metadata = json.dumps({**json.loads(row.metadata), "estimated": True})
        self._rows.append(row._replace(status="success", metadata=metadata))

    def batch(self, position: tuple[int, int], expired: int = 0) -> Batch:
        """Return what the store is to fold, all of it up to a position."""
        counts = [
            Amount(counter, until, used) for counter, amounts in self._counts.items() for until, used in amounts.items()
        ]
        holds = [OpenHold(*pair, record) for pair, record in self.opened.items()]
        return Batch(
            position, self._rows, counts=counts, resets=list(self._resets), holds=holds, closed=list(self.closed),
            expired=expired,
        )  # fmt: skip

    def _settle(self, record: Settled) -> None:
        pair = record.call, record.attempt
        if pair in self.settled or pair in self._before:
            return
        self.settled.add(pair)
        self._close(pair)
        self._count(record.parts)
        if record.row is not None:
            self._rows.append(record.row.spend_row())

    def _open(self, pair: Pair, payload: bytes) -> None:
        before = self.opened.get(pair)
        if before is None and pair not in self.closed:
            before = self._known.get(pair)
        self.opened[pair] = payload if before is None else grown(before, payload)

    def _forget(self, counter: bytes) -> None:
        """Take a counter that began anew out of the holds that are open: they are part of what it was before."""
        known = {pair: record for pair, record in self._known.items() if pair not in self.closed}
        for pair, record in {**known, **self.opened}.items():
            if counter not in record:
                continue
            held = decode(record)
            assert isinstance(held, Held)  # noqa: S101 - no other is open
            held.parts = [part for part in held.parts if part[0] != counter]
            self.opened[pair] = encode(held)

    def _close(self, pair: Pair) -> None:
        self.opened.pop(pair, None)
        if pair in self._known:
            self.closed[pair] = None

    def _count(self, parts: Iterable[Part]) -> None:
        counts = self._counts
        for counter, until, amount in parts:
            counts[counter][until] += amount


def grown(before: bytes, after: bytes) -> bytes:
    """Make one record of a hold's and of what it grew by."""
    first, second = decode(before), decode(after)
    assert isinstance(first, Held)  # noqa: S101 - the caller's promise
    assert isinstance(second, Held)  # noqa: S101 - the caller's promise
    sums: dict[tuple[bytes, int], int] = {}
    for counter, until, amount in (*first.parts, *second.parts):
        sums[counter, until] = sums.get((counter, until), 0) + amount
    parts = [(counter, until, amount) for (counter, until), amount in sums.items()]
    return encode(Held(second.call, second.attempt, parts, second.row))
