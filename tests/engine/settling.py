"""Calls of a ledger as its journal has them; and a process that journals and folds them until it is killed.

`python -m tests.engine.settling DIRECTORY` goes on where the last one ended, and prints the number of each call whose
settlement is written.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from adapters.stores.sqlite import Sqlite
from engine import folding
from engine.folding import Folder
from engine.journal import Journal, Position
from engine.outside import SystemClock
from engine.posting import Held, Row, Settled, Who, encode, packed
from engine.windows import NEVER

NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""
COUNTER = b"all that was spent"
WHO = packed(Who("a" * 64, "user-1", "team-1", model="echo", custom_llm_provider="echo"))


def row(request_id: str, spend: int = 0) -> Row:
    return Row(WHO, request_id, NOON, NOON + 1, NOON, "success", spend, 3, 2)


def held(call: str, amount: int, attempt: int = 1) -> bytes:
    return encode(Held(call, attempt, [(COUNTER, NEVER, amount)], row(call, amount)))


def settled(call: str, amount: int, attempt: int = 1) -> bytes:
    return encode(Settled(call, attempt, [(COUNTER, NEVER, amount)], row(call, amount)))


def opened(directory: Path, **options: int) -> tuple[Sqlite, Journal, Folder]:
    """Open the store and the journal of a directory, and what folds the one into the other."""
    store = Sqlite({"path": directory / "store.sqlite"})
    journal = Journal.open(directory / "journal", since=Position(*store.position()), **options)
    return store, journal, Folder(journal, store, SystemClock())


def spend_of(number: int) -> int:
    return number * 37 % 1000 + 1


async def go_on(directory: Path) -> None:
    """Settle call after call, of which each was held before, and many are open at a time."""
    folding.PAUSE = 0.01
    folding.TOGETHER = 64
    _, journal, folder = opened(directory, limit=256 * 1024)
    folder.catch_up()
    number = int(Path(directory, "next").read_text())
    running = asyncio.get_running_loop().create_task(folder.run())
    while not running.done():
        for each in range(number, number + 20):
            journal.append(held(f"call-{each}", spend_of(each)), kept=False)
        assert journal.write_now()
        for each in random.sample(range(number, number + 20), 15):
            journal.append(settled(f"call-{each}", spend_of(each)))
            assert journal.write_now()
            print(f"settled: {each}", flush=True)
        number += 20
        Path(directory, "next").write_text(str(number))
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(go_on(Path(sys.argv[1])))
