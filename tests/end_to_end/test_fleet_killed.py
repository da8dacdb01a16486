"""Kill -9 of a worker, the master, Redis and PostgreSQL among many calls: what was answered is charged once, limits hold on.

After every death the books are gone through, once the gateway has come to rest: each answered call has one row with the
cost that its client was told, rows, sums by day and shared counters agree.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.digest import digest
from tests.end_to_end.audit import Ledger, agreed
from tests.end_to_end.books import day_sums, metric, nano
from tests.end_to_end.spending import BUDGET, MADE, POOR, RATED, config, house, lab, spend_while
from tests.end_to_end.test_workers import pids
from tests.end_to_end.wires import threaded
from tests.running import Gateway

LIMIT, CALLS, WORKERS = 12.0, 120, 3
BEFORE, AFTER = 0.6, 1.2
"""Seconds of calls before a death and after it."""
RESTING = 40.0
"""Seconds that what is left of calls may take to be settled."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    with threaded() as server:
        server.handler = lab
        yield server


class Fleet:
    """A gateway of several workers and its servers."""

    def __init__(self, folder: Path, settings: Any, valkey: Any, postgres: Any) -> None:
        self.folder, self.settings, self.valkey, self.postgres = folder, settings, valkey, postgres
        self.database = postgres.database()
        self.runs: list[Gateway] = []

    @property
    def running(self) -> Gateway:
        return self.runs[-1]

    async def start(self) -> None:
        environ = {"REDIS_URL": self.valkey.url, "DATABASE_URL": self.database}
        name, workers = f"run{len(self.runs)}", f"--workers={WORKERS}"
        run = await asyncio.to_thread(house, self.folder, name, self.settings, workers, environ=environ)
        self.runs.append(run)
        assert run.process is not None
        assert run.process.poll() is None, run.log

    async def killed(self, victim: str) -> None:
        """Let calls go on, kill one, bring it back where nobody else does, and let calls go on."""
        await asyncio.sleep(random.uniform(0.2, BEFORE))
        if victim == "worker":
            os.kill(random.choice(pids(self.running)), signal.SIGKILL)
        elif victim == "redis":
            self.valkey.kill()
            await asyncio.sleep(random.uniform(0, 0.5))
            self.valkey.start()
        elif victim == "postgres":
            self.postgres.kill()
            await asyncio.sleep(random.uniform(0, 0.5))
            await asyncio.to_thread(self.postgres.start)
        else:
            assert self.running.process is not None
            self.running.process.kill()
        await asyncio.sleep(AFTER)

    async def restarted(self) -> None:
        """Start again after the death of the master, once its workers are gone."""
        deadline = time.monotonic() + 40
        for pid in pids(self.running):
            while Path(f"/proc/{pid}").exists():
                assert time.monotonic() < deadline, "workers outlive their master"
                await asyncio.sleep(0.05)
        self.running.stop()
        await self.start()

    def close(self) -> None:
        for run in self.runs:
            run.stop()


@pytest.fixture
def fleet(tmp_path, upstream, own_valkey, postgres_alone) -> Iterator[Fleet]:
    made = Fleet(tmp_path, config(LIMIT, CALLS, upstream.port), own_valkey, postgres_alone)
    yield made
    made.close()


async def at_rest(check: Any, pause: float = 0.25) -> None:
    """Wait until the books agree; the last disagreement is the test's."""
    deadline = time.monotonic() + RESTING
    while True:
        try:
            return await asyncio.to_thread(check)
        except (AssertionError, OSError):
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(pause)


@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.soak)])
async def test_no_death_loses_or_doubles_what_was_answered(fleet, rounds):
    victims = ["redis", "worker", "postgres", "master"] * (rounds // 4)
    await fleet.start()
    assert fleet.running.post("/key/generate", {"key": MADE, "max_budget": BUDGET}).status == 200
    ledger = Ledger(fleet.database, nano(LIMIT), CALLS, cuts=True)
    statuses: Counter[tuple[str, int]] = Counter()
    for victim in victims:
        asked = await spend_while(fleet.running, fleet.killed(victim))
        statuses.update((victim, one.status) for one in asked)
        refused = Counter(one.key for one in asked if one.status in {400, 429})
        ledger.add(asked)
        if victim == "master":
            await fleet.restarted()
        await at_rest(ledger.check)
        assert metric(fleet.running, "interlock_open_holds") == 0
        await at_rest(lambda: agreed(fleet.running, ledger), 2.5)
    assert refused[POOR] > 0, "the budget was never reached"
    assert refused[RATED] > 0, "the rate limit was never reached"
    assert fleet.running.stop() == 0, fleet.running.log
    ledger.check()
    print(
        f"{rounds} deaths: {len(ledger.answered)} calls answered, 0 lost, 0 doubled; {len(ledger.unanswered)} not answered or left, "
        f"{ledger.estimated} rows estimated; {day_sums(ledger.data)[digest(RATED)][0]} of {CALLS} calls; {dict(statuses)}"
    )
