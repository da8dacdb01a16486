"""A process that journals and folds is killed: what it settled is in the store, once, and what it left open, too."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.storing import LogFilter, Scope
from tests.engine import settling
from tests.engine.settling import spend_of

ROOT = Path(__file__).resolve().parents[2]


def killed(directory: Path) -> list[int]:
    """Let a process settle for a while; return the numbers of the calls it settled."""
    command = [sys.executable, "-m", "tests.engine.settling", str(directory)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout))
    reader.start()
    while not lines and process.poll() is None:
        time.sleep(0.001)
    time.sleep(random.random() * 0.3)
    process.kill()
    assert process.wait(10) == -9
    reader.join(10)
    process.stdout.close()
    return [int(line.split()[1]) for line in lines if line.startswith("settled: ") and line.endswith("\n")]


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_what_a_killed_process_settled_is_in_the_store_once(tmp_path, rounds):
    answered: list[int] = []
    Path(tmp_path, "next").write_text("0")
    for _ in range(rounds):
        answered += killed(tmp_path)
        # As if the last twenty were never asked: a number names one call.
        path = Path(tmp_path, "next")
        path.write_text(str(max([int(path.read_text() or 0), *answered]) + 40))
    store, journal, folder = settling.opened(tmp_path)
    estimated = folder.catch_up()
    rows, after = [], None
    while True:
        page = store.logs(LogFilter(), 1000, after)
        rows += page.rows
        if page.next is None:
            break
        after = page.next
    names = [row.request_id for row in rows]
    assert len(names) == len(set(names))
    assert {f"call-{number}" for number in answered} <= set(names)
    assert all(row.spend == spend_of(int(row.request_id[5:])) for row in rows)
    open_ones = {row.request_id for row in rows if json.loads(row.metadata).get("estimated")}
    assert not open_ones & {f"call-{number}" for number in answered}
    total = sum(row.spend for row in rows)
    assert [used for _, _, used in store.counts(0)] == [total]
    assert store.totals(Scope.TEAM)["team-1"].spend == total
    print(f"{rounds} kills: {len(answered)} calls settled, {len(open_ones)} estimated, {estimated} of them at the end")
    assert (store.holds(), folder.catch_up()) == ([], 0)
    journal.close()
    store.close()
