"""What tests run as processes that share a database: `python -m tests.adapters.stores.sharing TASK URL ...`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from adapters.stores.postgres import Postgres
from engine.storing import Amount, Batch, Entity, Kind, SpendRow, StoreError
from tests.adapters.stores.folding import START, rows_of

COUNTERS = [number.to_bytes(16, "big") for number in range(40)]


def batch_of(number: int, offset: int) -> Batch:
    """Make a batch of a process whose rows, counters and entities are the others' too, each in an order of its own."""
    counts = [Amount(counter, until, number + 1) for counter in COUNTERS for until in (50, 90)]
    turned = counts[offset:] + counts[:offset]
    rows = [row._replace(request_id=f"{offset}-{row.request_id}") for row in rows_of(number, 60)]
    rows += [SpendRow(f"{offset}-{number}", START, team_id=f"t{(one + offset) % 7}", spend=1) for one in range(7)]
    return Batch((0, number + 1), rows, counts=turned if offset % 2 else turned[::-1])


def open_together(url: str, go: str) -> None:
    """Open a store at the moment that a file appears."""
    print("ready", flush=True)
    while not Path(go).exists():
        time.sleep(0.0005)
    Postgres({"url": url}).close()


def fold_many(url: str, journal: str, offset: str, last: str, seconds: str = "2") -> None:
    """Fold batches into a journal of its own, as its `Folder` would: what fails is tried again from where the store is."""
    store = Postgres({"url": url, "connect_timeout": 1, "timeout": float(seconds)})
    print("ready", flush=True)
    number = 0
    while number < int(last):
        try:
            if not store.fold(batch_of(number, int(offset)), journal):
                print("folded already", flush=True)
            number += 1
        except StoreError:
            print("failed", flush=True)
            number = again(store, journal)
    store.close()


def again(store: Postgres, journal: str) -> int:
    """Ask, until there is an answer, how far a journal is folded."""
    while True:
        try:
            return store.position(journal)[1]
        except StoreError:
            time.sleep(0.02)


def change(url: str) -> None:
    """Change entities in every way there is, one a line of input."""
    store = Postgres({"url": url})
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin):
        what, name = line.split()
        team = Entity(Kind.TEAM, name)
        {
            "put": lambda team=team: store.put(team),
            "block": lambda name=name: store.block(Kind.TEAM, name, 1.0),
            "set_spend": lambda name=name: store.set_spend(Kind.TEAM, name, 5),
            "delete": lambda name=name: store.delete(Kind.TEAM, [name]),
            "fold": lambda team=team, number=number: store.fold(Batch((1, number + 1), changes=[team])),
        }[what]()
        print("done", flush=True)
    store.close()


if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    {one.__name__: one for one in (open_together, fold_many, change)}[task](*arguments)
