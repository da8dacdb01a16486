"""One run: start the rows, measure them in turn, stop them."""

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import machine
from bench.load import Job, Result, Target
from bench.ports import free_port
from bench.rows import DIRECT, ROWS
from bench.servers import Load, NotStarted, Process, Upstream, get
from bench.shapes import SHAPES
from bench.site import LeftOutError, Site

_LOOP_GAP = re.compile(r"^interlock_loop_gap_seconds_max(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_WARM_ROUNDS = 3
_FLAT_ROUNDS = 20
_FLAT_SLICE_SECONDS = 120.0

Samples = dict[str, list[Result]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure; seconds are for one row under one shape, at one rate if paced."""

    rows: tuple[str, ...]
    shapes: tuple[str, ...]
    closed_seconds: float
    paced_seconds: float
    paced_rounds: int
    repeat: int = 1
    ladder: bool = False
    flat: int = 0
    seed: int = 1

    def rounds(self, shape: str) -> int:
        """Return the number of closed-loop rounds."""
        return self.repeat * max(1, round(self.closed_seconds / SHAPES[shape].slice_seconds))

    def rates(self, shape: str) -> tuple[float, ...]:
        """Return the open-loop rates to measure, ascending."""
        return SHAPES[shape].ladder if self.ladder else (SHAPES[shape].rate,)


@dataclass(slots=True)
class Measured:
    """All samples of a run: closed[shape][row], paced[shape][rate][row] and flat[row] hold one Result a round."""

    closed: dict[str, Samples] = field(default_factory=dict)
    paced: dict[str, dict[float, Samples]] = field(default_factory=dict)
    flat: Samples = field(default_factory=dict)
    loop_gap: dict[str, float] = field(default_factory=dict)
    missing: dict[str, tuple[str, str]] = field(default_factory=dict)


def capacity(samples: Iterable[Result]) -> float:
    """Return the requests a second for which one core has time, by what they cost in closed loop."""
    asked = list(samples)
    spent = sum(sample.cpu_ns["gateway"] for sample in asked)
    return 1e9 * sum(sample.requests for sample in asked) / spent if spent else 0.0


def paces(shape: str, rates: Iterable[float], closed: Samples) -> dict[float, list[str]]:
    """Return which rows are asked at which rate, ascending: none above what it has CPU time for, each at one at least."""
    made: dict[float, list[str]] = {rate: [] for rate in rates}
    for row, samples in closed.items():
        if row == DIRECT:
            continue
        within = [rate for rate in made if rate <= capacity(samples)]
        for rate in within or [SHAPES[shape].slow]:
            made.setdefault(rate, []).append(row)
    return {rate: made[rate] for rate in sorted(made)}


class Bench:
    """The processes of a run and the order in which they are measured."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._measured = Measured()
        self._rows: dict[str, tuple[int, Process]] = {}
        self._load: Load
        self._upstream: Upstream
        self._site: Site

    def run(self) -> Measured:
        """Measure all there is to measure."""
        with contextlib.ExitStack() as stack:
            self._start(stack)
            for shape in self._plan.shapes:
                print(f"measuring {shape} ...", file=sys.stderr, flush=True)
                self._closed(shape)
                self._paced(shape)
            if self._plan.flat:
                self._flat()
            for name, (port, _) in self._rows.items():
                if seen := _LOOP_GAP.findall(get(port, "/metrics", self._site.master_key)[1]):
                    self._measured.loop_gap[name] = max(map(float, seen))
        return self._measured

    def _start(self, stack: contextlib.ExitStack) -> None:
        gateway_core, other_cores = machine.cores()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._upstream = stack.enter_context(Upstream(other_cores))
        self._load = stack.enter_context(Load(other_cores))
        self._site = Site(self._upstream.port, directory)
        for name in self._plan.rows:
            port, row = free_port(), ROWS[name]
            try:
                command = row.command(name, self._site, port)
                process = stack.enter_context(Process(command, gateway_core, environ=row.environ))
                process.await_ready(port, row)
                self._rows[name] = (port, process)
                self._try(name)
            except LeftOutError as missing:
                self._measured.missing[name] = (f"left out: {missing}", "")
            except NotStarted as failed:
                self._rows.pop(name, None)
                self._measured.missing[name] = (f"not run: {failed}", failed.tail)

    def _try(self, name: str) -> None:
        """Raise NotStarted if the row is ready but does not answer what it is asked."""
        for shape in self._plan.shapes:
            seen = self._run(Job(shape, 0.05, self._targets([name])))[name][0]
            if seen.errors or not seen.requests:
                raise NotStarted(f"fails under {shape}: {seen.errors or 'no answer'}", self._rows[name][1].tail())

    def _targets(self, rows: Iterable[str], *, direct: bool = False) -> tuple[Target, ...]:
        targets = tuple(map(self._target, rows))
        return (*targets, Target(DIRECT, self._upstream.port)) if direct else targets

    def _target(self, name: str) -> Target:
        (port, process), row = self._rows[name], ROWS[name]
        headers = tuple(row.headers(self._site).items())
        return Target(name, port, tuple(process.pids()), row.keys(self._site), headers)

    def _run(self, job: Job) -> Samples:
        upstream = tuple(self._upstream.pids())
        job = replace(job, keys=self._site.keys, upstream_pids=upstream, seed=self._plan.seed)
        samples: Samples = {target.name: [] for target in job.targets}
        for name, result in self._load.run(job):
            samples[name].append(result)
        return samples

    def _closed(self, shape: str) -> None:
        job = Job(shape, SHAPES[shape].slice_seconds, self._targets(self._rows))
        if SHAPES[shape].pace_ms:
            job = replace(job, seconds=0.05)
        self._run(replace(job, rounds=_WARM_ROUNDS))
        # The direct row has no CPU time to compare: one short look tells the ceiling of the load side.
        ceiling = self._run(replace(job, rounds=_WARM_ROUNDS, targets=self._targets((), direct=True)))
        turns = tuple(replace(target, every=ROWS[target.name].every) for target in job.targets)
        job = replace(job, rounds=self._plan.rounds(shape), targets=turns)
        self._measured.closed[shape] = ceiling | self._run(job)

    def _paced(self, shape: str) -> None:
        self._measured.paced[shape] = {}
        rounds = self._plan.repeat * self._plan.paced_rounds
        seconds = self._plan.paced_seconds / self._plan.paced_rounds
        for rate, rows in paces(shape, self._plan.rates(shape), self._measured.closed[shape]).items():
            job = Job(shape, seconds, self._targets(rows, direct=True), rounds=rounds, rate=rate)
            self._measured.paced[shape][rate] = self._run(job)

    def _flat(self) -> None:
        for name in self._rows:
            limit = max(1, self._plan.flat // _FLAT_ROUNDS // ROWS[name].every)
            job = Job("1k", _FLAT_SLICE_SECONDS, self._targets([name]), rounds=_FLAT_ROUNDS, limit=limit)
            self._measured.flat |= self._run(job)
