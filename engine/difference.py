"""What a reload changes in effect: policies added, changed and removed, keys that gain or lose models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.access import lists_admit
from engine.call import Caller
from engine.callers import callers_of
from engine.config.specs import ConfigSpec
from engine.governing import PolicySet
from engine.policy import Policy
from engine.snapshot import ModelGroup

MOST = 100
"""Names listed of each kind; a report is for people."""
WORK = 200_000
"""Pairs of keys and models that are compared; beyond it the comparison is left out, and said to be."""

Kind = Callable[[str], type[Policy]]


@dataclass(slots=True)
class Difference:
    """Names of policies, and by key what it gains and loses."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    gains: dict[str, list[str]] = field(default_factory=dict)
    loses: dict[str, list[str]] = field(default_factory=dict)
    compared: bool = True

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.gains or self.loses)

    def shown(self) -> dict[str, Any]:
        """Return what there is to say, cut to what a person reads."""
        said: dict[str, Any] = {
            "policies_added": self.added[:MOST], "policies_changed": self.changed[:MOST],
            "policies_removed": self.removed[:MOST],
            "keys_gaining_models": dict(list(self.gains.items())[:MOST]),
            "keys_losing_models": dict(list(self.loses.items())[:MOST]),
        }  # fmt: skip
        if not self.compared:
            said["keys_not_compared"] = True
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class State:
    """One configuration as far as it is compared."""

    policies: PolicySet
    digests: Mapping[str, str]
    callers: Mapping[str, Caller]
    groups: Mapping[str, ModelGroup]

    def models(self, caller: Caller) -> set[str]:
        """Name the models that a caller's lists and policies leave it."""
        return {
            name
            for name, group in self.groups.items()
            if lists_admit(caller, name, group) and self.policies.admits(caller, name, group)
        }

    def offer(self) -> tuple[object, ...]:
        """Return what there is for all: models with their access groups, and the policies that name models."""
        naming = [p.head.digest for p in self.policies.policies if type(p).admits is not Policy.admits]
        return {name: group.access_groups for name, group in self.groups.items()}, sorted(naming)


def state(spec: ConfigSpec, policies: PolicySet, kind: Kind) -> State:
    """Take of a configuration what is compared."""
    access: dict[str, set[str]] = {}
    for deployment in spec.deployments:
        access.setdefault(deployment.model_name, set()).update(deployment.info.access_groups)
    groups = {name: ModelGroup(name, (), names) for name, names in access.items()}
    callers = {caller.key_hash: caller for caller in callers_of(spec, kind)}
    return State(policies, dict(_digests(policies.policies)), callers, groups)


def difference(old: State, new: State) -> Difference:
    """Compare two configurations."""
    found = Difference(
        added=[name for name in new.digests if name not in old.digests],
        changed=[name for name, digest in new.digests.items() if old.digests.get(name, digest) != digest],
        removed=[name for name in old.digests if name not in new.digests],
    )
    both = [(old.callers[key], caller) for key, caller in new.callers.items() if key in old.callers]
    if old.offer() == new.offer():
        both = [(before, after) for before, after in both if _lists(before) != _lists(after)]
    found.compared = len(both) * max(len(new.groups), len(old.groups), 1) <= WORK
    for before, after in both if found.compared else ():
        had, has = old.models(before), new.models(after)
        name = after.alias or after.masked
        if has - had:
            found.gains[name] = sorted(has - had)
        if had - has:
            found.loses[name] = sorted(had - has)
    return found


def _lists(caller: Caller) -> tuple[object, ...]:
    """Return what a caller's models depend on, beside what there is for all."""
    return caller.models, caller.team_models, caller.alias, caller.user, caller.team, caller.org, caller.role


def _digests(policies: tuple[Policy, ...]) -> Iterator[tuple[str, str]]:
    return ((policy.head.name, policy.head.digest) for policy in policies)
