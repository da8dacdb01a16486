"""The callers that a configuration declares: its keys, with what their teams add."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.call import Caller
from engine.config.problems import Problem
from engine.config.specs import ConfigSpec, KeySpec, TeamSpec
from engine.directory import digest, masked
from engine.grants import grant
from engine.policy import Policy


def callers_of(
    spec: ConfigSpec, kind: Callable[[str], type[Policy]], problems: list[Problem] | None = None
) -> Iterator[Caller]:
    """Compile the declared keys; what is odd about them is added to `problems`."""
    teams = {team.team_id: team for team in spec.teams}
    for at, key in enumerate(spec.keys):
        team = teams.get(key.team_id) if key.team_id else None
        if key.team_id and team is None and teams and problems is not None:
            message = f"team `{key.team_id}` is not declared; the key belongs to a team without settings"
            problems.append(Problem("warning", key.mark, f"virtual_keys[{at}].team_id", message))
        yield grant(_caller(key, team), kind)


def _caller(key: KeySpec, team: TeamSpec | None) -> Caller:
    caller = Caller(digest(key.key), key.role or "internal_user")
    caller.alias = key.key_alias or ""
    caller.masked = masked(key.key)
    caller.user = key.user_id or ""
    caller.team = key.team_id or ""
    caller.org = key.organization_id or (team.organization_id if team else None) or ""
    caller.models = tuple(key.models)
    caller.project = key.project_id or ""
    caller.tags = tuple(key.tags)
    caller.allowed_tags = tuple(key.allowed_tags)
    caller.metadata = key.metadata
    caller.expires = key.expires
    caller.blocked = key.blocked
    caller.aliases = key.aliases
    if team is not None:
        caller.team_models = tuple(team.models)
        caller.team_blocked = team.blocked
        caller.aliases = {**team.model_aliases, **key.aliases}
        caller.tags = tuple(dict.fromkeys((*key.tags, *team.tags)))
        caller.metadata = {**team.metadata, **key.metadata}
    return caller
