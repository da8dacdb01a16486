"""The laws of test_ledger_laws.py with counters in a real Valkey, which go on while a process crashes and begins anew."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import rule

from adapters.counters.redis import Redis
from engine.claims import Count, Counter, HoldId
from engine.windows import Algorithm
from tests.adapters.counters.remembering import Journal, Store
from tests.engine.building import REGISTRY
from tests.engine.keeping import Kept, Loop, Turned, done
from tests.engine.test_ledger_laws import SEED, Laws
from tests.valkey import Valkey, ready, until


class Sharing:
    """A registry whose counters are in a Valkey; each process has the same name."""

    def __init__(self, server: Valkey, clock: Turned) -> None:
        self.settings = server.settings(timeout=60, past=Journal(Store(), "process"))
        self.clock = clock
        self.counted: Redis | None = None
        self.task: asyncio.Task[None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(REGISTRY, name)

    def counters(self, name: str, clock: Any, settings: Any = None) -> Redis:
        del name, settings
        assert Loop.running is not None
        made = self.counted = Redis(clock, self.settings)
        made.asking.now = lambda: int(self.clock.wall * 1_000_000)
        self.task = Loop.running.create_task(made.run())
        done(ready(made))
        return made

    def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            done(wait(self.task))


async def wait(task: asyncio.Task[None]) -> None:
    await task


class SharedKept(Kept):
    """A process whose counters outlive it."""

    registry: Sharing

    def view(self, counter: Counter) -> Count:
        found: Count = done(self.ledger.counters.count(counter))
        return found

    def leased(self) -> set[str]:
        done(self.ledger.counters.sweep())
        return super().leased()

    def end(self) -> None:
        super().end()
        self.registry.stop()

    def restart(self) -> None:
        """Crash and begin anew: what was open is settled at what it held, as its journal is."""
        counters = self.registry.counted
        assert counters is not None
        held: list[tuple[HoldId, list[tuple[bytes, int]]]] = []
        for hold in [*counters._open.values(), *counters._estimated.values()]:
            sums: dict[bytes, int] = {}
            for counter, amount in hold.claims:
                if counter.algorithm is not Algorithm.LEASE:
                    sums[counter.id] = sums.get(counter.id, 0) + amount
            held.append((hold.id, [*sums.items()]))
        super().restart()
        done(self.ledger.counters.replay(held))


class SharedLaws(Laws):
    """As `Laws`, with counters that processes share."""

    server: Valkey

    def keep(self) -> Kept:
        Loop.running = asyncio.new_event_loop()
        return SharedKept(Path(self.directory), self.clock, Sharing(self.server, self.clock))

    @rule(how=st.sampled_from(["at once", "folded", "folded, and the journal not told"]))
    def crash(self, how):
        """Crash once what was given back is written, and has arrived: journal and counters may differ by that, and no more."""
        counters: Any = self.kept.ledger.counters
        done(until(lambda: counters._endings.done))
        assert self.kept.durable.journal.write_now()
        self.unwritten.clear()
        super().crash(how)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            assert Loop.running is not None
            Loop.running.close()
            Loop.running = None


@pytest.fixture
def laws(valkey: Valkey) -> type[SharedLaws]:
    SharedLaws.server = valkey
    return SharedLaws


def test_the_laws_hold_where_processes_share_counters(laws):
    stateful.run_state_machine_as_test(laws, settings=settings(SEED, max_examples=12, stateful_step_count=30))


@pytest.mark.soak
def test_the_laws_hold_there_in_hundreds_of_runs(laws):
    stateful.run_state_machine_as_test(laws, settings=settings(SEED, max_examples=500, stateful_step_count=60))
