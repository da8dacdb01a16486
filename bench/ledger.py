"""What holding and settling costs a call: `python -m bench.ledger`.

One process, warm caches, six counters (budgets of key, team and user, requests and tokens a minute of the key, one more of
money), a journal on this machine's disk. CPU time of the process, the system's included.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import tempfile
from pathlib import Path

from adapters.counters.memory import Memory
from bench.deciding import Source
from engine import body
from engine.allowances import Terms, allowance
from engine.amounts import wanted
from engine.books import Books
from engine.build import build
from engine.call import Call, Caller, Route, Usage
from engine.claims import Scope, Subject
from engine.config.specs import ConfigSpec, DeploymentSpec, LitellmParams, ModelInfo
from engine.contracts import Deps
from engine.counting import counted
from engine.extensions import Extensions
from engine.journal import Journal
from engine.ledger import Ledger
from engine.outside import Offline, SystemClock
from engine.pricing import Prices
from engine.receive import read_members
from engine.snapshot import Snapshot

ROUNDS = 20_000
LIMITS = {"max_budget": 1e6, "budget_duration": "30d"}
PRICES = {"input_cost_per_token": 0.00000015, "output_cost_per_token": 0.0000006}
BODY = json.dumps(
    {
        "model": "m",
        "messages": [{"role": "user", "content": "the quick brown fox jumps over the lazy dog " * 20}],
        "max_tokens": 100,
    }
).encode()


def _snapshot(registry: Extensions) -> Snapshot:
    said = {"model": "openai/m", "api_base": "http://127.0.0.1:9/v1", "api_key": "sk-upstream", **PRICES}
    params = LitellmParams.from_wire(said)
    spec = ConfigSpec(deployments=(DeploymentSpec(model_name="m", params=params, info=ModelInfo(), id="m"),))
    return build(spec, registry, Prices.bundled(), 1).snapshot


def _caller() -> Caller:
    caller = Caller("c0ffee" * 10)
    caller.team, caller.user = "team-1", "user-1"
    key = {**LIMITS, "rpm_limit": 10**9, "tpm_limit": 10**12, "max_parallel_requests": 10_000}
    said = ((Scope.KEY, key), (Scope.TEAM, LIMITS), (Scope.USER, LIMITS))
    caller.allowances = tuple(allowance(Subject(scope, str(scope)), limits, Terms()) for scope, limits in said)
    return caller


class Round:
    """Calls that hold, answer and settle, one after the other."""

    def __init__(self, journal: Journal | None) -> None:
        registry = Extensions(Deps(SystemClock(), random.Random(1), Offline(), {}))
        self.ledger = Ledger(Memory(SystemClock()), SystemClock(), Books(journal))
        self.snapshot, self.caller = _snapshot(registry), _caller()
        self.route = Route("/chat/completions", "chat", registry.dialect("openai"))
        self.group = self.snapshot.find("m")
        self.number = 0

    def call(self) -> Call:
        """Make a call that has been received and routed."""
        self.number += 1
        call = Call(f"bench-{self.number:08}", self.route, self.snapshot, Source())
        call.caller, call.members, call.body_size, call.attempt = self.caller, body.read(BODY), len(BODY), 1
        read_members(call)
        call.group = self.group
        return call

    async def plain(self) -> None:
        """Make calls and nothing else."""
        for _ in range(ROUNDS):
            self.call()

    async def held(self) -> None:
        """Hold and settle each: what it may use is known already."""
        assert self.group is not None  # noqa: S101 - the snapshot above has it
        deployment = self.group.deployments[0]
        every, need = counted(self.call(), self.ledger.customers), wanted(self.call(), deployment, self.ledger.learned)
        usage = Usage(230, 60)
        usage.cost = 1_000
        for _ in range(ROUNDS):
            call = self.call()
            call.deployment, call.usage = deployment, usage
            assert await self.ledger.hold(call, every, need) is None  # noqa: S101 - no limit is near
            self.ledger.settle(call, usage)

    async def governed(self) -> None:
        """Find out what each may use, hold, settle and write its header lines."""
        assert self.group is not None  # noqa: S101 - the snapshot above has it
        deployment = self.group.deployments[0]
        for _ in range(ROUNDS):
            call = self.call()
            assert await self.ledger.reserve(call, deployment) is None  # noqa: S101 - no limit is near
            call.deployment = deployment
            usage = call.usage = Usage(230, 60)
            usage.cost = deployment.price.cost(usage) if deployment.price is not None else None
            self.ledger.settle(call, usage)
            assert call.account.held is not None  # noqa: S101 - it is granted
            assert call.account.hold is not None  # noqa: S101 - it is granted
            call.account.held.lines(call.account.hold)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _took(run: object) -> float:
    before = _cpu()
    asyncio.run(run)  # type: ignore[arg-type]  # a coroutine of the methods above
    return (_cpu() - before) / ROUNDS * 1e6


def main() -> None:
    """Print microseconds a call."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        journal = Journal.open(Path(folder) / "journal")
        for name, kept in (("without a journal", None), ("with a journal", journal)):
            house = Round(kept)
            held = min(_took(house.held()) - _took(house.plain()) for _ in range(3))
            whole = min(_took(house.governed()) - _took(house.plain()) for _ in range(3))
            print(f"  {held:6.1f} µs  hold and settle; {whole:5.1f} with the estimate and header lines; {name}")
        journal.close()


if __name__ == "__main__":
    main()
