"""What the tests of stores run as processes of their own: `python -m tests.adapters.stores.folding TASK PATH ...`."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from adapters.stores.sqlite import Sqlite
from engine.storing import Batch, SpendRow, StoreError

START = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""
ROWS = 400
TOO_LARGE = "too large|out of int64 range"
"""What stores say of a number that they cannot hold."""


def rows_of(batch: int, count: int = ROWS) -> list[SpendRow]:
    """Make the same rows for the same batch, always."""
    chance = random.Random(batch)
    return [
        SpendRow(
            request_id=f"call-{batch}-{number}",
            start_time=START + chance.randrange(30 * 86400),
            status=chance.choice(["success", "success", "failure"]),
            api_key=f"{chance.randrange(1000):064x}",
            user=f"user-{chance.randrange(200)}",
            team_id=f"team-{chance.randrange(50)}",
            organization_id=f"org-{chance.randrange(5)}",
            end_user=f"customer-{chance.randrange(10_000)}",
            model=f"model-{chance.randrange(40)}",
            custom_llm_provider=f"provider-{chance.randrange(8)}",
            spend=chance.randrange(10**8),
            prompt_tokens=chance.randrange(4000),
            completion_tokens=chance.randrange(1000),
            request_tags=(f"tag-{chance.randrange(20)}",),
        )
        for number in range(count)
    ]


def position_of(batch: int) -> tuple[int, int]:
    """Say where the journal has reached behind a batch; a segment holds three."""
    return 1 + batch // 3, 100 * (batch % 3 + 1)


def fold_until_killed(path: str, statement: str, times: str, last: str) -> None:
    """Fold all batches from the first on; end by SIGKILL before the n-th statement that begins so, or behind a fold."""
    store = Sqlite({"path": path})
    left = int(times)

    def seen(text: str) -> None:
        nonlocal left
        if text.startswith(statement):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    store._writer.set_trace_callback(seen)
    print("ready", flush=True)
    for batch in range(int(last)):
        if store.fold(Batch(position_of(batch), rows_of(batch))):
            seen("behind a fold")


def open_together(path: str, go: str) -> None:
    """Open a store at the moment that a file appears."""
    print("ready", flush=True)
    while not Path(go).exists():
        time.sleep(0.0005)
    Sqlite({"path": path}).close()


def fill_the_disk(path: str) -> None:
    """Fold while files cannot grow, then with room again; print what happened."""
    store = Sqlite({"path": path})
    assert store.fold(Batch(position_of(0), rows_of(0)))
    size = Path(f"{path}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, resource.RLIM_INFINITY))
    try:
        store.fold(Batch(position_of(1), rows_of(1)))
    except StoreError as error:
        print(error)
    assert store.position() == position_of(0)
    assert len(store.log("call-0-0")) == 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert store.fold(Batch(position_of(1), rows_of(1)))
    store.close()


def write_where_nobody_may(path: str) -> None:
    """Open a store as a user whose directory is read-only; print what happened."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        Sqlite({"path": path})
    except StoreError as error:
        print(error)


if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    {one.__name__: one for one in (fold_until_killed, open_together, fill_the_disk, write_where_nobody_may)}[task](
        *arguments
    )
