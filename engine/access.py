"""Who may call which model: the one resolver behind every call and behind `/v1/models` (listed is callable).

The lists of a key and of its team are `ModelAccess` policies like those of the files (`Caller.access`); all that govern
a caller must admit a model. What rules say of a single call is `check`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

from engine.activation import Activation
from engine.call import Call, Caller
from engine.decision import Decision
from engine.errors import PolicyError
from engine.governing import NOTHING
from engine.snapshot import ModelGroup, Snapshot

REMEMBERED = 1024
"""Answers kept for one key; a client that invents names cannot grow it further."""


def check_model(call: Call) -> None:
    """Refuse a model that the caller may not call; raises PolicyError 403."""
    caller, group = call.caller, call.group
    assert caller is not None  # noqa: S101 - identify comes before check
    assert group is not None  # noqa: S101 - route comes before check
    if caller.access and not caller.admin and not _granted(caller, call.snapshot, call.model, group):
        _refuse(call, caller, group)


def check_passed_model(call: Call) -> None:
    """Refuse a model that a request names which goes on as it came, where the caller has lists and it is in none; raises PolicyError 403."""
    caller = call.caller
    if caller is None or not call.model or not caller.access or caller.admin:
        return
    # A model of the other server's, not a group of ours: the lists hold its name or a pattern of it.
    named = ModelGroup(call.model, (), ())
    if not lists_admit(caller, call.model, named):
        _refuse(call, caller, named)


def _refuse(call: Call, caller: Caller, group: ModelGroup) -> NoReturn:
    refusing = next(policy for policy in caller.access if not policy.admits(call.model, group))
    owner = refusing.head.name.removesuffix("-models")
    listed = {"team": caller.team_models, "user": caller.user_models, "organization": caller.org_models}.get(
        owner, caller.models
    )
    names = ", ".join(f"`{name}`" for name in listed)
    call.decision = Decision(NOTHING, Activation(call, NOTHING.needs))
    call.decision.determining = [f"{refusing.head.name}/models"]
    raise PolicyError(
        403,
        f"{'org' if owner == 'organization' else owner}_model_access_denied",
        f"this {owner} may not call model `{call.model}`; it may call: {names}",
        "model",
    )


def allowed(caller: Caller, snapshot: Snapshot, name: str, group: ModelGroup) -> bool:
    """Tell whether a caller may call a model by this name: by its own lists, and by every policy that names models."""
    return (caller.admin or _granted(caller, snapshot, name, group)) and snapshot.policies.admits(caller, name, group)


def lists_admit(caller: Caller, name: str, group: ModelGroup) -> bool:
    """Tell whether a caller's own lists hold a model."""
    return all(policy.admits(name, group) for policy in caller.access)


def _granted(caller: Caller, snapshot: Snapshot, name: str, group: ModelGroup) -> bool:
    """Ask a caller's own lists; once for each name and revision."""
    if not caller.access:
        return True
    key = (snapshot.revision, name)
    answer = caller.granted.get(key)
    if answer is None:
        if len(caller.granted) >= REMEMBERED:
            caller.granted.clear()
        answer = caller.granted[key] = lists_admit(caller, name, group)
    return answer


def callable_by(caller: Caller, snapshot: Snapshot, name: str) -> bool:
    """Tell whether a call to this name would pass: after the caller's aliases, as the request path does."""
    name = caller.aliases.get(name, name)
    group = snapshot.find(name)
    return group is not None and allowed(caller, snapshot, name, group)


def visible(
    caller: Caller, snapshot: Snapshot, known: Callable[[str], list[str]], *, wildcards: bool = False
) -> Iterator[str]:
    """Name the models that a caller may call, once each, in the order of the configuration; then its own aliases.

    `known` lists the models of a provider, by which a wildcard is expanded; `wildcards` shows the wildcard itself.
    """
    seen: set[str] = set()
    for name in (*_candidates(snapshot, known, wildcards=wildcards), *caller.aliases):
        if name not in seen and callable_by(caller, snapshot, name):
            seen.add(name)
            yield name


def _candidates(snapshot: Snapshot, known: Callable[[str], list[str]], *, wildcards: bool) -> Iterator[str]:
    yield from (name for name in snapshot.names if name not in snapshot.hidden)
    for wildcard in snapshot.wildcards:
        if wildcards:
            yield wildcard.pattern
        yield from wildcard.names(known(wildcard.provider))
