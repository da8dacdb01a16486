"""From what is known of a call to the policies that govern it, by bit masks over all policies.

Every selector (`match.models`, `match.teams`, …) maps names to the set of policies that they select, as the bits of one
integer; the policies of a call are the intersection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.call import Caller
from engine.globs import matches
from engine.policy import Policy

if TYPE_CHECKING:
    from engine.snapshot import ModelGroup

NOBODY = Caller("")


class Index:
    """The selectors of a set of policies; it pickles, so that it need not be made twice."""

    __slots__ = ("_all", "_who", "digest", "models", "routes")

    def __init__(self, policies: Sequence[Policy]) -> None:
        heads = [policy.head.match for policy in policies]
        self._all = (1 << len(heads)) - 1
        self.models = Selector([match.models for match in heads])
        self.routes = Selector([match.routes for match in heads])
        self._who = {
            name: Selector([getattr(match, f"{name}s") for match in heads])
            for name in ("key", "user", "team", "org", "role")
        }
        digests = "".join(policy.head.digest for policy in policies)
        self.digest = hashlib.sha256(digests.encode()).hexdigest()[:8] if digests else ""

    def governing(self, caller: Caller | None, model: str, group: ModelGroup | None) -> int:
        """Return the policies for a caller and a model, whatever the route."""
        names = [model]
        if group is not None:
            names += [group.name, *(f"@{name}" for name in group.access_groups)]
        who, caller = self._who, caller or NOBODY
        return (
            self._all
            & self.models.select(names)
            & who["key"].select((caller.alias,), caller.key_hash)
            & who["user"].select((caller.user,))
            & who["team"].select((caller.team,))
            & who["org"].select((caller.org,))
            & who["role"].select((caller.role,))
        )


class Selector:
    """One field of `match` over all policies: from a name to the policies that it selects."""

    __slots__ = ("_every", "_exact", "_patterns")

    def __init__(self, fields: Sequence[tuple[str, ...]]) -> None:
        self._every = 0
        self._exact: dict[str, int] = {}
        self._patterns: dict[str, int] = {}
        for at, names in enumerate(fields):
            if not names:
                self._every |= 1 << at
            for name in names:
                table = self._patterns if "*" in name else self._exact
                table[name] = table.get(name, 0) | 1 << at

    def select(self, names: Iterable[str], exact: str = "") -> int:
        """Return the policies that select one of these names, and those that do not care; no pattern meets `exact`."""
        chosen = self._every | self._exact.get(exact, 0)
        for name in names:
            chosen |= self._exact.get(name, 0)
            for pattern, mask in self._patterns.items():
                if name and (name[0] == "@") == (pattern[0] == "@") and matches(pattern, name):
                    chosen |= mask
        return chosen
