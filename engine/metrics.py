"""Counters and histograms for Prometheus, cheap enough for every call: integers in lists, text only when scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.call import Call
from engine.decision import Outcome

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SERIES = 10_000
"""Label combinations kept of one family; further ones are counted under empty labels."""


class Histogram:
    """How long things took, in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Render as the text format asks."""
        running = 0
        for bound, count in zip((*SECONDS, "+Inf"), self.counts, strict=True):
            running += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {running}'
        yield f"{name}_sum{{{labels}}} {self.total:.6f}"
        yield f"{name}_count{{{labels}}} {running}"


class Series:
    """What is counted of one route, model, provider and status."""

    __slots__ = ("cost", "first_byte", "input", "latency", "output", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.input = 0
        self.output = 0
        self.cost = 0
        self.latency = Histogram()
        self.first_byte = Histogram()


class Metrics:
    """All that `/metrics` shows; `gauges` are read when scraped."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, int], Series] = {}
        self._refusals: dict[tuple[str, str], int] = {}
        self.records_dropped = 0
        self._reloads = {"good": 0, "refused": 0}
        self._in_sync = True
        self._findings: dict[tuple[str, str], int] = {}
        self.loop_gap_max = 0.0
        self.loop_gap = Histogram()
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.counters: dict[str, tuple[str, str, Mapping[str, int]]] = {}
        """What is counted elsewhere: its meaning, and by which label the numbers are told apart."""

    def observe(self, call: Call, duration: float) -> None:
        """Count a call that has ended."""
        deployment = call.deployment
        if deployment is None:
            key = (call.route.operation, "", "", call.status)
        else:
            key = (call.route.operation, deployment.name, deployment.provider, call.status)
        series = self._series.get(key) or self._open(key)
        series.requests += 1
        series.latency.observe(duration)
        if call.first_byte:
            series.first_byte.observe(call.first_byte - call.arrived)
        usage = call.usage
        if usage is not None:
            series.input += usage.input
            series.output += usage.output
            series.cost += usage.cost or 0
        error = call.error
        if error is not None:
            refusal = (error.source.value, error.type)
            self._refusals[refusal] = self._refusals.get(refusal, 0) + 1

    def decided(self, outcomes: Sequence[Outcome]) -> None:
        """Count what rules said that is not what they usually say, findings of Warn and Audit among it."""
        for outcome in outcomes:
            key = (outcome.name, outcome.said)
            if key in self._findings or len(self._findings) < SERIES:
                self._findings[key] = self._findings.get(key, 0) + 1

    def reloaded(self, *, good: bool) -> None:
        """Count a reload."""
        self._reloads["good" if good else "refused"] += 1
        self._in_sync = good

    def gap(self, seconds: float) -> None:
        """Note how long the event loop answered to nobody."""
        self.loop_gap.observe(seconds)
        self.loop_gap_max = max(self.loop_gap_max, seconds)

    def render(self) -> str:
        """Write everything in Prometheus' text format."""
        return "\n".join([*self._calls(), *self._refused(), *self._process(), ""])

    def _open(self, key: tuple[str, str, str, int]) -> Series:
        if len(self._series) >= SERIES:
            key = (key[0], "", "", key[3])
        return self._series.setdefault(key, Series())

    def _calls(self) -> Iterator[str]:
        rows = [
            (f'route="{route}",model="{_escaped(model)}",provider="{_escaped(provider)}",status="{status}"', series)
            for (route, model, provider, status), series in self._series.items()
        ]
        yield from _family("interlock_requests_total", "counter", "calls by their end")
        yield from (f"interlock_requests_total{{{labels}}} {series.requests}" for labels, series in rows)
        yield from _family("interlock_tokens_total", "counter", "tokens by direction")
        for labels, series in rows:
            yield f'interlock_tokens_total{{{labels},direction="input"}} {series.input}'
            yield f'interlock_tokens_total{{{labels},direction="output"}} {series.output}'
        yield from _family("interlock_spend_usd_total", "counter", "money spent, in US dollars")
        yield from (f"interlock_spend_usd_total{{{labels}}} {series.cost / 1e9:.9f}" for labels, series in rows)
        yield from _family("interlock_request_seconds", "histogram", "from a call's arrival to its last byte")
        for labels, series in rows:
            yield from series.latency.lines("interlock_request_seconds", labels)
        yield from _family("interlock_first_byte_seconds", "histogram", "from a stream's arrival to its first byte out")
        for labels, series in rows:
            if series.first_byte.total:
                yield from series.first_byte.lines("interlock_first_byte_seconds", labels)

    def _refused(self) -> Iterator[str]:
        yield from _family("interlock_refusals_total", "counter", "calls that ended in an error, by whose fault")
        for (source, kind), count in self._refusals.items():
            yield f'interlock_refusals_total{{source="{source}",type="{_escaped(kind)}"}} {count}'

    def _process(self) -> Iterator[str]:
        yield from _family(
            "interlock_policy_findings_total", "counter", "rules that matched, missed, erred or were skipped"
        )
        for (name, said), count in self._findings.items():
            yield f'interlock_policy_findings_total{{rule="{_escaped(name)}",said="{said}"}} {count}'
        yield from _family("interlock_reloads_total", "counter", "reloads by what they came to")
        yield from (f'interlock_reloads_total{{outcome="{name}"}} {count}' for name, count in self._reloads.items())
        yield from _family("interlock_config_in_sync", "gauge", "1 while what the files say is in force")
        yield f"interlock_config_in_sync {int(self._in_sync)}"
        yield from _family("interlock_records_dropped_total", "counter", "records lost because their queue was full")
        yield f"interlock_records_dropped_total {self.records_dropped}"
        yield from _family(
            "interlock_loop_gap_seconds_max", "gauge", "the longest time the event loop answered to nobody"
        )
        yield f"interlock_loop_gap_seconds_max {self.loop_gap_max:.6f}"
        yield from _family("interlock_loop_gap_seconds", "histogram", "delays of the event loop")
        yield from self.loop_gap.lines("interlock_loop_gap_seconds", 'loop="main"')
        for name, (meaning, label, counts) in self.counters.items():
            yield from _family(name, "counter", meaning)
            yield from (f'{name}{{{label}="{_escaped(value)}"}} {count}' for value, count in counts.items())
        for name, (meaning, read) in self.gauges.items():
            yield from _family(name, "gauge", meaning)
            yield f"{name} {read():g}"


def _family(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
