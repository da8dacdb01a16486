"""The load generator: a process that takes one job a line on stdin and answers with one line of results."""

import asyncio
import gc
import json
import os
import random
import select
import selectors
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import uvloop

from bench import machine
from bench.client import Tally, clock
from bench.histogram import Histogram
from bench.loops import ClosedLoop, OpenLoop, arrivals
from bench.shapes import SHAPES

_PUT_OFF_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, which processes serve there, and what is of this target alone."""

    name: str
    port: int
    pids: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    """The clients' keys where they are not the job's."""
    headers: tuple[tuple[str, str], ...] = ()
    every: int = 1
    """In closed loop, the target's turn comes in each so many rounds."""

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Return the target that JSON made lists of."""
        pids, keys, headers = tuple(plain["pids"]), tuple(plain["keys"]), tuple(map(tuple, plain["headers"]))
        return cls(**(plain | {"pids": pids, "keys": keys, "headers": headers}))


@dataclass(frozen=True, slots=True)
class Job:
    """`rounds` measurements of each target in turn; a `rate` of 0 means closed loop, `limit` ends one early."""

    shape: str
    seconds: float
    targets: tuple[Target, ...]
    rounds: int = 1
    rate: float = 0.0
    poisson: bool = True
    seed: int = 1
    limit: int = 10_000_000
    keys: tuple[str, ...] = ("sk-none",)
    upstream_pids: tuple[int, ...] = ()

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return the job that `to_json` wrote."""
        plain: dict[str, Any] = json.loads(line)
        lists = {name: tuple(plain[name]) for name in ("keys", "upstream_pids")}
        return cls(**(plain | lists | {"targets": tuple(map(Target.from_plain, plain["targets"]))}))


@dataclass(slots=True)
class Result:
    """What one measurement of one target saw; times in nanoseconds, memory at its end."""

    requests: int
    frames: int
    seconds: float
    rss: int
    cpu_ns: dict[str, int]
    errors: dict[str, int]
    latency: Histogram
    ttft: Histogram
    gap: Histogram

    def plain(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value.to_json() if isinstance(value, Histogram) else value for name, value in values.items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Return the result that `plain` wrote."""
        times = {name: Histogram.from_json(plain[name]) for name in ("latency", "ttft", "gap")}
        return cls(**(plain | times))


class _Window:
    """Watches CPU time from its making to its result."""

    def __init__(self, job: Job, target: Target) -> None:
        self._pids = {"gateway": target.pids, "upstream": job.upstream_pids, "load": (os.getpid(),)}
        self._before = self._read()
        self._start = clock()

    def _read(self) -> dict[str, int]:
        return {name: machine.cpu_ns(pids) for name, pids in self._pids.items()}

    def result(self, tally: Tally) -> Result:
        """Return what was seen since the window was made."""
        seconds = clock() - self._start
        after = self._read()
        return Result(
            requests=tally.requests,
            frames=tally.frames,
            seconds=seconds,
            rss=machine.rss_bytes(self._pids["gateway"]),
            cpu_ns={name: after[name] - before for name, before in self._before.items()},
            errors=dict(tally.errors),
            latency=tally.latency,
            ttft=tally.ttft,
            gap=tally.gap,
        )


class _Account:
    """Charges a gateway for what it does after its slice too, until its next one: flushing put off is not free."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._result: Result | None = None
        self._at = 0

    def open(self, result: Result) -> None:
        """Go on charging to `result`."""
        self._result = result
        self._at = machine.cpu_ns(self._pids)

    def close(self) -> None:
        """Charge what was spent since `open`."""
        if self._result:
            self._result.cpu_ns["gateway"] += machine.cpu_ns(self._pids) - self._at


def _turns(job: Job) -> list[tuple[int, Target]]:
    # Interleaved, so that what else the machine does hits every target alike; shuffled, so that none is always first.
    rng = random.Random(job.seed)
    return [(number, target) for number in range(job.rounds) for target in rng.sample(job.targets, len(job.targets))]


def _requests(job: Job) -> dict[Target, list[list[bytes]]]:
    # Targets that get the same share it: of large bodies, each copy counts.
    made: dict[tuple[object, ...], list[list[bytes]]] = {}
    for target in job.targets:
        keys = target.keys or job.keys
        if (keys, target.headers) not in made:
            made[keys, target.headers] = SHAPES[job.shape].requests(keys, target.headers)
    return {target: made[target.keys or job.keys, target.headers] for target in job.targets}


async def _closed(job: Job) -> list[tuple[str, Result]]:
    shape = SHAPES[job.shape]
    loops = {target: ClosedLoop(target.port, shape, requests) for target, requests in _requests(job).items()}
    results: list[tuple[str, Result]] = []
    accounts = {target: _Account(target.pids) for target in job.targets}
    for loop in loops.values():
        await loop.connect()
    for number, target in _turns(job):
        if number % target.every:
            continue
        tally = loops[target].tally = Tally()
        accounts[target].close()
        window = _Window(job, target)
        await loops[target].slice(job.seconds, job.limit)
        result = window.result(tally)
        accounts[target].open(result)
        results.append((target.name, result))
    await asyncio.sleep(_PUT_OFF_SECONDS)
    for target, loop in loops.items():
        accounts[target].close()
        await loop.stop()
    return results


async def _open(job: Job) -> list[tuple[str, Result]]:
    shape = SHAPES[job.shape]
    requests = _requests(job)
    results = []
    for number, target in _turns(job):
        # One seed a round: every target meets the same arrivals.
        rng = random.Random(job.seed + number) if job.poisson else None
        loop = OpenLoop(target.port, shape, requests[target])
        await loop.connect()
        window = _Window(job, target)
        await loop.run(arrivals(job.rate, job.seconds, rng)[: job.limit])
        results.append((target.name, window.result(loop.tally)))
        await loop.stop()
    return results


def run(job: Job) -> list[tuple[str, Result]]:
    """Run one job on a loop of its own and return (target, result) in the order of measurement."""
    # uvloop rounds timers to milliseconds; select() keeps microseconds, which arrivals need and closed loops do not.
    factory = _exact_loop if job.rate else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        gc.collect()
        gc.disable()
        try:
            return runner.run(_open(job) if job.rate else _closed(job))
        finally:
            gc.enable()


def _exact_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def encode(results: Sequence[tuple[str, Result]]) -> str:
    """Return results as the line that `decode` reads."""
    return json.dumps([(name, result.plain()) for name, result in results])


def decode(line: str) -> list[tuple[str, Result]]:
    """Return the results that `encode` wrote."""
    return [(name, Result.from_plain(plain)) for name, plain in json.loads(line)]


def answer(text: str) -> None:
    """Write a line to standard output whole, however little the pipe takes at a time."""
    data = memoryview(f"{text}\n".encode())
    while data:
        select.select([], [sys.stdout], [])
        try:
            data = data[os.write(sys.stdout.fileno(), data) :]
        except BlockingIOError:
            continue


if __name__ == "__main__":
    for sent in sys.stdin:
        answer(encode(run(Job.from_json(sent))))
