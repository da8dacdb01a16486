"""Counters of one process, in its memory: exact, gone with the process.

Every operation runs to its end without waiting, so that the event loop makes it atomic. Leases and rates go by the
clock that never goes back, budgets by Unix time; a budget's window that has begun ends at its end even if the clock is
set back. What is forgotten is what no longer counts; a rule of several days (`3d`) then begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapters.counters.memory.grants import CALENDAR, FIXED, ONE_PLACE, Grant, Lot
from adapters.counters.memory.present import Present
from engine.claims import spread
from engine.contracts import Claim, Clock, Count, Counter, Hold, HoldId, Overrun, Refused
from engine.tallies import Bucket, Sliding, Tally
from engine.windows import NEVER, SECOND, Algorithm

MICROS = 1_000_000
"""Clocks are read in microseconds: a float of Unix time holds no more."""
LEASE = 60
"""Seconds until a hold that is not renewed counts as used."""
ESTIMATED = 100_000
"""Holds that ran out and whose late settle is still expected; beyond, the oldest estimates stand."""
MOST = 1_000_000
"""Counters in memory; what would be counted in one more is refused."""
LOOKED_AT = 1_000
"""Counters that one sweep looks at to forget them."""


class Memory(Present):
    """The `Counters` of one process."""

    def __init__(self, clock: Clock, settings: Mapping[str, Any] | None = None, lease: float = LEASE) -> None:
        del settings  # there is nothing to set
        self._clock = clock
        self._lease = int(lease * SECOND)
        self._tallies: dict[bytes, Tally] = {}
        self._open: dict[HoldId, Grant] = {}  # by the time their leases run out
        self._estimated: dict[HoldId, Grant] = {}
        self._expired: list[Hold] = []
        self._due = NEVER
        self._looking: Iterator[bytes] = iter(())
        self._before: dict[bytes, list[tuple[int, int]]] = {}
        self._skew = int(clock.time() * MICROS) * 1_000 - int(clock.monotonic() * MICROS) * 1_000

    def __repr__(self) -> str:
        return f"<Memory counters={len(self._tallies)} open={len(self._open)}>"

    def __len__(self) -> int:
        return len(self._tallies)

    def restore(self, amounts: Iterable[tuple[bytes, int, int]]) -> None:
        """Take up what counters had before this process: (counter id, Unix nanoseconds at which it stops counting, amount).

        Each is built when it is first used, by the algorithm that it has then.
        """
        for counter, until, amount in sorted(amounts):
            self._before.setdefault(counter, []).append((until, amount))

    async def reserve(
        self, hold: HoldId, caller: Sequence[Claim], candidates: Sequence[Sequence[Claim]]
    ) -> Hold | Refused:
        """Grant the caller's claims and those of the first candidate that fits, or nothing."""
        now = int(self._clock.monotonic() * MICROS) * 1_000
        if now >= self._due:
            self._expire(now)
        held = self._open.get(hold) or self._estimated.get(hold)
        if held is not None:
            return held
        parts: list[Tally] = []
        refused = self._take(caller, parts, now)
        if refused is not None:
            return refused
        if not candidates:
            return self._granted(Grant(hold, caller, parts, now + self._lease))
        refusals = []
        for index, claims in enumerate(candidates):
            refused = self._take(claims, parts, now)
            if refused is None:
                grant = Grant(hold, caller, parts, now + self._lease)
                grant.claims = [*caller, *claims]
                grant.candidate = index
                return self._granted(grant)
            refusals.append(refused)
        _undo(caller, parts)
        return min(refusals, key=lambda one: NEVER if one.reset_at is None else one.reset_at)

    def lot(self, counters: Sequence[Counter]) -> Lot | None:
        """Prepare counters that are claimed together over and over; None where one of them counts in several places."""
        return Lot(counters) if all(one.algorithm <= ONE_PLACE for one in counters) else None

    def grant(self, hold: HoldId, lot: Lot, amounts: Sequence[int], room: Sequence[int]) -> Hold | None:
        """Grant amounts of a lot at once; None where `reserve` must say why not, or open a window first."""
        now = int(self._clock.monotonic() * MICROS) * 1_000
        if now >= self._due:
            self._expire(now)
        wall = int(self._clock.time() * MICROS) * 1_000 if lot.calendar else 0
        tallies = lot.tallies
        if tallies is None or now >= lot.ends or wall >= lot.ends_wall:
            if not lot.find(self._tallies, now, wall, self._skew):
                return None
            tallies = lot.tallies or []
        for tally, limit, most in zip(tallies, lot.limits, room, strict=True):
            if tally.used + tally.held + most > limit or not tally.live:
                lot.tallies = None
                return None
        if not lot.begun() or hold in self._open or hold in self._estimated:
            lot.tallies = None
            return None
        for tally, amount in zip(tallies, amounts, strict=True):
            tally.held += amount
        return self._granted(Grant(hold, None, tallies, now + self._lease, lot, amounts))

    def spend(self, hold: Hold, amounts: Sequence[int]) -> Sequence[Overrun]:
        """Settle a hold by the amounts used, in the order of its claims, none of them below 0."""
        grant = self._open.get(hold.id)
        if grant is None or grant.lot is None or grant.slices:
            return self.settle(hold, {one.id: amount for (one, _), amount in zip(hold.claims, amounts, strict=True)})
        del self._open[hold.id]
        overruns: Sequence[Overrun] = ()
        for tally, held, used in zip(grant.parts, grant.amounts, amounts, strict=True):
            tally.held -= held
            tally.used += used
            if used > held:
                overruns = grant.lot.overruns(grant.amounts, amounts)
        return overruns

    async def extend(self, hold: Hold, number: int, claims: Sequence[Claim]) -> Refused | None:
        """Hold more against the limits that the claims bring; what is held already counts in full."""
        now = int(self._clock.monotonic() * MICROS) * 1_000
        if now >= self._due:
            self._expire(now)
        grant = self._open.get(hold.id)
        if grant is None:
            raise LookupError(f"hold {hold.id.call}/{hold.id.attempt} is not open")
        if number <= grant.slices:
            return None
        parts: list[Tally] = []
        refused = self._take(claims, parts, now)
        if refused is None:
            grant.claims = [*grant.claims, *claims]
            grant.parts = [*grant.parts, *parts]
            grant.slices = number
        return refused

    def settle(self, hold: Hold, amounts: Mapping[bytes, int]) -> Sequence[Overrun]:
        """Turn a hold into use; a hold that is neither open nor estimated changes nothing."""
        grant = self._open.pop(hold.id, None)
        if grant is None:
            return self._amend(hold, amounts)
        if grant.slices:
            return _settle_slices(grant, amounts)
        overruns: Sequence[Overrun] = ()
        actual_of = amounts.get
        for (counter, amount), part in zip(grant.claims, grant.parts, strict=True):
            algorithm = counter.algorithm
            actual = actual_of(counter.id, amount)
            if actual < 0:  # noqa: PLR1730 - half the cost of a call of `max`
                actual = 0
            if algorithm < ONE_PLACE:
                part.held -= amount
                part.used += actual
            else:
                part.settle(amount, actual)
            if actual > amount and algorithm is not ONE_PLACE:
                overruns = [*overruns, Overrun(counter, actual - amount)]
        return overruns

    def release(self, hold: Hold) -> None:
        """Give a hold back unused; one that is estimated too."""
        grant = self._open.pop(hold.id, None)
        if grant is not None:
            _give_back(grant.claims, grant.parts)
        else:
            self._amend(hold, {counter.id: 0 for counter, _ in hold.claims})

    async def renew(self, holds: Sequence[Hold]) -> Sequence[Hold]:
        """Lease holds anew; returns those that are no longer open. One that claims nothing has nothing to lose."""
        now = int(self._clock.monotonic() * MICROS) * 1_000
        self._expire(now)
        lost = []
        for hold in holds:
            grant = self._open.pop(hold.id, None)
            if grant is None:
                if hold.claims:
                    lost.append(hold)
            else:
                grant.expires = now + self._lease
                self._open[hold.id] = grant
        self._expire(now)
        return lost

    async def sweep(self) -> Sequence[Hold]:
        """Settle holds whose lease ran out, and forget a part of the counters that no longer count."""
        now = int(self._clock.monotonic() * MICROS) * 1_000
        self._expire(now)
        wall = int(self._clock.time() * MICROS) * 1_000
        self._skew = wall - now
        held: set[int] | None = None
        for _ in range(LOOKED_AT):
            key = next(self._looking, None)
            if key is None:
                self._looking = iter([*self._tallies])
                break
            tally = self._tallies.get(key)
            if tally is not None and tally.idle(wall if tally.algorithm is CALENDAR else now):
                # A hold of nothing may yet settle at something.
                held = self._parts() if held is None else held
                if id(tally) not in held:
                    tally.live = False
                    del self._tallies[key]
        expired, self._expired = self._expired, []
        return expired

    async def count(self, counter: Counter) -> Count:
        """Return a counter's state now."""
        return self.view(counter)

    def view(self, counter: Counter) -> Count:
        """Return a counter's state now."""
        now = int(self._clock.monotonic() * MICROS) * 1_000
        if now >= self._due:
            self._expire(now)
        if counter.algorithm is FIXED:
            tally = self._tallies.get(counter.id)
            if tally is None and counter.id in self._before:
                tally = self._tally(counter, now)
            if tally is None or not tally.counted(now):
                return Count(0, 0, None)  # its window begins with the first call
        _, used, held, reset_at = self._refusal(Claim(counter, 0), self._tally(counter, now), now)
        return Count(used, held, reset_at)

    def knows(self, counter: Counter) -> bool:
        """Tell whether anything was ever used of a counter that still counts."""
        return counter.id in self._tallies or counter.id in self._before

    async def reset(self, counter: Counter) -> None:
        """Start a counter anew; holds settle where they were taken."""
        if counter.algorithm is not ONE_PLACE:
            tally = self._tallies.pop(counter.id, None)
            if tally is not None:
                tally.live = False
            self._before.pop(counter.id, None)

    def _parts(self) -> set[int]:
        """Return what open holds are held in."""
        return {id(getattr(part, "whole", None) or part) for grant in self._open.values() for part in grant.parts}

    def _granted(self, grant: Grant) -> Hold:
        grant.skew = self._skew
        grant.taken = grant.expires - self._lease
        if not self._open:
            self._due = grant.expires
        self._open[grant.id] = grant
        return grant

    def _take(self, claims: Sequence[Claim], parts: list[Tally], now: int) -> Refused | None:
        """Add the parts that claims are held in to `parts`, or leave everything as it was and say why."""
        start = len(parts)
        find = self._tallies.get
        wall = 0
        for claim in claims:
            counter, amount = claim
            algorithm = counter.algorithm
            tally = find(counter.id)
            if tally is None and len(self._tallies) >= MOST:
                # Closed: what cannot be counted is not let in; sweeps make room as windows end.
                _undo(claims[: len(parts) - start], parts[start:])
                del parts[start:]
                return Refused(claim, 0, 0, None)
            if algorithm is CALENDAR:
                wall = wall or int(self._clock.time() * MICROS) * 1_000
                if tally is None or tally.end <= wall:
                    tally = self._tally(counter, wall)
            elif tally is None or tally.end <= now or tally.algorithm is not algorithm:
                tally = self._tally(counter, now)
            elif algorithm is FIXED and not tally.used and not tally.held:
                # A window begins with the first call that counts: not with one refused or given back.
                tally.live = False
                tally = self._tallies[counter.id] = Tally(FIXED, counter.window.span(now).end)
            if algorithm <= ONE_PLACE:
                if tally.used + tally.held + amount <= counter.limit:
                    tally.held += amount
                    parts.append(tally)
                    continue
            else:
                part = tally.take(amount, counter.limit, now)
                if part is not None:
                    parts.append(part)
                    continue
            _undo(claims[: len(parts) - start], parts[start:])
            del parts[start:]
            return self._refusal(claim, tally, wall if algorithm is CALENDAR else now)
        return None

    def _tally(self, counter: Counter, now: int) -> Tally:
        """Return a counter's present tally, opening the window of an instant of its own clock if need be."""
        window, algorithm = counter.window, counter.algorithm
        if algorithm is CALENDAR:
            now = int(self._clock.time() * MICROS) * 1_000
        before = self._tallies.get(counter.id)
        if before is not None and before.algorithm is algorithm and before.end > now:
            return before
        # Another algorithm takes over what still counts, as used: its holds settle where they were taken.
        carried = 0 if before is None else before.counted(now)
        tally: Tally
        if algorithm is Algorithm.TOKEN_BUCKET:
            tally = Bucket(window.length, now, carried)
        elif algorithm is Algorithm.SLIDING:
            tally = Sliding(window.length, now, carried)
        else:
            after = before.end if before is not None and before.end <= now else None
            tally = Tally(algorithm, window.span(now, after).end, carried)
        if before is not None:
            before.live = False
        self._tallies[counter.id] = tally
        if counter.id in self._before:
            self._recall(counter, tally, now)
        return tally

    def _recall(self, counter: Counter, tally: Tally, now: int) -> None:
        """Add what a counter had before this process, as far as it still counts."""
        shift = 0 if counter.algorithm in (CALENDAR, Algorithm.TOTAL) else self._skew
        amounts = [(min(until - shift, NEVER), amount) for until, amount in self._before.pop(counter.id)]
        still = [(until, amount) for until, amount in amounts if until > now and amount]
        if not still:
            return
        if counter.algorithm in (CALENDAR, FIXED):
            # A window goes on to its own end, whatever the rule says of one that begins now: of several, to the last.
            tally.end = still[-1][0]
        elif isinstance(tally, Bucket):
            tally.limit = counter.limit
        tally.recall(still)

    def _refusal(self, claim: Claim, tally: Tally, now: int) -> Refused:
        """Describe a tally that a claim did not fit in, in Unix time."""
        counter, amount = claim
        if isinstance(tally, Sliding):
            tally.leave(now)
        elif isinstance(tally, Bucket):
            tally.drain(counter.limit, now)
        reset_at = tally.fits_at(amount, counter.limit, now)
        if reset_at is not None and counter.algorithm is not CALENDAR:
            reset_at += int(self._clock.time() * MICROS) * 1_000 - now
        return Refused(claim, tally.used, tally.held, reset_at)

    def _expire(self, now: int) -> None:
        """Settle at its held amount every hold whose lease ran out."""
        over = []
        self._due = NEVER
        for grant in self._open.values():
            if grant.expires > now:
                self._due = grant.expires
                break
            over.append(grant)
        for grant in over:
            del self._open[grant.id]
            grant.estimated = True
            for (_, amount), part in zip(grant.claims, grant.parts, strict=True):
                part.settle(amount, amount)
            if len(self._estimated) >= ESTIMATED:
                del self._estimated[next(iter(self._estimated))]
            self._estimated[grant.id] = grant
            self._expired.append(grant)

    def _amend(self, hold: Hold, amounts: Mapping[bytes, int]) -> Sequence[Overrun]:
        """Replace the estimate of a hold that ran out, once."""
        grant = self._estimated.pop(hold.id, None)
        if grant is None:
            return ()
        grant.estimated = False
        actuals, overruns = spread(grant.claims, amounts)
        for (_, amount), part, actual in zip(grant.claims, grant.parts, actuals, strict=True):
            part.amend(amount, actual)
        return overruns


def _settle_slices(grant: Grant, amounts: Mapping[bytes, int]) -> Sequence[Overrun]:
    actuals, overruns = spread(grant.claims, amounts)
    for (_, amount), part, actual in zip(grant.claims, grant.parts, actuals, strict=True):
        part.settle(amount, actual)
    return overruns


def _give_back(claims: Sequence[Claim], parts: Sequence[Tally]) -> None:
    for (_, amount), part in zip(claims, parts, strict=True):
        part.settle(amount, 0)


def _undo(claims: Sequence[Claim], parts: Sequence[Tally]) -> None:
    for (_, amount), part in zip(claims, parts, strict=True):
        part.undo(amount)
