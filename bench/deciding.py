"""What policies cost a call, in this process and with warm caches: `python -m bench.deciding`.

The same calls as the load generator's, decided and recorded over and over; the rows of `python -m bench` tell what that comes to
in a busy gateway, where caches are cold.
"""

from __future__ import annotations

import random
import tempfile
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path

from adapters.counters.memory import Memory
from bench import policies
from bench.shapes import MODEL, SHAPES
from engine import body
from engine.build import build
from engine.call import Call, Caller, Route
from engine.check import decide
from engine.config.specs import ConfigSpec, DeploymentSpec, LitellmParams, ModelInfo
from engine.contracts import Deps
from engine.documents import load_policies, read_stable
from engine.extensions import Extensions, kind
from engine.governing import PolicySet
from engine.ledger import Ledger
from engine.metrics import Metrics
from engine.outside import Offline, SystemClock
from engine.pricing import Prices
from engine.receive import Receiver, read_members
from engine.record import Recorder
from engine.snapshot import Snapshot

SETS: Mapping[str, Callable[[Path], Path]] = {
    "25 policies, 12 for everybody": policies.site,
    "100 mixed rules, all applicable": policies.hundred,
    "1,000 policies, 10 match": policies.thousand,
}
ROUNDS = 2000


class Source:
    """A request that has arrived."""

    target = "/v1/chat/completions"
    port = 40_000

    def __init__(self) -> None:
        self.headers = {"user-agent": "bench", "content-type": "application/json"}

    def at_hand(self) -> bytes | None:
        """Return nothing: nobody asks."""
        return None

    async def read(self, limit: int) -> bytes:
        """Fail: nobody reads."""
        raise NotImplementedError(limit)

    async def whole(self, limit: int) -> bytes:
        """Fail: nobody reads."""
        raise NotImplementedError(limit)


def _snapshot(write: Callable[[Path], Path], registry: Extensions) -> Snapshot:
    with tempfile.TemporaryDirectory() as folder:
        sources, unread = read_stable(write(Path(folder) / "policies"), still=0.0)
    loaded = load_policies(sources, kind)
    assert not loaded.failed, [str(problem) for problem in (*unread, *loaded.problems)]  # noqa: S101 - a set of ours
    served = DeploymentSpec(model_name=MODEL, params=LitellmParams(model="echo/x"), info=ModelInfo(), id="x")
    spec = ConfigSpec(deployments=(served,))
    return build(spec, registry, Prices.bundled(), 1, PolicySet(loaded.policies)).snapshot


def _measure(snapshot: Snapshot, registry: Extensions, data: bytes) -> tuple[float, float]:
    """Return microseconds of deciding and of all that policies add, records included."""
    recorder = Recorder(Ledger(Memory(SystemClock()), SystemClock()), Metrics(), Receiver(), time.monotonic)
    route = Route("/chat/completions", "chat", registry.dialect("openai"))
    caller = Caller("k" * 64)
    caller.team, caller.alias = "team-1", "bench-1"
    members = body.read(data)

    def call() -> Call:
        made = Call("bench-1", route, snapshot, Source())
        made.caller, made.members, made.body_size, made.time = caller, dict(members), len(data), 1.8e9
        read_members(made)
        made.model_asked, made.group = made.model, snapshot.find(made.model)
        return made

    def plain() -> None:
        recorder.finish(call(), None)
        recorder.gather()
        recorder._queue.clear()  # noqa: SLF001 - nobody writes here

    def judged() -> None:
        made = call()
        decide(made, snapshot.policies.plan(caller, "chat", MODEL, made.group))
        recorder.finish(made, None)
        recorder.gather()
        recorder._queue.clear()  # noqa: SLF001 - nobody writes here

    made = call()
    plan = snapshot.policies.plan(caller, "chat", MODEL, made.group)

    def deciding() -> None:
        made.members = dict(members)
        decide(made, plan)

    deciding()
    return _best(deciding), _best(judged) - _best(plain)


def _best(run: Callable[[], None]) -> float:
    return min(timeit.repeat(run, number=ROUNDS, repeat=7)) / ROUNDS * 1e6


def main() -> None:
    """Print a row for each set of policies."""
    registry = Extensions(Deps(SystemClock(), random.Random(1), Offline(), {}))
    data = SHAPES["1k"].body()
    print("  decide µs  with its record µs")
    for name, write in SETS.items():
        deciding, added = _measure(_snapshot(write, registry), registry, data)
        print(f"  {deciding:9.1f}  {added:18.1f}  {name}")


if __name__ == "__main__":
    main()
