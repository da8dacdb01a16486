"""The one place where calls hold and spend: every egress reserves before it sends and settles when it ends.

A call holds the most that it may use of every counter that governs it, in one step, or is refused and counts nowhere.
It settles at what it used: its end, an error, a client that left, a crash all lead there, once. Every operation is
idempotent by (call id, attempt).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from engine.amounts import Amounts, Wanted, roughly, unmeasured, wanted
from engine.books import Books, parts, uncounted
from engine.call import Call, Caller, Usage
from engine.claims import Claim, Counter, Counters, CountersError, Hold, HoldId, Refused, Unit, spread
from engine.contracts import Clock
from engine.counting import UNKNOWN, Counted, Customers, counted, current
from engine.decision import Decision, Outcome
from engine.learning import Learned
from engine.newcomers import Newcomers
from engine.posting import Part
from engine.refusals import refusal, shown
from engine.snapshot import Deployment, Snapshot
from engine.spent import Spent
from engine.windows import Algorithm

log = structlog.get_logger("interlock")

LEASE = Algorithm.LEASE
SWEEP = 1.0
"""Seconds between two looks for leases that ran out."""
RENEW = 20
"""Sweeps between two renewals: a third of the lease."""
SAMPLED = 32
"""Of so many answers one is learned from, once enough is known."""
TRIES = 8
"""How often an answer is made shorter before the call is refused."""


class Ledger:
    """Grants holds, settles them and keeps what each key has spent."""

    def __init__(self, counters: Counters, clock: Clock, books: Books | None = None) -> None:
        self.counters = counters
        self.learned = Learned()
        self.spent = Spent()
        self.customers: Customers = lambda _: None
        self.in_force: Callable[[], Snapshot | None] = lambda: None
        self.callers: Callable[[str], Caller | None] = lambda _: None
        self.overruns: dict[str, int] = {}
        """By how much settlements exceeded their holds, by unit."""
        self.crossed: dict[str, int] = {}
        """How often soft limits were passed, by the counter's name."""
        self._clock = clock
        self._newcomers = Newcomers(counters)
        self._books = books or Books()
        self._open: dict[HoldId, Hold] = {}
        self._anew: dict[HoldId, dict[bytes, int]] = {}
        """Of open holds, how many claims on counters were taken before these began anew."""
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Ledger {len(self._open)} open holds>"

    @property
    def open_holds(self) -> int:
        """How many holds are neither settled nor released."""
        return len(self._open)

    async def reserve(self, call: Call, deployment: Deployment) -> Refused | None:
        """Hold what one attempt of a call may use at a deployment; None when it is granted, and `call.account` says what.

        Raises InternalError 503 when that cannot be recorded, and PolicyError for an end user that is blocked.
        """
        own = counted(call, self.customers)
        if call.account.end_user:
            self._newcomers.admit(call, own, self._clock.time())
        every = own.beside(deployment.counters)
        if not every.counters:
            self._uncounted(call, every)
            return None
        if every.measured:
            rough = roughly(call, deployment)
            if rough is not None and await self._plenty(call, every, rough):
                return None
        return await self.hold(call, every, wanted(call, deployment, self.learned) if every.measured else None)

    def _uncounted(self, call: Call, every: Counted) -> None:
        """Record a call that nothing counts; as `reserve`."""
        unavailable = self._books.available()
        if unavailable is not None:
            raise unavailable
        account = call.account
        account.held, account.shortest, account.wanted, account.until = every, None, None, ()
        account.hold, account.open = Hold(HoldId(call.id, call.attempt), ()), True
        account.counted = account.counted or call.attempt
        self._open[account.hold.id] = account.hold
        self._recorded(call, account.hold, [])

    async def _plenty(self, call: Call, every: Counted, rough: Wanted) -> bool:
        """Hold roughly what a call may use, where each limit has room for a thousand times as much; tells whether it has.

        By how much the guess is wrong is nothing beside that room: no call is let in, or refused, for it.
        """
        if self._books.available() is not None:
            return False
        amounts = rough.amounts(request=not call.account.counted)
        held = every.of(amounts)
        asked = held.amounts(amounts)
        hold_id, room = HoldId(call.id, call.attempt), held.room(asked)
        hold = self._at_once(hold_id, held, asked, room)
        if hold is None and held.lot is None and self.counters.roomy(held.counters, room):
            answer = await self._reserved(hold_id, held.claims(asked))
            hold = answer if isinstance(answer, Hold) else None
        if hold is None:
            return False
        call.account.held, call.account.shortest = held, None
        self._granted(call, hold, rough, asked)
        return True

    def _at_once(self, hold_id: HoldId, held: Counted, amounts: Sequence[int], room: Sequence[int]) -> Hold | None:
        if held.lot is UNKNOWN:
            held.lot = self.counters.lot(held.counters)
        return self.counters.grant(hold_id, held.lot, amounts, room) if held.lot is not None else None

    async def hold(self, call: Call, every: Counted, need: Wanted | None) -> Refused | None:
        """Hold what is needed of some counters; as `reserve`."""
        unavailable = self._books.available()
        if unavailable is not None:
            raise unavailable
        account = call.account
        hold_id = HoldId(call.id, call.attempt)
        refused: Refused | None = None
        account.shortest = None
        for _ in range(TRIES):
            request = not account.counted
            amounts = need.amounts(request=request) if need is not None else unmeasured(request=request)
            held = every.of(amounts)
            asked = held.amounts(amounts)
            answer: Hold | Refused | None = self._at_once(hold_id, held, asked, asked)
            if answer is None:
                answer = await self._reserved(hold_id, held.claims(asked))
            if isinstance(answer, Hold):
                account.held = held
                self._granted(call, answer, need, asked)
                return None
            refused = answer
            if need is None or not need.shorten(refused):
                break
            account.shortest = need.limit
        return refused

    async def _reserved(self, hold_id: HoldId, claims: Sequence[Claim]) -> Hold | Refused:
        try:
            return await self.counters.reserve(hold_id, claims, ())
        except CountersError as error:
            raise uncounted(error) from error

    def _granted(self, call: Call, hold: Hold, need: Wanted | None, amounts: Sequence[int]) -> None:
        account = call.account
        assert account.held is not None  # noqa: S101 - set by the caller
        account.hold, account.wanted, account.open = hold, need, True
        account.counted = account.counted or hold.id.attempt
        self._open[hold.id] = hold
        if call.decision is not None and call.counters:
            _advise(call, call.decision, hold)
        if need is not None and not need.known and account.shortest is None and not need.stream and _scarce(hold):
            account.shortest = need.limit
        account.until = hold.until()
        self._recorded(call, hold, account.held.parts(account.until, amounts))

    def _recorded(self, call: Call, hold: Hold, parts: list[Part]) -> None:
        """Put a hold on record; where its sender asks first, with the others of this turn."""
        deployment, call.account.begun = call.deployment, None
        if deployment is not None and deployment.endpoint.asks_first and self._books.gathers:
            call.account.begun = self._books.holding(call, hold, parts)
            return
        failed = self._books.held(call, hold, parts)
        if failed is not None:
            self.release(call, recorded=False)
            raise failed

    async def extend(self, call: Call, output: int) -> str | None:
        """Hold so many tokens of output, or as much again as is held, against the limits in force now; say why not."""
        hold, need = call.account.hold, call.account.wanted
        if hold is None or need is None or not call.account.open:
            return "this call holds nothing any more"
        fresh = self.current(call)
        if fresh is None:
            return "this key may not call any more"
        refused: Refused | None = None
        for target in dict.fromkeys((max(output, min(2 * need.held, need.output)), output)):
            claims = _more(hold, need, target - need.held, fresh)
            try:
                refused = await self.counters.extend(hold, hold.slices + 1, claims)
            except LookupError:
                return "the lease of this call has run out"
            except CountersError as error:
                return str(error)
            if refused is None:
                need.held, need.worth = target, need.cost(target)
                call.account.until = until = hold.until()
                failed = self._books.held(call, hold, _parts(claims, until[len(until) - len(claims) :]))
                return None if failed is None else failed.message
        assert refused is not None  # noqa: S101 - the loop ran
        return refusal(refused, call, self._clock.time()).message

    def current(self, call: Call) -> Sequence[Counter] | None:
        """Return what a call is counted in by the limits of now; None where its caller may not call any more."""
        now = call.caller
        if now is not None:
            now = self.callers(now.key_hash)
            if now is None or now.blocked or now.team_blocked:
                return None
        return list(current(call, self.in_force() or call.snapshot, now, self.customers))

    def settle(self, call: Call, usage: Usage | None, *, final: bool = True) -> None:
        """Turn a call's hold into what was used, a `final` one with its row; a hold that is not open changes nothing."""
        account = call.account
        hold, held = account.hold, account.held
        if hold is None or held is None or not account.open:
            return
        account.open = False
        self._open.pop(hold.id, None)
        used, until = held.amounts(_used(usage)), account.until
        # A hold that has grown has several claims of one counter: what was used is divided among them.
        divided = spread(hold.claims, held.used(used))[0] if hold.slices else used
        if hold.slices:
            settled = self.counters.settle(hold, held.used(used))
        else:
            settled = self.counters.spend(hold, used) if used else ()
        for overrun in settled:
            unit = overrun.counter.unit
            self.overruns[unit] = self.overruns.get(unit, 0) + overrun.amount
        if usage is not None:
            self._account(call, usage)
        anew = self._anew.pop(hold.id, None) if self._anew else None
        if anew is not None:
            until = _since(hold.claims, until, anew)
        charged = parts(hold.claims, until, divided) if hold.slices else held.parts(until, used)
        if anew is not None:
            charged = [one for one in charged if one[1]]
        self._books.settled(call, hold, charged, self._duration(call), final=final)
        account.written = account.written or final
        if held.warns:
            self._warn(call, hold)

    def close(self, call: Call) -> None:
        """Settle what a call still holds at its end, and write its row if it was ever sent."""
        if call.account.open:
            if call.error is None:
                self.abandon(call)
            else:
                self.settle(call, call.usage)
        elif call.account.counted and not call.account.written:
            self._books.settled(call, None, [], self._duration(call), final=True)
            call.account.written = True

    def abandon(self, call: Call) -> None:
        """Settle a call of whose answer nobody waits for more: as what it has reported, else as what it may have used by now."""
        if call.usage is None and call.account.wanted is not None:
            call.usage = _left_behind(call, call.account.wanted)
        self.settle(call, call.usage)

    def release(self, call: Call, *, recorded: bool = True) -> None:
        """Give back what an attempt held that put no byte on the wire; of one that is not `recorded` nothing is written."""
        account = call.account
        hold = account.hold
        if hold is None or not account.open:
            return
        account.open = False
        if account.counted == hold.id.attempt:
            account.counted = 0
        self._open.pop(hold.id, None)
        self._anew.pop(hold.id, None)
        self.counters.release(hold)
        if recorded:
            self._books.released(hold)

    async def reset(self, counter: Counter) -> None:
        """Start a counter anew; what was held by then settles in what it was before."""
        try:
            await self.counters.reset(counter)
        except CountersError as error:
            raise uncounted(error) from error
        for hold in self._open.values():
            if any(one.id == counter.id for one, _ in hold.claims):
                self._anew.setdefault(hold.id, {})[counter.id] = len(hold.claims)
        self._books.reset(counter.id)

    async def run(self) -> None:
        """Renew the leases of all open holds and settle those that ran out, until cancelled."""
        turn = 0
        while True:
            await asyncio.sleep(SWEEP)
            turn += 1
            if turn % RENEW == 0 and self._open:
                lost = await self.counters.renew([*self._open.values()])
                if lost:
                    log.warning("leases lost", holds=len(lost))
            await self.counters.sweep()

    def _account(self, call: Call, usage: Usage) -> None:
        if call.caller is None:
            return
        key = call.caller.key_hash
        if usage.cost:
            self.spent.add(key, usage.cost)
        need, deployment = call.account.wanted, call.deployment
        if need is None or deployment is None or usage.estimated or not need.usual:
            return
        self._turn += 1
        if self._turn % SAMPLED and self.learned.knows(deployment.model, key):
            return
        estimate = need.asks(call) if need.guessed else None
        self.learned.answered(deployment.model, key, usage.output)
        if estimate is not None:
            self.learned.counted(deployment.model, estimate, usage.input)
        self.spent.taught(deployment.model, key, usage.output, estimate, usage.input)

    def _warn(self, call: Call, hold: Hold) -> None:
        """Say which soft limits this call has passed."""
        for (counter, _), left in zip(hold.claims, hold.left(), strict=True):
            if counter.soft is None or counter.limit - left <= counter.soft:
                continue
            self.crossed[counter.name] = self.crossed.get(counter.name, 0) + 1
            if counter.finding != "Audit" and self.crossed[counter.name] == 1:
                log.warning("soft limit passed", limit=counter.name, subject=str(counter.subject.scope), call=call.id)

    def _duration(self, call: Call) -> float:
        return self._clock.monotonic() - call.arrived


def _parts(claims: Sequence[Claim], until: Sequence[int]) -> list[Part]:
    return [
        (counter.id, end, amount)
        for (counter, amount), end in zip(claims, until, strict=True)
        if counter.algorithm is not LEASE
    ]


def _since(claims: Sequence[Claim], until: Sequence[int], anew: dict[bytes, int]) -> list[int]:
    """Return to when claims count: those taken before their counter began anew count no more, 0."""
    return [
        0 if at < anew.get(counter.id, 0) else end
        for at, ((counter, _), end) in enumerate(zip(claims, until, strict=True))
    ]


def _more(hold: Hold, need: Wanted, output: int, fresh: Sequence[Counter]) -> list[Claim]:
    """Return what so much more output takes of the counters of a hold, at their limits of now."""
    now = {counter.id: counter for counter in fresh}
    cost = need.cost(need.held + output) - need.cost(need.held)
    amounts = {Unit.USD: cost, Unit.TOKENS: output, Unit.OUTPUT_TOKENS: output}
    held = {counter.id: counter for counter, _ in hold.claims if counter.unit in amounts}
    return [Claim(now.get(name, one), amounts[one.unit]) for name, one in held.items()]


def _left_behind(call: Call, need: Wanted) -> Usage:
    """Charge the input of a call whose client left before its answer came, or what it costs anyway: it was sent."""
    usage = Usage(need.asks(call))
    usage.estimated = True
    usage.cost = need.price.cost(usage) if need.price is not None else need.cost(0) or None
    return usage


def _advise(call: Call, decision: Decision, hold: Hold) -> None:
    """Note which limits of policies that refuse nothing are passed."""
    left = hold.left()
    for place, (counter, _) in enumerate(hold.claims):
        if not counter.finding or counter.limit - left[place] <= (counter.soft or 0):
            continue
        decision.outcomes.append(Outcome(counter.name, "match"))
        if counter.finding == "Warn":
            decision.warnings.append(f"{counter.name}: over its limit of {shown(counter.soft or 0, counter.unit)}")
            log.warning("policy", finding=counter.name, call=call.id)


def _used(usage: Usage | None) -> Amounts:
    """Return what a call used of each unit, by place."""
    if usage is None:
        return [0, 1, 0, 0, 0, 0]
    # A provider's cache is not what a rate limit is for.
    asked = usage.input - usage.cached_input
    return [usage.cost or 0, 1, asked + usage.output, asked, usage.output, 0]


def _scarce(hold: Hold) -> bool:
    """Tell whether a budget pays for fewer than ten more of what was held of it."""
    return any(
        counter.unit is Unit.USD and left < 10 * amount
        for (counter, amount), left in zip(hold.claims, hold.left(), strict=True)
    )
