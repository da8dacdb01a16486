"""A journal whose writer is killed, or whose disk is full: what was acknowledged is there, once, in order."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.journal import START, Journal, Position, recover
from tests.engine.journaling import number_of

ROOT = Path(__file__).resolve().parents[2]


def writer(directory: Path, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.engine.journaling", str(directory), what]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def killed(directory: Path) -> tuple[int, int]:
    """Let a writer write for a while; return the last number it acknowledged and the bytes it had cut off."""
    process = writer(directory, str(1024 * 1024))
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout))
    reader.start()
    while not said(lines[-1:], "written") and process.poll() is None:
        time.sleep(0.001)
    time.sleep(random.random() * 0.1)
    process.kill()
    assert process.wait(10) == -9
    reader.join(10)
    process.stdout.close()
    return said(lines, "written")[-1], said(lines, "cut")[0]


def said(lines: list[str], what: str) -> list[int]:
    """Return the numbers of the whole lines about something; the log is among them."""
    return [int(line.split()[1]) for line in lines if line.startswith(f"{what}: ") and line.endswith("\n")]


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_what_a_killed_writer_acknowledged_is_there_once_and_in_order(tmp_path, rounds):
    since, first, cuts = START, 0, 0
    for _ in range(rounds):
        acknowledged, cut = killed(tmp_path)
        recovery = recover(tmp_path, since)
        found = list(recovery)
        assert [number_of(payload) for _, payload in found] == list(range(first, first + len(found)))
        assert first + len(found) > acknowledged
        assert [position for position, _ in found] == sorted({position for position, _ in found})
        assert (recovery.records, recovery.end) == (len(found), found[-1][0])
        cuts += bool(cut or recovery.cut)
        # Half of it is folded and goes before the next writer comes.
        middle = len(found) // 2
        since, first = found[middle][0], first + middle + 1
        journal = Journal.open(tmp_path, since=since)
        journal.drop_through(since)
        assert list(journal.recovery) == found[middle + 1 :]
        journal.close()
    print(f"{rounds} kills: {first} records in {since.segment} segments, {cuts} interrupted writes")


def test_a_full_disk_leaves_nothing_half_written_and_heals(tmp_path):
    process = writer(tmp_path, "full")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    lines = output.splitlines(keepends=True)
    assert any(line.startswith(("full: File too large", "full: wrote ")) for line in lines)
    (last,) = said(lines, "healed")
    recovery = recover(tmp_path)
    assert [number_of(payload) for _, payload in recovery] == list(range(last + 1))
    assert (recovery.cut, recovery.end.segment) == (0, 1)
    assert recovery.end > Position(1, 0)
