"""What calls get while Redis is away: refused, let pass to be counted later, or paid from shares, as their counters say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.counters.redis.holds import Granted
from adapters.counters.redis.shares import Shares
from adapters.counters.redis.sight import Sight
from engine.contracts import Claim, Counter, CountersError, HoldId
from engine.tallies import BUCKETS
from engine.windows import NEVER, Algorithm


class Away:
    """Grants without asking; `now` is Unix nanoseconds."""

    def __init__(self, shares: Shares, sight: Sight, now: Callable[[], int]) -> None:
        self._shares = shares
        self._sight = sight
        self._now = now

    def __repr__(self) -> str:
        return f"<Away {self._shares}>"

    def grant(self, hold: HoldId, caller: Sequence[Claim], candidates: Sequence[Sequence[Claim]], why: str) -> Granted:
        """Grant what all counters of the caller and the first candidate allow; raises CountersError if they do not."""
        for place, own in enumerate(candidates or ((),)):
            claims = [*caller, *own]
            if any(counter.failure == "Fail" for counter, _ in claims):
                continue
            local = [one for one in claims if one.counter.failure == "Local"]
            try:
                taken = iter(self._shares.take(local, self._now()))
            except CountersError as error:
                why = str(error)
                continue
            granted = Granted(hold, claims, place, NEVER)
            granted.away = [next(taken) if one.counter.failure == "Local" else None for one in claims]
            left, until = self._guessed(claims)
            for at, share in enumerate(granted.away):
                if share is not None and share.hold is not None and share.counter.algorithm <= Algorithm.LEASE:
                    until[at] = share.hold.until()[0]
            granted.assume(left, until)
            return granted
        raise CountersError(f"counters are unavailable: {why}")

    def extend(self, hold: Granted, number: int, claims: Sequence[Claim]) -> None:
        """Hold more, where it may go uncounted until the hold settles; raises CountersError where it may not."""
        for counter, _ in claims:
            if counter.failure != "Ignore":
                raise CountersError(f"counters are unavailable, so that nothing more of `{counter.name}` can be held")
        if hold.away is not None:
            hold.away += [None] * len(claims)
        hold.assume(*self._guessed(claims))
        hold.claims = [*hold.claims, *claims]
        hold.slices = number

    @staticmethod
    def settle(hold: Granted, actuals: Sequence[int]) -> list[Claim]:
        """Settle what is in shares; returns what is to be counted beside them."""
        loose = []
        for (counter, amount), share, used in zip(hold.claims, hold.away or (), actuals, strict=True):
            beside = used
            if share is not None:
                share.settle(amount, used)
                # What goes beyond the share counts, too, though nobody could hold it.
                beside = max(0, share.spent + share.held - share.total)
                share.spent -= beside
            if beside:
                loose.append(Claim(counter, beside))
        return loose

    def _guessed(self, claims: Sequence[Claim]) -> tuple[list[int], list[int]]:
        """Return what is left and until when claims count, as far as it can be told without asking."""
        now = self._now()
        seen = [self._sight.view(counter) for counter, _ in claims]
        left = [one.limit - said.used - said.held - amount for (one, amount), said in zip(claims, seen, strict=True)]
        return left, [_until(counter, now) for counter, _ in claims]


def _until(counter: Counter, now: int) -> int:
    """Return when what is used now counts no longer, at the latest: in steps, so that many calls come to few instants."""
    window = counter.window
    if counter.algorithm in {Algorithm.SLIDING, Algorithm.TOKEN_BUCKET, Algorithm.FIXED}:
        grain = -(-window.length // BUCKETS)
        return (now // grain + 1) * grain + window.length
    return window.span(now).end
