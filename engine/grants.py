"""Model lists of keys and of who stands behind them, compiled to the `ModelAccess` policies that they are.

LiteLLM's words are settled here: `all-proxy-models` and `*` allow everything, `all-team-models` leaves a key to its
team's list, `no-default-models` is a name that no model has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from engine.call import Caller
from engine.config.problems import Mark
from engine.documents import load_documents
from engine.policy import Policy

TEAM_ALL = frozenset({"all-proxy-models", "*"})
KEY_ALL = TEAM_ALL | {"all-team-models"}
"""Words that allow every model; what is the team's is left to the team's own list."""
LISTS = 4096
"""Different lists whose policies are kept: most keys share a few."""

Kind = Callable[[str], type[Policy]]


def grant(caller: Caller, kind: Kind) -> Caller:
    """Set what a caller's own lists allow; an empty list allows all."""
    lists = (
        ("key", caller.models, KEY_ALL), ("team", caller.team_models, TEAM_ALL), ("user", caller.user_models, TEAM_ALL),
        ("organization", caller.org_models, TEAM_ALL),
    )  # fmt: skip
    caller.access = tuple(
        _policy(owner, models, kind) for owner, models, every in lists if models and not every & {*models}
    )
    return caller


@lru_cache(maxsize=LISTS)
def _policy(owner: str, models: tuple[str, ...], kind: Kind) -> Policy:
    document = {"kind": "ModelAccess", "name": f"{owner}-models", "models": list(models)}
    loaded = load_documents([(document, Mark(owner, 1, 1))], kind)
    if loaded.failed:
        raise ValueError(f"the model list of a {owner} is not one: {loaded.problems[0].message}")
    return loaded.policies[0]
