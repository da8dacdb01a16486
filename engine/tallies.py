"""What one counter has counted: exact integer arithmetic of windows, buckets and drains, without clocks.

A hold keeps the part that `take` returned and settles into it, whatever the counter has become by then. Instants are
in nanoseconds of the clock that the window goes by.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from engine.windows import NEVER, Algorithm

BUCKETS = 60
"""Parts of a sliding window."""


class Tally:
    """Use in one window: what was settled in it and what is held, until `end`; `live` while it is its counter's present one."""

    __slots__ = ("algorithm", "end", "held", "live", "used")

    def __init__(self, algorithm: Algorithm, end: int = NEVER, used: int = 0) -> None:
        self.algorithm = algorithm
        self.end = end
        self.used = used
        self.held = 0
        self.live = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} used={self.used} held={self.held}>"

    def take(self, amount: int, limit: int, now: int) -> Tally | None:
        """Hold an amount if it fits; returns the part to settle into, or None and nothing is changed."""
        del now
        if self.used + self.held + amount > limit:
            return None
        self.held += amount
        return self

    def settle(self, amount: int, actual: int) -> None:
        """Turn a held amount into what was used."""
        self.held -= amount
        if self.algorithm is not Algorithm.LEASE:
            self.used += actual

    def undo(self, amount: int) -> None:
        """Take back what the same step took, as if it had never been."""
        self.settle(amount, 0)

    def amend(self, amount: int, actual: int) -> None:
        """Replace a settled amount by another one."""
        if self.algorithm is not Algorithm.LEASE:
            self.used += actual - amount

    def fits_at(self, amount: int, limit: int, now: int) -> int | None:
        """Return when an amount will fit, or when the most will if it never does; None if time does not help."""
        del amount, limit, now
        return None if self.end == NEVER else self.end

    def counted(self, now: int) -> int:
        """Return all that counts at an instant."""
        return self.used + self.held if self.end > now else 0

    def idle(self, now: int) -> bool:
        """Tell whether nothing is lost by forgetting this."""
        return not self.held and (self.end <= now or not self.used)

    def total(self) -> int:
        """Return what is used and held of the whole counter that this is, or is a part of."""
        return self.used + self.held

    def until(self, now: int) -> int:
        """Return the instant from which on what is taken now no longer counts."""
        del now
        return self.end

    def recall(self, amounts: Sequence[tuple[int, int]]) -> None:
        """Take up what was used before this began: instants at which amounts stop counting, the earliest first."""
        self.used += sum(amount for _, amount in amounts)


class Sliding(Tally):
    """Use in the last `length`, by 60 buckets; each counts until it has left the window as a whole.

    So no window of that length ever has more than the limit, and use leaves it a bucket late at most.
    """

    __slots__ = ("_grain", "_length", "_shares")

    def __init__(self, length: int, now: int = 0, used: int = 0) -> None:
        super().__init__(Algorithm.SLIDING)
        self._grain = -(-length // BUCKETS)
        self._length = length
        self._shares: deque[Share] = deque()
        part = self.take(used, used, now) if used else None
        if part is not None:
            part.settle(used, used)

    def take(self, amount: int, limit: int, now: int) -> Tally | None:
        """Hold an amount in the present bucket if it fits."""
        self.leave(now)
        if self.used + self.held + amount > limit:
            return None
        until = (now // self._grain + 1) * self._grain + self._length
        if not self._shares or self._shares[-1].end < until:
            self._shares.append(Share(self, until))
        share = self._shares[-1]
        share.held += amount
        self.held += amount
        return share

    def leave(self, now: int) -> None:
        """Let buckets go that have left the window."""
        shares = self._shares
        while shares and shares[0].end <= now:
            share = shares.popleft()
            share.whole = None
            self.used -= share.used
            self.held -= share.held

    def fits_at(self, amount: int, limit: int, now: int) -> int | None:
        """Return when enough buckets will have left."""
        rest = self.used + self.held
        when = now
        for share in self._shares:
            if rest + amount <= limit:
                break
            rest -= share.used + share.held
            when = share.end
        return when

    def counted(self, now: int) -> int:
        """Return what the buckets hold that have not left."""
        self.leave(now)
        return self.used + self.held

    def idle(self, now: int) -> bool:
        """Tell whether every bucket has left."""
        return not self.counted(now)

    def recall(self, amounts: Sequence[tuple[int, int]]) -> None:
        """Take up buckets as they were."""
        for end, amount in amounts:
            share = Share(self, end)
            share.used = amount
            self._shares.append(share)
            self.used += amount


class Share(Tally):
    """One bucket of a sliding window; `whole` is None when it has left."""

    __slots__ = ("whole",)

    def __init__(self, whole: Sliding, end: int) -> None:
        super().__init__(Algorithm.SLIDING, end)
        self.whole: Sliding | None = whole

    def settle(self, amount: int, actual: int) -> None:
        """Turn a held amount into what was used, in the window too while this is in it."""
        self.held -= amount
        self.used += actual
        if self.whole is not None:
            self.whole.held -= amount
            self.whole.used += actual

    def amend(self, amount: int, actual: int) -> None:
        """Replace a settled amount by another one."""
        self.used += actual - amount
        if self.whole is not None:
            self.whole.used += actual - amount

    def total(self) -> int:
        """Return what counts of the window; nothing of one that has gone."""
        return self.whole.total() if self.whole is not None else 0


class Bucket(Tally):
    """A token bucket as the generic cell rate algorithm has it: a level that drains by the limit in each `length`.

    The level is in units times nanoseconds of the window, so that no drain is ever rounded. A hold fills it when it
    is taken. What is given back never lowers the level below what it would be if the hold had never been: of a hold
    that has drained meanwhile nothing is left to give back.
    """

    __slots__ = ("fallen", "length", "level", "limit", "open", "since")

    def __init__(self, length: int, now: int, used: int = 0) -> None:
        super().__init__(Algorithm.TOKEN_BUCKET)
        self.length = length
        self.limit = 0
        self.open = 0
        """Holds that may still give back or fill in."""
        self.level = used * length
        self.since = now
        self.fallen = 0
        """All by which the level could have fallen since the start."""

    def take(self, amount: int, limit: int, now: int) -> Tally | None:
        """Fill the bucket if it does not run over."""
        self.drain(limit, now)
        wanted = self.level + amount * self.length
        if wanted > limit * self.length:
            return None
        self.level = wanted
        self.open += 1
        return Drop(self, wanted + self.fallen)

    def drain(self, limit: int, now: int) -> None:
        """Let out what has run out until an instant, and bring `used` up to date, in whole units, rounded up."""
        self.limit = limit
        if now > self.since:
            out = (now - self.since) * limit
            self.since = now
            self.fallen += out
            self.level = max(0, self.level - out)
        self.used = -(-self.level // self.length)

    def fits_at(self, amount: int, limit: int, now: int) -> int | None:
        """Return when enough will have run out; None where nothing does."""
        if not limit:
            return None
        over = self.level + min(amount, limit) * self.length - limit * self.length
        return now + max(0, -(-over // limit))

    def counted(self, now: int) -> int:
        """Return the level in whole units, rounded up."""
        self.drain(self.limit, now)
        return self.used

    def idle(self, now: int) -> bool:
        """Tell whether the bucket is empty and no hold is in it."""
        self.drain(self.limit, now)
        return not self.level and not self.open

    def recall(self, amounts: Sequence[tuple[int, int]]) -> None:
        """Fill in what was filled in a length before it stops counting."""
        now, self.since = self.since, min([self.since, *(end - self.length for end, _ in amounts)])
        for end, amount in amounts:
            self.drain(self.limit, end - self.length)
            self.level += amount * self.length
        self.drain(self.limit, now)


class Drop(Tally):
    """What one hold put into a token bucket; `mark` is how far the bucket may fall before nothing of it is left."""

    __slots__ = ("bucket", "mark")

    def __init__(self, bucket: Bucket, mark: int) -> None:
        super().__init__(Algorithm.TOKEN_BUCKET)
        self.bucket = bucket
        self.mark = mark

    def settle(self, amount: int, actual: int) -> None:
        """Fill in what was used beyond the hold, or give back what is left of the rest."""
        self.bucket.open -= 1
        self.amend(amount, actual)

    def undo(self, amount: int) -> None:
        """Take back what the same step filled in; holds that came before may still give back theirs."""
        self.bucket.open -= 1
        self.bucket.level -= amount * self.bucket.length

    def amend(self, amount: int, actual: int) -> None:
        """Replace an amount by another one, as far as it has not run out."""
        bucket = self.bucket
        more = (actual - amount) * bucket.length
        if more < 0:
            more = -min(-more, bucket.level, max(0, self.mark - bucket.fallen))
            bucket.fallen -= more
        bucket.level += more

    def total(self) -> int:
        """Return the level of the bucket, in whole units, rounded up."""
        return -(-self.bucket.level // self.bucket.length)

    def until(self, now: int) -> int:
        """Return when a full bucket would have run out: a length from now, in steps of a sixtieth."""
        grain = -(-self.bucket.length // BUCKETS)
        return -(-now // grain) * grain + self.bucket.length
