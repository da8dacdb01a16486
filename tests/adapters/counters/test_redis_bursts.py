"""Three real processes want one counter at once: together they get exactly what it has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.counters.burst import LIMIT, WINDOWS, wanted
from tests.valkey import counting

ROOT = Path(__file__).resolve().parents[3]


def said(process, word):
    """Return what a process says behind a word, past what it logs."""
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise AssertionError(f"it ended without {word}")


@pytest.mark.parametrize("unit", WINDOWS)
async def test_three_processes_get_exactly_the_limit(valkey, unit):
    settings = valkey.settings()
    command = [sys.executable, "-m", "tests.adapters.counters.burst", str(valkey.port), settings["namespace"]]
    every = [
        subprocess.Popen(
            [*command, f"process-{one}", unit], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for one in range(3)
    ]
    try:
        for one in every:
            said(one, "ready")
        for one in every:
            one.stdin.write("go\n")
            one.stdin.flush()
        granted = [int(said(one, "granted")) for one in every]
        assert sum(granted) == LIMIT, granted
        for one in every:
            one.communicate(timeout=60)
            assert one.returncode == 0
    finally:
        for one in every:
            one.kill()
            one.communicate()
    async with counting(settings) as counters:
        count = await counters.count(wanted(unit))
        assert count.used + count.held == LIMIT
