"""What this process knows of counters without asking: what it last heard, at most a second old where somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from adapters.counters.redis.reckoning import nanos
from engine.contracts import Claim, Count, Counter
from engine.windows import NEVER, Algorithm

KEPT = 50_000
"""Counters in sight; beyond it those that came first go."""
ASKED = 60.0
"""Seconds for which a counter is refreshed that somebody has looked at."""
REFRESHED, TOGETHER = 2_000, 500
"""Counters refreshed in one turn, those that were looked at last; and in one script."""


class Seen:
    """One counter, as it was last heard of."""

    __slots__ = ("asked", "counter", "held", "known", "reset_at", "used")

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.used = self.held = 0
        self.reset_at: int | None = None
        self.known = False
        self.asked = 0.0

    def __repr__(self) -> str:
        return f"<Seen {self.counter.name} used={self.used} held={self.held}>"


class Sight:
    """Counters that this process has heard of; `now` is the seconds of a clock that never goes back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[bytes, Seen] = {}
        self._asked: dict[bytes, Seen] = {}

    def __repr__(self) -> str:
        return f"<Sight of {len(self._seen)}>"

    def view(self, counter: Counter) -> Count:
        """Return what is known of a counter, and keep it fresh for a while."""
        seen = self._of(counter)
        seen.asked = self._now()
        if len(self._asked) >= KEPT:
            del self._asked[next(iter(self._asked))]
        self._asked[counter.id] = seen
        return Count(seen.used, seen.held, seen.reset_at)

    def knows(self, counter: Counter) -> bool:
        """Tell whether anything of a counter was heard of."""
        seen = self._seen.get(counter.id)
        return seen is not None and seen.known

    def roomy(self, counters: Sequence[Counter], room: Sequence[int]) -> bool:
        """Tell whether there was room for as much of each."""
        find = self._seen.get
        for counter, most in zip(counters, room, strict=True):
            seen = find(counter.id)
            if seen is None or not seen.known or seen.used + seen.held + most > counter.limit:
                return False
        return True

    def granted(self, claims: Sequence[Claim], said: Sequence[int]) -> None:
        """Take up what a grant said: used, held and until of each claim's counter."""
        at = 0
        for counter, _ in claims:
            seen = self._seen.get(counter.id) or self._of(counter)
            seen.used, seen.held, until = said[at : at + 3]
            seen.known = True
            at += 3
            reset = nanos(until)
            seen.reset_at = reset if counter.algorithm <= Algorithm.FIXED and reset != NEVER else None

    def ended(self, claims: Sequence[Claim], actuals: Sequence[int]) -> None:
        """Take up how a hold of this process ended."""
        for (counter, amount), actual in zip(claims, actuals, strict=True):
            seen = self._seen.get(counter.id)
            if seen is None:
                continue
            if counter.algorithm is Algorithm.TOKEN_BUCKET:
                seen.used = max(0, seen.used + actual - amount)
                continue
            seen.held = max(0, seen.held - amount)
            if counter.algorithm is not Algorithm.LEASE:
                seen.used += actual

    def heard(self, counter: Counter, said: Sequence[int]) -> Count:
        """Take up used, held, reset and whether Redis knows it, of one counter."""
        seen = self._of(counter)
        seen.used, seen.held = said[0], said[1]
        seen.reset_at = None if said[2] < 0 else nanos(said[2])
        seen.known = bool(said[3])
        return Count(seen.used, seen.held, seen.reset_at)

    def forget(self, counter: Counter) -> None:
        """Know nothing more of a counter."""
        self._seen.pop(counter.id, None)

    def stale(self) -> Iterator[Sequence[Counter]]:
        """Return the counters that somebody looked at in the last minute, as many together as one script counts."""
        since = self._now() - ASKED
        self._asked = {name: seen for name, seen in self._asked.items() if seen.asked > since}
        every = [seen.counter for seen in sorted(self._asked.values(), key=_asked)[-REFRESHED:]]
        yield from (every[at : at + TOGETHER] for at in range(0, max(1, len(every)), TOGETHER))

    def _of(self, counter: Counter) -> Seen:
        seen = self._seen.get(counter.id)
        if seen is None:
            if len(self._seen) >= KEPT:
                del self._seen[next(iter(self._seen))]
            seen = self._seen[counter.id] = Seen(counter)
        seen.counter = counter
        return seen


def _asked(seen: Seen) -> float:
    return seen.asked
