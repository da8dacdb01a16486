"""Which models and routes no policy governs, whoever calls."""

from __future__ import annotations

from typing import NamedTuple

from engine.api.inference import ROUTES
from engine.index import Selector
from engine.policy import Policy
from engine.snapshot import Snapshot


class Ungoverned(NamedTuple):
    """What no policy governs."""

    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


def ungoverned(snapshot: Snapshot) -> Ungoverned:
    """Name models and routes that no policy governs; nothing where there are no policies."""
    policies = [policy for policy in snapshot.policies.policies if _governs(policy)]
    if not policies:
        return Ungoverned()
    models = Selector([policy.head.match.models for policy in policies])
    routes = Selector([policy.head.match.routes for policy in policies])
    free = [
        group.name
        for group in snapshot.groups
        if not models.select([group.name, *(f"@{name}" for name in sorted(group.access_groups))])
    ]
    free += [one.pattern for one in snapshot.wildcards if not models.select([one.pattern])]
    operations = dict.fromkeys(operation for _, operation, *_ in ROUTES)
    return Ungoverned(tuple(free), tuple(one for one in operations if not routes.select([one])))


def _governs(policy: Policy) -> bool:
    kind = type(policy)
    return kind.rules is not Policy.rules or kind.direct is not Policy.direct or kind.edits is not Policy.edits
