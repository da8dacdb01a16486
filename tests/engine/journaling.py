"""A process that journals numbered records as fast as it can, to be killed; and what those records look like.

`python -m tests.engine.journaling DIRECTORY LIMIT` goes on after the last number found and prints each number that is
written, `python -m tests.engine.journaling DIRECTORY full` fills a disk of 64 KiB and says how it went.
"""

from __future__ import annotations

import random
import resource
import sys
import threading
from pathlib import Path

from engine.journal import Journal

LARGE = 128 * 1024


def payload_of(number: int) -> bytes:
    """Make the record of a number; some are large, for a kill to come in the middle of their write."""
    length = LARGE if number % 16 == 15 else number * 37 % 600
    return number.to_bytes(8, "little") + bytes([number % 251]) * length


def number_of(payload: bytes) -> int:
    number = int.from_bytes(payload[:8], "little")
    assert payload == payload_of(number)
    return number


def go_on(directory: Path, limit: int) -> None:
    journal = Journal.open(directory, limit=limit)
    number = max((number_of(payload) for _, payload in journal.recovery), default=-1)
    print(f"cut: {journal.recovery.cut}", flush=True)
    ticks = 0
    while True:
        for _ in range(random.randint(1, 8)):
            number += 1
            journal.append(payload_of(number))
        assert journal.write_now()
        print(f"written: {number}", flush=True)
        ticks += 1
        if ticks % 100 == 0:
            threading.Thread(target=journal.sync).start()


def fill(directory: Path) -> None:
    journal = Journal.open(directory)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
    number = 0
    while journal.append(payload_of(number)) and journal.write_now():
        number += 1
    assert not journal.healthy
    size = next(directory.glob("*.journal")).stat().st_size
    assert size == journal.position.offset <= 64 * 1024
    hold = journal.append(b"a hold", kept=False)
    assert not journal.write_now(hold)
    journal.append(payload_of(number + 1))
    assert not journal.write_now()
    assert not journal.revive()
    assert journal.waiting == 2
    assert next(directory.glob("*.journal")).stat().st_size == size
    print(f"full: {journal.reason}", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert journal.revive()
    assert (journal.waiting, hold.written, journal.lost) == (0, False, 0)
    journal.append(payload_of(number + 2))
    assert journal.write_now()
    print(f"healed: {number + 2}", flush=True)
    journal.close()


if __name__ == "__main__":
    if sys.argv[2] == "full":
        fill(Path(sys.argv[1]))
    else:
        go_on(Path(sys.argv[1]), int(sys.argv[2]))
