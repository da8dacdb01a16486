"""In which counters a call is counted: those of its caller, its end user, its tags and its model, and those of policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from engine.activation import client_tags
from engine.allowances import Allowance, counter
from engine.call import Call, Caller
from engine.claims import Counter, Scope, Subject, Unit
from engine.end_user import end_user
from engine.errors import PolicyError
from engine.windows import LEASE

KEPT = 256
"""Models whose counters are kept for one caller."""


class Customer(NamedTuple):
    """An end user: whether it may call, and how much it may use."""

    blocked: bool = False
    allowance: Allowance = Allowance()


Customers = Callable[[str], Customer | None]
"""Finds an end user by its id."""


def counters_of(call: Call, customers: Customers) -> tuple[Counter, ...]:
    """Return the counters of a call, each once; raises PolicyError for an end user that is blocked."""
    caller = call.caller
    found = call.counters
    if caller is not None:
        key = (call.snapshot.revision, call.model)
        own = caller.counters.get(key)
        if own is None:
            own = _own(call, caller, key)
        found += own
    settings = call.snapshot.settings
    if settings.tags and caller is not None:
        allowed = [tag for tag in client_tags(call) if tag in caller.allowed_tags or settings.trusts_tags]
        for tag in dict.fromkeys((*caller.tags, *allowed)):
            found += settings.tags.get(tag, ())
    call.account.end_user = end_user(call)
    if call.account.end_user and (customer := customers(call.account.end_user)) is not None:
        if customer.blocked:
            raise PolicyError(
                400,
                "user_blocked",
                f"user blocked from making LLM API calls: `{call.account.end_user}`; ask an administrator",
            )
        found += tuple(customer.allowance.counters(call.model))
    return found


def _own(call: Call, caller: Caller, key: tuple[int, str]) -> tuple[Counter, ...]:
    """Find what a caller's calls to a model are counted in, whatever else they hold."""
    settings, group = call.snapshot.settings, call.group
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
    if len(caller.counters) >= KEPT:
        caller.counters.clear()
    caller.counters[key] = tuple(found)
    return caller.counters[key]
