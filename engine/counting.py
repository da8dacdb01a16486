"""In which counters a call is counted: those of its caller, its end user, its tags and its model, and those of policies.

Most calls of a key to a model are counted in the same ones: what these come to is worked out once (`Counted`) and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter, mul
from typing import Any, NamedTuple

from engine.activation import client_tags
from engine.allowances import NOTHING, Allowance, counter
from engine.amounts import Amounts
from engine.call import Call, Caller
from engine.claims import NANO, PLACES, UNLIMITED, Claim, Counter, Hold, Scope, Subject, Unit
from engine.end_user import end_user
from engine.errors import PolicyError
from engine.headers import limit_head, shown
from engine.limiting import renewed
from engine.posting import Part
from engine.snapshot import Settings, Snapshot
from engine.windows import LEASE, Algorithm

KEPT = 256
"""Sets of counters that are kept for one caller, and of deployments' for one set."""
MEASURED = frozenset({Unit.USD, Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS})
"""Units of which a call's amount must be found out."""
PLENTY = 1_000
"""How often a limit must have room for a call so that it need not be measured what the call may use."""
OF_OUTPUT = MEASURED - {Unit.INPUT_TOKENS}
"""Units that output is counted in."""
_REQUESTS, _USD = PLACES[Unit.REQUESTS], PLACES[Unit.USD]
_claim = partial(tuple.__new__, Claim)


UNKNOWN = object()
"""Said of a lot before the counters' place has been asked."""


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return what picks entries, as a tuple."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda entries: tuple(entries[place] for place in places)


class Customer(NamedTuple):
    """An end user: whether it may call, and how much it may use."""

    blocked: bool = False
    allowance: Allowance = NOTHING


Customers = Callable[[str], Customer | None]
"""Finds an end user by its id."""


class Counted:
    """Some counters, and what is the same for all calls that are counted in them; the first `own` are not a deployment's.

    `measured` tells whether any needs an amount to be found out, `by_output` whether output counts, `warns` whether any is
    soft.
    """

    __slots__ = (
        "_beside", "_budgets", "_heads", "_ids", "_kept", "_parts", "_pick", "_times", "_told", "by_output", "counters", "lot", "measured", "own",
        "warns",
    )  # fmt: skip

    def __init__(self, counters: tuple[Counter, ...], own: int | None = None) -> None:
        self.counters = counters
        self.own = len(counters) if own is None else own
        units = {one.unit for one in counters}
        self.measured = not units.isdisjoint(MEASURED)
        self.by_output = not units.isdisjoint(OF_OUTPUT)
        self.warns = any(one.soft is not None for one in counters)
        self._pick = _picker([one.place for one in counters])
        self.lot: Any = UNKNOWN
        """The counters as they are prepared where they live; None where that gains nothing."""
        self._times = tuple(PLENTY if one.unit in MEASURED else 1 for one in counters)
        self._ids = tuple(one.id for one in counters)
        lease = any(one.algorithm is Algorithm.LEASE for one in counters)
        self._kept = (
            tuple(at for at, one in enumerate(counters) if one.algorithm is not Algorithm.LEASE) if lease else None
        )
        shown_to_client = counters[: self.own]
        told = [(at, head) for at, one in enumerate(shown_to_client) if (head := limit_head(one))]
        self._told = tuple(at for at, _ in told)
        self._heads = b"".join(head.replace(b"%", b"%%") + b"%d\r\n" for _, head in told)
        self._budgets = tuple(
            (at, one.limit, shown(one.name))
            for at, one in enumerate(shown_to_client)
            if one.unit is Unit.USD and one.limit != UNLIMITED
        )
        self._beside: dict[tuple[Counter, ...], Counted] = {}
        self._parts: dict[tuple[bool, bool], Counted] = {}

    def __repr__(self) -> str:
        return f"<Counted in {len(self.counters)}>"

    def beside(self, counters: tuple[Counter, ...]) -> Counted:
        """Return these counters with those of a deployment behind them."""
        if not counters:
            return self
        found = self._beside.get(counters)
        if found is None:
            if len(self._beside) >= KEPT:
                self._beside.clear()
            found = self._beside[counters] = Counted(self.counters + counters, self.own)
        return found

    def of(self, amounts: Amounts) -> Counted:
        """Return those of whose unit anything is used; a request that has been counted is not counted again, but by deployments."""
        key = (amounts[_USD] is None, amounts[_REQUESTS] is None)
        if key == (False, False):
            return self
        found = self._parts.get(key)
        if found is None:
            free, again = key
            kept = [
                (at, one)
                for at, one in enumerate(self.counters)
                if not (free and one.unit is Unit.USD) and not (again and one.unit is Unit.REQUESTS and at < self.own)
            ]
            own = sum(at < self.own for at, _ in kept)
            found = self._parts[key] = Counted(tuple(one for _, one in kept), own)
        return found

    def amounts(self, by_unit: Amounts) -> Sequence[int]:
        """Return amounts in the order of the counters; where a request is not counted again, deployments count it."""
        if by_unit[_REQUESTS] is None:
            by_unit = by_unit.copy()
            by_unit[_REQUESTS] = 1
        picked: Sequence[int] = self._pick(by_unit)
        return picked

    def room(self, amounts: Sequence[int]) -> Sequence[int]:
        """Return how much room there must be for plenty: PLENTY times what is measured, as much as is asked of all else."""
        return list(map(mul, amounts, self._times))

    def claims(self, amounts: Sequence[int]) -> list[Claim]:
        """Return what is claimed of each."""
        return list(map(_claim, zip(self.counters, amounts, strict=True)))

    def used(self, amounts: Sequence[int]) -> dict[bytes, int]:
        """Return what was used of each, by id."""
        return dict(zip(self._ids, amounts, strict=True))

    def parts(self, until: Sequence[int], amounts: Sequence[int]) -> list[Part]:
        """Return what outlives the process of amounts: nothing of what counts only while it runs."""
        found = list(zip(self._ids, until, amounts, strict=True))
        return found if self._kept is None else [found[at] for at in self._kept]

    def lines(self, hold: Hold) -> bytes:
        """Write the header lines that say what is left of the limits, and of the budget that is nearest its end."""
        left = hold.left()
        lines = self._heads % tuple([max(0, left[at]) for at in self._told])
        if not self._budgets:
            return lines
        least, name, rest = 2.0, b"", 0
        for at, limit, named in self._budgets:
            ratio = left[at] / limit if limit else 0.0
            if ratio < least:
                least, name, rest = ratio, named, left[at]
        dollars, nano = divmod(max(0, rest), NANO)
        return b"%bx-interlock-budget-remaining: %b=%d.%06d\r\n" % (lines, name, dollars, nano // 1000)


def counted(call: Call, customers: Customers) -> Counted:
    """Say in which counters a call is counted, each once; raises PolicyError for an end user that is blocked."""
    caller, settings = call.caller, call.snapshot.settings
    more = call.counters
    if settings.tags and caller is not None:
        more += _of_tags(call, caller, settings)
    on_behalf = call.account.end_user = end_user(call)
    if on_behalf and (customer := customers(on_behalf)) is not None:
        if customer.blocked:
            raise PolicyError(
                400, "user_blocked", f"user blocked from making LLM API calls: `{on_behalf}`; ask an administrator"
            )
        more += tuple(customer.allowance.counters(call.model))
    if caller is None:
        return Counted(more)
    key = (call.snapshot.revision, call.model, more)
    found = caller.counted.get(key)
    if found is None:
        if len(caller.counted) >= KEPT:
            caller.counted.clear()
        found = caller.counted[key] = Counted((*more, *_own(call, caller, settings)))
    return found


def current(call: Call, in_force: Snapshot, caller: Caller | None, customers: Customers) -> Iterator[Counter]:
    """Yield the counters of a running call as they are now: at today's limits, of a caller and a configuration changed since.

    A limit that is gone is not among them. What tells a policy's counters apart stays what it was.
    """
    settings = in_force.settings
    if caller is not None:
        yield from _own(call, caller, settings)
        yield from _of_tags(call, caller, settings)
    if call.account.end_user and (customer := customers(call.account.end_user)) is not None:
        yield from customer.allowance.counters(call.model)
    if in_force is call.snapshot:
        return
    for one in call.counters:
        again = renewed(one, in_force.policies.policies)
        if again is not None:
            yield again
    group = in_force.find(call.group.name) if call.group is not None else None
    if group is not None and call.deployment is not None:
        yield from next((one.counters for one in group.deployments if one.id == call.deployment.id), ())


def _of_tags(call: Call, caller: Caller, settings: Settings) -> tuple[Counter, ...]:
    if not settings.tags:
        return ()
    sent = [tag for tag in client_tags(call) if settings.trusts_tags or tag in caller.allowed_tags]
    return tuple(one for tag in dict.fromkeys((*caller.tags, *sent)) for one in settings.tags.get(tag, ()))


def _own(call: Call, caller: Caller, settings: Settings) -> list[Counter]:
    """Find what a caller's calls to a model are counted in, whatever else they hold."""
    group = call.group
    names = dict.fromkeys((call.model, group.name if group is not None else call.model))
    found: list[Counter] = []
    for allowance in caller.allowances:
        found += allowance.every
        found += next((allowance.by_model[name] for name in names if name in allowance.by_model), ())
    if not caller.admin:
        found += settings.everywhere
    if settings.parallel is not None and not any(
        one.unit is Unit.PARALLEL and one.subject.scope is Scope.KEY for one in found
    ):
        found.append(counter(Subject(Scope.KEY, caller.key_hash), Unit.PARALLEL, LEASE, settings.parallel))
    found += next((settings.models[name] for name in names if name in settings.models), ())
    return found
