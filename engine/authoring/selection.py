"""Why a policy does not govern a call: which of its static selectors the call does not meet."""

from __future__ import annotations

from engine.call import Call
from engine.index import NOBODY, Selector
from engine.policy import Policy


def why_not(policy: Policy, call: Call) -> str:
    """Say which fields of `match` a call does not meet, or that a passage begins elsewhere; nothing where it meets all."""
    match, caller, group = policy.head.match, call.caller or NOBODY, call.group
    models = [call.model]
    if group is not None:
        models += [group.name, *(f"@{name}" for name in sorted(group.access_groups))]
    asked = {
        "routes": ((call.route.operation,), ""),
        "models": (tuple(dict.fromkeys(models)), ""),
        "keys": ((caller.alias,), caller.key_hash),
        "users": ((caller.user,), ""),
        "teams": ((caller.team,), ""),
        "orgs": ((caller.org,), ""),
        "roles": ((caller.role,), ""),
    }
    unmet = []
    for field, (names, exact) in asked.items():
        wanted = getattr(match, field)
        if not Selector([wanted]).select(names, exact):
            had = ", ".join(f"`{name}`" for name in names if name) or "nothing"
            unmet.append(f"match.{field} is {', '.join(f'`{name}`' for name in wanted)}, the call has {had}")
    sent = policy.passage()
    if sent is not None and not unmet and call.route.path != sent.path:
        unmet.append(f"is about `{sent.path}`, the call is about `{call.route.path}`")
    return "; ".join(unmet)
