"""`RateLimit`: how much calls may use in a window of time, or at once.

    kind: RateLimit
    name: per-key
    match: {routes: [chat]}
    type: tokens                         # requests | tokens | inputTokens | outputTokens | cost | parallel
    rates:
      - {limit: 100000, window: 1m}      # all of them hold; USD for `cost`; no window for `parallel`
      - {limit: 1000000, window: 1h}
    algorithm: sliding-window            # fixed-window | sliding-window | token-bucket
    counters: [{expression: apiKey.id}]  # one counter for each value; without: one for all calls
    message: ask for more                # said beside the facts
    failurePolicy: Local                 # while shared counters are away: Fail, Ignore (count later), Local (5 % a process)

An expression that yields a list stands for its elements, one counter each. An empty value is a value like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from engine.claims import Unit
from engine.limit import Limit, read_amount, read_counters, read_failure
from engine.policy import Head, Policy, Reader
from engine.windows import LEASE, Window, rate

TYPES = {
    "requests": Unit.REQUESTS,
    "tokens": Unit.TOKENS,
    "inputTokens": Unit.INPUT_TOKENS,
    "outputTokens": Unit.OUTPUT_TOKENS,
    "cost": Unit.USD,
    "parallel": Unit.PARALLEL,
}
ALGORITHMS = {"fixed-window": "fixed", "sliding-window": "sliding", "token-bucket": "token-bucket"}


@dataclass(frozen=True, slots=True)
class RateLimit(Policy):
    """Limits what calls use."""

    leases: ClassVar[bool] = True
    bounds: tuple[Limit, ...] = ()

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read `type`, `rates`, `algorithm`, `counters`, `message` and `failurePolicy`."""
        unit = TYPES[fields.choice("type", tuple(TYPES), "requests")]
        algorithm = ALGORITHMS[fields.choice("algorithm", tuple(ALGORITHMS), "sliding-window")]
        values, message, failure = read_counters(fields), fields.text("message"), read_failure(fields)
        if unit is Unit.PARALLEL and fields.has("algorithm"):
            fields.fault("means nothing for `parallel`, which counts what runs: leave it out", "algorithm")
        bounds: list[Limit] = []
        entries = fields.each("rates")
        for entry in entries:
            amount, window = read_amount(entry, unit), _window(entry, unit, algorithm)
            if any(window is not None and window.kind == other.window.kind for other in bounds):
                entry.fault("there is a rate of this window already: keep the smaller one")
            elif window is not None and amount is not None:
                bounds.append(Limit(unit, window, amount, values, message=message, failure=failure))
        if not entries:
            fields.fault("needs `rates`, such as `rates: [{limit: 100, window: 1m}]`")
        return cls(head, tuple(bounds))

    def limits(self) -> Sequence[Limit]:
        """Say what calls may use."""
        return self.bounds


def _window(entry: Reader, unit: Unit, algorithm: str) -> Window | None:
    if unit is Unit.PARALLEL:
        if entry.has("window"):
            entry.fault("means nothing for `parallel`, which counts what runs: leave it out", "window")
        return LEASE
    text = entry.text("window")
    if not text:
        entry.fault("needs a `window`, such as `1m`")
        return None
    try:
        return rate(text, algorithm)
    except ValueError as error:
        entry.fault(str(error), "window")
        return None
