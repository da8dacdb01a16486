"""`Budget`: how much money calls may spend in a window of time.

    kind: Budget
    name: team-month
    match: {teams: [research, product]}
    limit: 100.00                        # USD
    window: 1mo                          # 30s 5m 1h 1d 7d 30d 1mo, by LiteLLM's calendar; `forever`
    timeZone: Europe/Berlin              # UTC
    counters: [{expression: apiKey.team}]  # one budget for each value; without: one for all calls
    softLimit: 80.00                     # an event when it is passed; never refuses
    onExceeded: {model: gpt-4o-mini}     # this model answers instead; without: the call is refused
    message: ask the platform team       # said beside the facts
    failurePolicy: Local                 # while shared counters are away: Fail, Ignore (count later), Local (5 % a process)

Money is held before a call is sent on and settled when it ends: no burst, crash or retry spends more than the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from engine.claims import Unit
from engine.limit import Limit, read_amount, read_counters, read_failure
from engine.policy import Head, Policy, Reader
from engine.windows import TOTAL, Window
from engine.windows import budget as window_of

FOREVER = "forever"


@dataclass(frozen=True, slots=True)
class Budget(Policy):
    """Limits what calls spend."""

    leases: ClassVar[bool] = True
    bounds: tuple[Limit, ...] = ()

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read `limit`, `window`, `timeZone`, `counters`, `softLimit`, `onExceeded`, `message` and `failurePolicy`."""
        window, limit = _window(fields), read_amount(fields, Unit.USD)
        soft = read_amount(fields, Unit.USD, "softLimit") if fields.has("softLimit") else None
        fallback = fields.mapping("onExceeded").text("model")
        if fields.has("onExceeded") and not fallback:
            fields.fault("needs a `model` that answers instead", "onExceeded")
        if "*" in fallback:
            fields.fault("must be the name of one model, without `*`", "onExceeded")
        if limit is not None and soft is not None and soft > limit:
            fields.fault("is above `limit`, so that it would never be passed", "softLimit")
        values, message = read_counters(fields), fields.text("message")
        if window is None or limit is None:
            return cls(head)
        return cls(head, (Limit(Unit.USD, window, limit, values, soft, fallback, message, read_failure(fields)),))

    def limits(self) -> Sequence[Limit]:
        """Say what calls may spend."""
        return self.bounds

    def targets(self) -> Sequence[str]:
        """Name the model that answers when the budget is used up."""
        return [bound.fallback for bound in self.bounds if bound.fallback]


def _window(fields: Reader) -> Window | None:
    text, zone = fields.text("window"), fields.text("timeZone", "UTC")
    if not text:
        fields.fault(f"needs a `window`, such as `1mo` or `{FOREVER}`")
        return None
    try:
        return TOTAL if text == FOREVER else window_of(text, zone)
    except ValueError as error:
        fields.fault(str(error), "timeZone" if "time zone" in str(error) else "window")
        return None
