"""What a compilation came to, and its way from one process to another.

It is pickled in parts small enough to be unpickled between two calls, and without the policies that the other end has
already: most of a reload is as it was.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from engine.config.litellm import Loaded
from engine.config.problems import Problem
from engine.difference import Difference
from engine.governing import PolicySet
from engine.policy import Policy
from engine.slices import SLICE, breathe
from engine.sources import Seen

PART = 16
"""Entries of a list in one part."""
NEW = "new"
ORDER = "order"
"""Policies that the other end does not have yet, and the keys of all of them in order."""
SLICED = ("deployments", "keys", "teams", "users", "organizations", "budgets")
"""The lists of a configuration that may be long."""

Key = tuple[str, str]
"""What tells a policy from every other: its content and its place, which its messages name."""


class Outcome(NamedTuple):
    """What a compilation came to: `policies` are None where there are errors."""

    loaded: Loaded
    problems: tuple[Problem, ...]
    difference: Difference
    policies: PolicySet | None
    seen: Seen
    """What the files looked like that this was made of."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What must be mended first."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def keys(policies: PolicySet) -> frozenset[Key]:
    """Return the keys of some policies."""
    return frozenset(map(_key, policies.policies))


def parted(outcome: Outcome, known: frozenset[Key] = frozenset()) -> list[bytes]:
    """Pickle an outcome for an end that has the policies `known`."""
    loaded, problems, changed, policies, seen = outcome
    if policies is None or loaded.spec is None:
        return [_pickled((loaded, problems, changed, None, seen))]
    rest = replace(loaded, spec=loaded.spec.model_copy(update=dict.fromkeys(SLICED, ())))
    first = _pickled((rest, problems, changed, policies.index, seen))
    keyed = {_key(policy): policy for policy in policies.policies}
    new = [policy for key, policy in keyed.items() if key not in known]
    lists = {NEW: new, ORDER: list(keyed), **{name: getattr(loaded.spec, name) for name in SLICED}}
    return [first, *(part for name, entries in lists.items() for part in _parts(name, entries))]


class Linking:
    """The end that gets outcomes: keeps the policies of the last one for the next."""

    def __init__(self) -> None:
        self._known: dict[Key, Policy] = {}

    def forget(self) -> None:
        """Take the next outcome for the first."""
        self._known = {}

    async def outcome(self, parts: Sequence[bytes]) -> Outcome:
        """Unpickle an outcome, a slice at a time; its parts come from a process of our own."""
        loaded, problems, changed, index, seen = pickle.loads(parts[0])  # noqa: S301 - our own process wrote it
        lists: dict[str, list[Any]] = {NEW: [], ORDER: [], **{name: [] for name in SLICED}}
        began = time.perf_counter()
        for part in parts[1:]:
            name, entries = pickle.loads(part)  # noqa: S301 - our own process wrote it
            lists[name] += entries
            if time.perf_counter() - began > SLICE:
                await breathe()
                began = time.perf_counter()
        if index is None:
            return Outcome(loaded, problems, changed, None, seen)
        whole = loaded.spec.model_copy(update={name: tuple(lists[name]) for name in SLICED})
        known = self._known | {_key(policy): policy for policy in lists[NEW]}
        self._known = {key: known[key] for key in lists[ORDER]}
        return Outcome(replace(loaded, spec=whole), problems, changed, PolicySet(self._known.values(), index), seen)


def _key(policy: Policy) -> Key:
    return policy.head.digest, policy.head.place


def _parts(name: str, entries: Sequence[Any]) -> list[bytes]:
    return [_pickled((name, entries[at : at + PART])) for at in range(0, len(entries), PART)]


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
