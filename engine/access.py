"""Who may call which model: the one resolver behind every call and behind `/v1/models` (listed is callable).

A key and its team each may list model names, wildcards, access groups, or LiteLLM's words `all-proxy-models`,
`all-team-models` and `no-default-models`; an empty list allows all. Both must allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.call import Call, Caller
from engine.errors import PolicyError
from engine.snapshot import ModelGroup, Snapshot

TEAM_ALL = frozenset({"all-proxy-models", "*"})
KEY_ALL = TEAM_ALL | {"all-team-models"}
"""Words that allow every model; what is the team's is left to the team's own list."""
REMEMBERED = 1024
"""Answers kept for one key; a client that invents names cannot grow it further."""


def check_model(call: Call) -> None:
    """Refuse a model that the caller may not call; raises PolicyError 403."""
    caller, group = call.caller, call.group
    assert caller is not None  # noqa: S101 - identify comes before check
    assert group is not None  # noqa: S101 - route comes before check
    if caller.admin or allowed(caller, call.snapshot, call.model, group):
        return
    team = not _grants(caller.team_models, TEAM_ALL, call.model, group)
    owner, listed = ("team", caller.team_models) if team else ("key", caller.models)
    names = ", ".join(f"`{name}`" for name in listed)
    raise PolicyError(
        403,
        f"{owner}_model_access_denied",
        f"this {owner} may not call model `{call.model}`; it may call: {names}",
        "model",
    )


def allowed(caller: Caller, snapshot: Snapshot, name: str, group: ModelGroup) -> bool:
    """Tell whether a caller may call a model by this name; asked once per key, name and revision."""
    if not caller.models and not caller.team_models:
        return True
    key = (snapshot.revision, name)
    answer = caller.granted.get(key)
    if answer is None:
        if len(caller.granted) >= REMEMBERED:
            caller.granted.clear()
        answer = _grants(caller.models, KEY_ALL, name, group) and _grants(caller.team_models, TEAM_ALL, name, group)
        caller.granted[key] = answer
    return answer


def callable_by(caller: Caller, snapshot: Snapshot, name: str) -> bool:
    """Tell whether a call to this name would pass: after the caller's aliases, as the request path does."""
    name = caller.aliases.get(name, name)
    group = snapshot.find(name)
    return group is not None and (caller.admin or allowed(caller, snapshot, name, group))


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


def _grants(listed: tuple[str, ...], every: frozenset[str], name: str, group: ModelGroup) -> bool:
    if not listed:
        return True
    for entry in listed:
        if entry in (name, group.name) or entry in every or entry in group.access_groups:
            return True
        if "*" in entry and _matches(entry, name):
            return True
    return False


def _matches(pattern: str, name: str) -> bool:
    prefix, _, suffix = pattern.partition("*")
    return len(name) >= len(prefix) + len(suffix) and name.startswith(prefix) and name.endswith(suffix)
