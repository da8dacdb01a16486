"""How many end users a key may name in a minute that nobody has heard of: each has counters of its own, and memory is finite."""

from __future__ import annotations

from engine.call import Call
from engine.claims import Counters, Scope
from engine.counting import Counted
from engine.errors import PolicyError

MOST = 60
"""New end users of one key in a minute."""
KEYS = 100_000
"""Keys whose new end users are counted at once; beyond it the minute begins anew."""


class Newcomers:
    """Counts, by key, the end users whose counters are opened in a minute."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._minute = 0
        self._opened: dict[str, int] = {}

    def admit(self, call: Call, counted: Counted, now: float) -> None:
        """Let an end user in that is known, or that is not one too many; raises PolicyError 429. `now` is Unix seconds."""
        found = next((one for one in counted.counters if one.subject.scope is Scope.END_USER), None)
        if found is None or self._counters.knows(found):
            return
        minute = int(now // 60)
        if minute != self._minute or len(self._opened) >= KEYS:
            self._minute = minute
            self._opened.clear()
        key = call.caller.key_hash if call.caller is not None else ""
        opened = self._opened[key] = self._opened.get(key, 0) + 1
        if opened > MOST:
            error = PolicyError(
                429,
                "rate_limit_error",
                f"this key has named more than {MOST} new end users in a minute; try again in the next",
            )
            error.retry_after = max(1, 60 - int(now % 60))
            raise error
