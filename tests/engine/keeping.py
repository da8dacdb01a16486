"""Ledgers over real files, counters and journals, under a clock that tests turn, and the houses that they keep account of."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from engine.allowances import Allowance, Terms, allowance
from engine.call import Call, Usage
from engine.check import check
from engine.claims import Count, Counter, Refused, Scope, Subject
from engine.contracts import Registry
from engine.data_dir import DataDir
from engine.durable import Durable
from engine.keeping import alone
from engine.ledger import Ledger
from engine.snapshot import Deployment
from engine.storing import LogFilter, SpendRow
from tests.engine.building import REGISTRY
from tests.engine.deciding import NOW

KEY = "c0ffee" + 58 * "0"
"""The hash of a key, as the store wants it."""
IN, OUT = 3, 5
"""Nano-dollars of a token asked and of one answered, where a deployment of ours is priced."""
PRICE = {"input_cost_per_token": IN / 1e9, "output_cost_per_token": OUT / 1e9}


class Loop:
    """The loop that what waits runs in; None where nothing may wait."""

    running: asyncio.AbstractEventLoop | None = None


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what never waits, or what waits for counters elsewhere."""
    if Loop.running is not None:
        return Loop.running.run_until_complete(coroutine)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class Turned:
    """A clock that tests turn; its two hands may go apart."""

    def __init__(self, wall: float = NOW) -> None:
        self.wall, self.steady = wall, 5_000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def turn(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class Kept:
    """What outlives a process in a directory, and the process: its ledger, which may crash at any time."""

    def __init__(self, directory: Path, clock: Turned, registry: Registry = REGISTRY) -> None:
        self.directory, self.clock, self.registry = directory, clock, registry
        self.start()

    def start(self) -> None:
        """Begin a process: what the one before left is taken up."""
        self._data = DataDir.open(self.directory)
        self.durable = Durable(self.registry, self._data, self.clock, alone(self.directory))

    @property
    def ledger(self) -> Ledger:
        return self.durable.ledger

    def fold(self) -> None:
        """Fold all that is written, as the folder does every second."""
        journal = self.durable.journal
        assert journal.write_now()
        assert self.durable.folder._fold_through(journal.position), self.durable.folder.reason

    def crash(self) -> None:
        """End the process as kill -9 does: what it knew and had not written is gone."""
        self.durable.journal._tick.clear()
        self.end()

    def end(self) -> None:
        """Let go of the files."""
        self.durable.journal.close()
        self.durable.store.close()
        self._data.close()

    def restart(self) -> None:
        """Crash and begin anew; the new process has a steady clock of its own."""
        self.crash()
        self.clock.steady = 100 + self.clock.wall % 1
        self.start()

    def rows(self) -> list[SpendRow]:
        """Return all that was folded, the oldest first."""
        self.fold()
        return self.durable.store.logs(LogFilter(), 1_000).rows[::-1]

    def amounts(self) -> dict[tuple[bytes, int], int]:
        """Return what counts, as the store has it."""
        self.fold()
        return {
            (counter, until): used for counter, until, used in self.durable.store.counts(int(self.clock.wall * 1e9))
        }

    def view(self, counter: Counter) -> Count:
        return self.ledger.counters.view(counter)

    def leased(self) -> set[str]:
        """Return the calls whose holds the counters have open."""
        return {one.call for one in self.ledger.counters._open}


def priced(model: str = "echo/a", most: int | None = None, **params: Any) -> dict[str, Any]:
    """Write a priced deployment; `most` is the longest answer of its model, where that is known."""
    info = {} if most is None else {"max_output_tokens": most}
    return {"litellm_params": {"model": model, **PRICE, **params}, "model_info": info}


def of(scope: Scope, name: str, terms: Terms | None = None, **said: Any) -> Allowance:
    """Compile what a key, team or user may use."""
    return allowance(Subject(scope, name), said, terms or Terms())


def words(count: int) -> str:
    return " ".join(["w"] * count)


def attempt(ledger: Ledger, call: Call, deployment: Deployment | None = None) -> Refused | None:
    """Let a call's next attempt hold what it may use, as `Forwarding` does."""
    if call.decision is None:
        done(check(call))
    assert call.group is not None
    call.attempt += 1
    before, call.deployment = call.deployment, deployment or call.group.deployments[0]
    refused: Refused | None = done(ledger.reserve(call, call.deployment))
    if refused is not None:
        call.attempt, call.deployment = call.attempt - 1, before
    return refused


def used(call: Call, asked: int, answered: int, **more: Any) -> Usage:
    """Make the usage that an answer reports, at the price of the deployment."""
    assert call.deployment is not None
    usage = Usage(asked, answered)
    for name, value in more.items():
        setattr(usage, name, value)
    if call.deployment.price is not None:
        usage.cost = call.deployment.price.cost(usage)
    return usage


def settle(ledger: Ledger, call: Call, asked: int, answered: int, **more: Any) -> None:
    """End a call well, as `Answer` does."""
    call.status = 200
    call.usage = used(call, asked, answered, **more)
    ledger.settle(call, call.usage)
    ledger.close(call)


def claimed(call: Call) -> dict[str, int]:
    """Return what a call holds, by the units and names of counters."""
    assert call.account.hold is not None
    found: dict[str, int] = {}
    for counter, amount in call.account.hold.claims:
        name = f"{counter.unit} {counter.name}"
        found[name] = found.get(name, 0) + amount
    return found
