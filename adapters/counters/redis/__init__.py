"""Counters in Redis or Valkey, for any number of processes: exact, one atomic step and one round trip for all claims of a call.

All keys carry one hash tag, `{interlock:NAMESPACE}`. Redis' clock is the clock; amounts and instants are whole numbers below 2^53,
what its scripts count exactly. Settlements wait for nobody: they are queued, and repeated until they have arrived.
While Redis is away, a call passes as its counters say: not at all, uncounted until Redis is back, or on a share held ahead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapters.counters.redis.asking import LOST, WAITING, Answer, Asking
from adapters.counters.redis.away import Away
from adapters.counters.redis.channel import Channel
from adapters.counters.redis.client import Client, Unanswered
from adapters.counters.redis.endings import CANCELLED, CHARGED, REPLAYED, SETTLED, Endings, ended, packed
from adapters.counters.redis.holds import Granted, name_of
from adapters.counters.redis.joining import Joining, NoPast
from adapters.counters.redis.link import LinkError
from adapters.counters.redis.reckoning import MOST, many, nanos, text
from adapters.counters.redis.server import Server, connect
from adapters.counters.redis.shares import Shares
from adapters.counters.redis.sight import Sight
from engine.claims import spread
from engine.contracts import Claim, Clock, Count, Counter, CountersError, Hold, HoldId, Overrun, Refused
from engine.windows import NEVER, Algorithm

LEASE = 60
"""Seconds until a hold that is not renewed counts as used."""
OPEN = 100_000
"""Holds that ran out and whose late settle is still expected; beyond, the oldest estimates stand."""
BATCH = 1_000
"""Holds in one script."""
RENEWED = 20
"""Turns after which shares are leased anew."""


class Redis:
    """The `Counters` of all processes that share a Redis and a namespace; `settings` are those of `Server`, `namespace`, `past`."""

    def __init__(self, clock: Clock, settings: Mapping[str, Any] | None = None, lease: float = LEASE) -> None:
        said = settings or {}
        prefix = "{interlock:" + (said.get("namespace") or "default") + "}:"
        self._clock = clock
        self._lease = int(lease * 1e9)
        self._given = NoPast()
        past = said.get("past") or self._given
        self._journaled = past is not self._given
        self.client = Client(Server.read(said), prefix)
        self.channel = Channel(self.client, prefix)
        self.publish, self.subscribe = self.channel.publish, self.channel.subscribe
        self.asking = Asking(self.client, clock, past.journal, self._lease)
        self._sight = Sight(clock.monotonic)
        self._shares = Shares(past.journal, clock.monotonic)
        self._away = Away(self._shares, self._sight, self.asking.time)
        self._endings = Endings(self.client, self.asking.head)
        self.client.before = self._endings.flush
        self._joining = Joining(self.client, past, self.asking)
        self._joining.open_holds = self._held
        self._joining.marked = self._marked
        self._open: dict[HoldId, Granted] = {}  # by the time their leases run out
        self._estimated: dict[HoldId, Granted] = {}
        self._turns = 0

    @property
    def reason(self) -> str:
        """Why Redis cannot be asked at the moment; empty while it can."""
        return "" if self.client.ready else self.client.reason

    def __repr__(self) -> str:
        return f"<Redis {self.client} open={len(self._open)} endings={len(self._endings)}>"

    # What calls ask for.

    async def reserve(
        self, hold: HoldId, caller: Sequence[Claim], candidates: Sequence[Sequence[Claim]]
    ) -> Hold | Refused:
        """Grant the caller's claims and those of the first candidate that fits, or nothing."""
        held = self._open.get(hold) or self._estimated.get(hold)
        if held is not None:
            return held
        every = [*caller, *(claim for claims in candidates for claim in claims)]
        if not self.client.ready:
            return self._gone(hold, caller, candidates, self.client.reason)
        try:
            answer = await self.asking.reserve(hold, caller, candidates)
        except CountersError as error:
            if isinstance(error, Unanswered):
                self._cancel(hold, every)
            return self._gone(hold, caller, candidates, str(error))
        except BaseException:
            self._cancel(hold, every)
            raise
        if answer[0] == 1:
            return _refused(answer, every)
        if answer[0] != 0:
            return self._gone(hold, caller, candidates, self.asking.why(answer))
        claims = [*caller, *candidates[answer[2]]] if candidates else caller
        granted = Granted(hold, claims, answer[2], self._expiry())
        said = answer[3:]
        granted.learn(claims, said)
        self._sight.granted(claims, said)
        self._open[hold] = granted
        for counter, _ in claims:
            if counter.failure == "Local":
                self._shares.want(counter)
        return granted

    def lot(self, counters: Sequence[Counter]) -> None:
        """Prepare nothing: only Redis knows what there is."""
        del counters

    def grant(self, hold: HoldId, lot: Any, amounts: Sequence[int], room: Sequence[int]) -> None:
        """Grant nothing at once."""
        del hold, lot, amounts, room

    def roomy(self, counters: Sequence[Counter], room: Sequence[int]) -> bool:
        """Tell whether there was room for as much of each when this process last heard of it."""
        return self._sight.roomy(counters, room)

    def spend(self, hold: Hold, amounts: Sequence[int]) -> Sequence[Overrun]:
        """Settle a hold by the amounts used, in the order of its claims."""
        granted = self._ending(hold)
        if granted is None:
            return ()
        self._finish(granted, amounts)
        return [
            Overrun(counter, used - amount)
            for (counter, amount), used in zip(granted.claims, amounts, strict=True)
            if used > amount and counter.algorithm is not Algorithm.LEASE
        ]

    async def extend(self, hold: Hold, number: int, claims: Sequence[Claim]) -> Refused | None:
        """Hold more against the limits that the claims bring."""
        granted = self._open.get(hold.id)
        if granted is None:
            raise LookupError(f"hold {hold.id.call}/{hold.id.attempt} is not open")
        if number <= granted.slices:
            return None
        if granted.away is not None or not self.client.ready:
            self._away.extend(granted, number, claims)
            return None
        try:
            answer = await self.asking.extend(granted, number, claims)
        except CountersError:
            self._away.extend(granted, number, claims)
            return None
        if answer[0] == 1:
            return _refused(answer, claims)
        if answer[0] == 5:
            raise LookupError(f"hold {hold.id.call}/{hold.id.attempt} is not open")
        if answer[0] in {LOST, WAITING}:
            self.asking.why(answer)
            self._away.extend(granted, number, claims)
            return None
        # A slice that was granted before its answer was lost says nothing of its counters.
        said = answer[3:] or [0, 0, MOST] * len(claims)
        granted.learn(claims, said)
        if answer[0] == 0:
            self._sight.granted(claims, said)
        granted.claims = [*granted.claims, *claims]
        granted.slices = number
        return None

    def settle(self, hold: Hold, amounts: Mapping[bytes, int]) -> Sequence[Overrun]:
        """Turn a hold into use; a hold that is neither open nor estimated changes nothing."""
        granted = self._ending(hold)
        if granted is None:
            return ()
        actuals, overruns = spread(granted.claims, amounts)
        self._finish(granted, actuals)
        return overruns or ()

    def release(self, hold: Hold) -> None:
        """Give a hold back unused; one that is estimated too."""
        self.settle(hold, {counter.id: 0 for counter, _ in hold.claims})

    # What is kept up.

    async def renew(self, holds: Sequence[Hold]) -> Sequence[Hold]:
        """Lease holds anew; returns those that are no longer open, none while nobody can tell."""
        lost = [one for one in holds if one.id not in self._open and one.claims]
        mine = [one for one in (self._open.get(hold.id) for hold in holds) if one is not None and one.away is None]
        try:
            for at in range(0, len(mine), BATCH):
                part = mine[at : at + BATCH]
                places, _ = await self.asking.keep(leased=part)
                gone = [part[place] for place in places]
                for one in part:
                    if self._open.pop(one.id, None) is not None:
                        one.expires = self._expiry()
                        self._open[one.id] = one
                lost += self._estimate(gone)
        except CountersError:
            return lost
        return lost

    async def sweep(self) -> Sequence[Hold]:
        """Return the holds of this process whose leases have run out, as Redis says; each once."""
        now = int(self._clock.monotonic() * 1e9)
        due = [one for one in self._open.values() if one.expires <= now and one.away is None]
        found: list[Granted] = []
        try:
            for at in range(0, len(due), BATCH):
                part = due[at : at + BATCH]
                places, _ = await self.asking.keep(looked=part)
                found += self._estimate([part[place] for place in places])
        except CountersError:
            return found
        return found

    async def count(self, counter: Counter) -> Count:
        """Return a counter's state now."""
        _, said = await self.asking.keep(counters=[counter])
        return self._sight.heard(counter, said)

    def view(self, counter: Counter) -> Count:
        """Return what this process last heard of a counter."""
        return self._sight.view(counter)

    def knows(self, counter: Counter) -> bool:
        """Tell whether this process has heard of anything used of a counter."""
        return self._sight.knows(counter)

    async def reset(self, counter: Counter) -> None:
        """Start a counter anew; holds settle where they were taken."""
        if counter.algorithm is Algorithm.LEASE:
            return
        if not self.client.ready:
            raise CountersError(self.client.reason)
        await self.client.ask("reset", b"\x92" + self.asking.instant() + text(counter.id))
        self.asking.reckoning.forget(counter)
        self._sight.forget(counter)

    def restore(self, amounts: Iterable[tuple[bytes, int, int]]) -> None:
        """Take up what counters had before, where no `past` was given: it is brought in when Redis is there."""
        self._given.restored += amounts

    async def replay(self, settled: Iterable[tuple[HoldId, Sequence[tuple[bytes, int]]]]) -> None:
        """Settle again what a process of this name settled before it ended."""
        for hold, used in settled:
            self._endings.add(packed(REPLAYED, name_of(hold), used))

    async def ping(self) -> str:
        """Say why Redis cannot be reached; empty when it can."""
        try:
            link = await connect(self.client.server)
        except LinkError as error:
            return str(error)
        link.close("asked")
        return ""

    async def run(self) -> None:
        """Keep the connections, and what this process holds and looks at."""
        try:
            await self.client.run(self._joining.join, self._turn)
        finally:
            self.channel.close()

    async def close(self) -> None:
        """Let go of the shares and send what waits to be settled, if Redis is there: before `run` is cancelled."""
        for hold, spent in self._shares.close():
            self.settle(hold, {hold.claims[0].counter.id: spent})
        loop = asyncio.get_running_loop()
        until = loop.time() + self.client.server.timeout
        while self.client.ready and not self._endings.done and loop.time() < until:
            self._endings.flush()
            await asyncio.sleep(0.005)

    # How it is done.

    def _ending(self, hold: Hold) -> Granted | None:
        """Return a hold that is open or estimated, and is so no longer."""
        granted = self._open.pop(hold.id, None)
        return granted if granted is not None else self._estimated.pop(hold.id, None)

    def _finish(self, hold: Granted, actuals: Sequence[int]) -> None:
        """Let a hold end by what each claim used."""
        hold.estimated = False
        hold.used(actuals)
        self._sight.ended(hold.claims, actuals)
        if hold.away is None:
            self._endings.add(ended(SETTLED, hold.name, hold.claims, actuals))
        else:
            self._settle_away(hold, actuals)

    async def _turn(self) -> None:
        """Do what is to be done every second: refresh what is looked at, settle what waits, hold shares."""
        self._endings.flush()
        self._turns += 1
        mine = self._shares.holds() if self._turns % RENEWED == 0 else []
        for stale in self._sight.stale():
            lost, said = await self.asking.keep(leased=mine, counters=stale)
            for at, counter in enumerate(stale):
                self._sight.heard(counter, said[4 * at : 4 * at + 4])
            for place in lost:
                mine[place].void()
            mine = []
        for hold, spent in self._shares.over(self.asking.time()):
            self.settle(hold, {hold.claims[0].counter.id: spent})
        for share, name, claim in self._shares.due():
            try:
                answer = await self.asking.reserve(name, [claim], ())
            except CountersError:
                self._cancel(name, [claim])
                raise
            if answer[0] == 0:
                hold = Granted(name, [claim], 0, NEVER)
                hold.learn([claim], answer[3:])
                share.hold, share.total = hold, claim.amount
                self._open[name] = hold
        self.channel.catch_up()
        await self.channel.keep()

    def _gone(self, hold: HoldId, caller: Sequence[Claim], candidates: Sequence[Sequence[Claim]], why: str) -> Granted:
        granted = self._away.grant(hold, caller, candidates, why)
        self._open[hold] = granted
        return granted

    def _settle_away(self, hold: Granted, actuals: Sequence[int]) -> None:
        loose = self._away.settle(hold, actuals)
        if loose:
            # By a name of its own: that of the hold may have been given up, which holds for what may yet be granted by it.
            claims = many(7 * len(loose)) + self.asking.reckoning.claims(loose)
            self._endings.add(packed(CHARGED, name_of(hold.id, "~"), (), claims))

    def _cancel(self, hold: HoldId, claims: Sequence[Claim]) -> None:
        """See that a hold is not granted behind our back, nor stays if it was."""
        unique = [*{one.counter.id: one for one in claims}.values()]
        self._endings.add(ended(CANCELLED, name_of(hold), unique, [0] * len(unique)))

    def _estimate(self, holds: Sequence[Granted]) -> list[Granted]:
        """Keep holds that ran out for their late settle; returns those that did not run out before."""
        found = []
        for one in holds:
            if self._open.pop(one.id, None) is None:
                continue
            one.estimated = True
            if len(self._estimated) >= OPEN:
                del self._estimated[next(iter(self._estimated))]
            self._estimated[one.id] = one
            found.append(one)
        return found

    def _held(self) -> Iterable[Granted]:
        return [*self._open.values(), *self._estimated.values()]

    def _marked(self) -> None:
        # Without a journal, nothing is on record that is not on its way.
        if self._journaled:
            self._endings.drop()
            self._shares.counted()

    def _expiry(self) -> int:
        return int(self._clock.monotonic() * 1e9) + self._lease


def _refused(answer: Answer, claims: Sequence[Claim]) -> Refused:
    _, _, at, used, held, reset = answer
    return Refused(claims[(at - 1) // 7], used, held, None if reset < 0 else nanos(reset))
