"""From samples to figures: medians, ratios to the yardstick at the same time, regressions."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from statistics import median
from typing import Any

from bench.histogram import Histogram
from bench.load import Result
from bench.measure import Measured, Plan, Samples
from bench.rows import DIRECT, ROWS, YARDSTICK
from bench.shapes import SHAPES

_FEWEST_POINTS = 4
_FEWEST_REQUESTS = 5_000
_CONFIDENCE = 1.96
_BLOCK_SECONDS = 1.0
_ADDED_LIMITS_MS = (1, 5, 10)


@dataclass(slots=True)
class Paced:
    """Latency at a fixed rate in microseconds; `added` is what the row adds to the direct row of the same round."""

    rate: float
    p50: float | None = None
    p99: float | None = None
    added_p50: float | None = None
    added_p99: float | None = None
    ttft_added_p50: float | None = None
    ttft_added_p99: float | None = None
    gap_p99: float | None = None
    gap_added_p99: float | None = None
    errors: dict[str, int] = field(default_factory=dict)
    latency_points: list[tuple[int, float]] = field(default_factory=list)


@dataclass(slots=True)
class Cell:
    """One row under one shape; CPU times in microseconds, `ratio` per request or, for streams, per frame."""

    cpu_us: float | None = None
    cpu_us_per_frame: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    ratio_of_totals: float | None = None
    rps: float | None = None
    frames_per_second: float | None = None
    load_side_busy: float | None = None
    upstream_cpu_us: float | None = None
    errors: dict[str, int] = field(default_factory=dict)
    paced: list[Paced] = field(default_factory=list)
    rate_within_ms: dict[str, float] = field(default_factory=dict)
    rss_mb: float | None = None
    rss_kb_per_1000: float | None = None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the median: two of the values, told by the binomial law alone."""
    ordered = sorted(values)
    outside = max(0, int((len(ordered) - _CONFIDENCE * len(ordered) ** 0.5) / 2))
    return ordered[outside], ordered[-1 - outside]


def memory(results: Iterable[Result]) -> list[tuple[int, int]]:
    """Return (requests served so far, resident bytes) after each measurement."""
    served = 0
    points: list[tuple[int, int]] = []
    for result in results:
        served += result.requests
        points.append((served, result.rss))
    return points


def slope(points: Sequence[tuple[int, int]]) -> float | None:
    """Return the least-squares slope in bytes a request, the first fifth left out as warm-up; None if too few."""
    kept = points[len(points) // 5 :]
    if len(kept) < _FEWEST_POINTS or kept[-1][0] - kept[0][0] < _FEWEST_REQUESTS:
        return None
    mean_x = sum(x for x, _ in kept) / len(kept)
    mean_y = sum(y for _, y in kept) / len(kept)
    spread = sum((x - mean_x) ** 2 for x, _ in kept)
    return sum((x - mean_x) * (y - mean_y) for x, y in kept) / spread if spread else None


def unit_cost(results: Iterable[Result], shape: str) -> float | None:
    """Return the gateway's CPU microseconds for one request or, for streams, one frame, over all these results."""
    spent = units = 0
    for result in results:
        spent += result.cpu_ns["gateway"]
        units += result.frames if SHAPES[shape].frames else result.requests
    return spent / 1_000 / units if spent and units else None


def block_rounds(shape: str, every: Sequence[int]) -> int:
    """Return the rounds in a block: about a second, if every row's turn comes in it; `every` has each row's number of rounds to a turn."""
    rounds = max(1, round(_BLOCK_SECONDS / SHAPES[shape].slice_seconds / max(1, len(every))))
    most = max(every, default=1)
    return -(-rounds // most) * most


def block_costs(samples: Sequence[Result], shape: str, rounds: int) -> list[float | None]:
    """Return the unit cost of each block of so many turns, so that work a gateway puts off is in it."""
    # What is left over joins the last block.
    starts = range(0, max(1, len(samples) - rounds + 1), rounds)
    ends = [*starts[1:], len(samples)]
    return [unit_cost(samples[start:end], shape) for start, end in zip(starts, ends, strict=True)]


def ratios(mine: Sequence[float | None], yardstick: Sequence[float | None]) -> list[float]:
    """Return the cost of a row over the cost of the yardstick, block by block."""
    return [a / b for a, b in zip(mine, yardstick, strict=False) if a and b]


def _errors(samples: Sequence[Result]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for sample in samples:
        total.update(sample.errors)
    return dict(total)


def _cost(cell: Cell, shape: str, samples: Samples, row: str) -> None:
    mine, yardstick = samples[row], samples.get(YARDSTICK, [])
    every = {name: ROWS[name].every for name in samples if name != DIRECT}
    rounds = block_rounds(shape, list(every.values()))
    frames = SHAPES[shape].frames_in_all
    costs = block_costs(mine, shape, rounds // every.get(row, 1))
    cost = _median(costs)
    cell.cpu_us = cost * frames if cost and frames else cost
    cell.cpu_us_per_frame = cost if frames else None
    if against := ratios(costs, block_costs(yardstick, shape, rounds)):
        cell.ratio = median(against)
        cell.ratio_low, cell.ratio_high = interval(against)
        cell.ratio_of_totals = next(iter(ratios([unit_cost(mine, shape)], [unit_cost(yardstick, shape)])), None)


def _throughput(cell: Cell, shape: str, samples: Sequence[Result]) -> None:
    frames = SHAPES[shape].frames_in_all
    cell.rps = _median([sample.requests / sample.seconds for sample in samples])
    if frames:
        cell.frames_per_second = _median([sample.frames / sample.seconds for sample in samples])
        cell.rps = cell.frames_per_second / frames if cell.frames_per_second else None
    side = [sample.cpu_ns["load"] + sample.cpu_ns["upstream"] for sample in samples]
    cell.load_side_busy = _median([ns / 1e9 / sample.seconds for ns, sample in zip(side, samples, strict=True)])
    cell.upstream_cpu_us = _median([s.cpu_ns["upstream"] / 1_000 / s.requests for s in samples if s.requests])
    cell.errors = _errors(samples)


def _quantiles(samples: Sequence[Result], pick: Callable[[Result], Histogram], share: float) -> list[float | None]:
    found = (pick(sample).quantile(share) for sample in samples)
    return [None if value is None else value / 1_000 for value in found]


def _paced(rate: float, samples: list[Result], direct: list[Result]) -> Paced:
    def both(pick: Callable[[Result], Histogram], share: float) -> tuple[float | None, float | None]:
        mine, theirs = _quantiles(samples, pick, share), _quantiles(direct, pick, share)
        pairs = zip(mine, theirs, strict=True)
        return _median(mine), _median([a - b for a, b in pairs if a is not None and b is not None])

    made = Paced(rate, errors=_errors(samples))
    made.p50, made.added_p50 = both(lambda result: result.latency, 0.5)
    made.p99, made.added_p99 = both(lambda result: result.latency, 0.99)
    made.ttft_added_p50 = both(lambda result: result.ttft, 0.5)[1]
    made.ttft_added_p99 = both(lambda result: result.ttft, 0.99)[1]
    made.gap_p99, made.gap_added_p99 = both(lambda result: result.gap, 0.99)
    whole = Histogram()
    for sample in samples:
        whole.merge(sample.latency)
    made.latency_points = whole.points()
    return made


def _within(paced: Sequence[Paced]) -> dict[str, float]:
    best: dict[str, float] = {}
    for limit in _ADDED_LIMITS_MS:
        for step in paced:
            # The ladder is climbed until it first breaks: a lucky step above does not count.
            if step.added_p99 is None or step.added_p99 > limit * 1_000 or step.errors:
                break
            best[str(limit)] = step.rate
    return best


def cells(measured: Measured) -> dict[str, dict[str, Cell]]:
    """Return the figures as cells[shape][row]."""
    made: dict[str, dict[str, Cell]] = {}
    for shape, rows in measured.closed.items():
        made[shape] = {}
        for row, samples in rows.items():
            cell = made[shape][row] = Cell()
            _cost(cell, shape, rows, row)
            _throughput(cell, shape, samples)
            steps = measured.paced.get(shape, {})
            cell.paced = [
                _paced(rate, at_rate[row], at_rate[DIRECT]) for rate, at_rate in steps.items() if row in at_rate
            ]
            cell.rate_within_ms = _within(cell.paced) if row != DIRECT else {}
            if row != DIRECT:
                points = memory([*samples, *chain.from_iterable(at_rate.get(row, ()) for at_rate in steps.values())])
                cell.rss_mb = points[-1][1] / 1e6
                cell.rss_kb_per_1000 = slope(points)
    return made


def _flat(points: Sequence[tuple[int, int]]) -> dict[str, Any]:
    served, resident = points[-1]
    return {"requests": served, "rss_mb": resident / 1e6, "rss_kb_per_1000": slope(points), "points": points}


def document(measured: Measured, plan: Plan, machine_facts: dict[str, str | int]) -> dict[str, Any]:
    """Return all figures of a run as one JSON object."""
    flat = {row: _flat(memory(results)) for row, results in measured.flat.items()}
    return {
        "machine": machine_facts,
        "plan": asdict(plan),
        "cells": {shape: {row: asdict(cell) for row, cell in rows.items()} for shape, rows in cells(measured).items()},
        "flat": flat,
        "loop_gap_seconds": measured.loop_gap,
        "missing": {row: {"reason": reason, "stderr": tail} for row, (reason, tail) in measured.missing.items()},
    }


def regressions(base: dict[str, Any], now: dict[str, Any], threshold: float) -> list[str]:
    """Return a line for every CPU ratio that grew by more than `threshold`, and for every row that no longer runs."""
    found: list[str] = []
    for shape, rows in base["cells"].items():
        for row, before in rows.items():
            if not before["ratio"] or row == YARDSTICK:
                continue
            missing = now["missing"].get(row, {}).get("reason", "")
            after = now["cells"].get(shape, {}).get(row, {}).get("ratio")
            if missing.startswith("not run"):
                found.append(f"{shape} {row}: {missing}")
            elif after is None and row in now["cells"].get(shape, {}):
                found.append(f"{shape} {row}: no CPU ratio, it was {before['ratio']:.3f}")
            elif after is not None and after > before["ratio"] * (1 + threshold):
                growth = after / before["ratio"] - 1
                found.append(f"{shape} {row}: CPU ratio {before['ratio']:.3f} -> {after:.3f} (+{growth:.0%})")
    return found
