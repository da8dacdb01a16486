"""Teams: `/team/*`. A team's keys go with it when it is deleted."""

from __future__ import annotations

import uuid
from typing import Any

from engine.api.management.desk import Asked, Row, Who
from engine.api.management.faults import bad_request, unknown
from engine.api.management.fields import TEAMS, changed, metadata, picked, read
from engine.api.management.keeper import BUDGET, Keeper, Spent
from engine.api.management.keys import key_row
from engine.api.management.times import iso
from engine.claims import Unit
from engine.errors import ClientError
from engine.storing import ConflictError, Entity, EntityFilter, Kind

LISTED = 1000
"""Keys of a team that are shown with it, the newest."""
ROLES = ("admin", "user")
NULLS = (
    "max_budget", "soft_budget", "budget_duration", "budget_id", "max_parallel_requests", "tpm_limit", "rpm_limit", "object_permission",
    "policies", "router_settings", "access_group_ids", "team_member_budget", "team_member_budget_duration",
    "team_member_rpm_limit", "team_member_tpm_limit", "team_member_key_duration", "team_member_permissions",
)  # fmt: skip
MEMBER_BUDGET = {
    "max_budget": "team_member_budget", "budget_duration": "team_member_budget_duration",
    "rpm_limit": "team_member_rpm_limit", "tpm_limit": "team_member_tpm_limit",
}  # fmt: skip


class Teams:
    """Makes, changes, deletes and shows teams; `unenforced` lets limits pass that would not hold."""

    def __init__(self, keeper: Keeper, *, unenforced: bool) -> None:
        self._keeper = keeper
        self._unenforced = unenforced

    def rows(self) -> list[Row]:
        """Return the route table."""
        return [
            Row("POST", "/team/new", Who.ADMINISTRATORS, self.new),
            Row("POST", "/team/update", Who.ADMINISTRATORS, self.update),
            Row("POST", "/team/delete", Who.ADMINISTRATORS, self.delete),
            Row("GET", "/team/info", Who.READERS, self.info),
            Row("GET", "/team/list", Who.READERS, self.list),
        ]

    async def new(self, asked: Asked) -> dict[str, Any]:
        """Make a team; who makes it is its administrator."""
        team_id = asked.body.get("team_id") or str(uuid.uuid4())
        said, now = read(TEAMS, {**asked.body, "team_id": team_id}, unenforced=self._unenforced), self._keeper.now()
        members = _members(said.given.get("members_with_roles") or ())
        if asked.caller.user and all(one.get("user_id") != asked.caller.user for one in members):
            members.append({"role": "admin", "user_id": asked.caller.user, "user_email": None})
        said.given["members_with_roles"] = members
        entity = changed(TEAMS, Entity(Kind.TEAM, team_id, created_at=now), said, now)
        async with self._keeper.writing:
            if self._keeper.directory.row(Kind.TEAM, team_id) is not None:
                raise _taken(team_id)
            try:
                await self._keeper.put(entity, new=True)
            except ConflictError as error:
                raise _taken(team_id) from error
        return team_row(entity, await self._keeper.spent(entity))

    async def update(self, asked: Asked) -> dict[str, Any]:
        """Change what a body names of a team; null clears."""
        team_id = asked.text("team_id")
        said, now = read(TEAMS, asked.body, unenforced=self._unenforced), self._keeper.now()
        if "members_with_roles" in said.given:
            said.given["members_with_roles"] = _members(said.given["members_with_roles"])
        await self._keeper.settled()
        async with self._keeper.writing:
            self._keeper.changeable(Kind.TEAM, team_id)
            entity = changed(TEAMS, await self._team(team_id), said, now)
            await self._keeper.put(entity)
        return {"team_id": team_id, "data": team_row(entity, await self._keeper.spent(entity))}

    async def delete(self, asked: Asked) -> dict[str, Any]:
        """Delete teams, all or none, and their keys."""
        ids = asked.texts("team_ids")
        if not ids:
            raise bad_request("`team_ids` is required: list the teams to delete", "team_ids")
        async with self._keeper.writing:
            for team_id in ids:
                self._keeper.changeable(Kind.TEAM, team_id)
                await self._team(team_id)
                for key in self._keeper.declared(Kind.KEY, EntityFilter(team_id=team_id)):
                    self._keeper.changeable(Kind.KEY, key.id)
            # Keys first: whenever this breaks off, no key is left that its team no longer limits.
            for team_id in ids:
                keys = await self._keeper.every(Kind.KEY, EntityFilter(team_id=team_id), most=10**9)
                await self._keeper.remove(Kind.KEY, [key.id for key in keys])
            await self._keeper.remove(Kind.TEAM, ids)
        return {"deleted_teams": ids}

    async def info(self, asked: Asked) -> dict[str, Any]:
        """Show a team with its keys and memberships."""
        team_id = asked.query.get("team_id")
        if not team_id:
            raise bad_request("`team_id` is required: name the team in the query", "team_id")
        await self._keeper.settled()
        entity = await self._team(team_id)
        row = team_row(entity, await self._keeper.spent(entity))
        return {
            "team_id": team_id,
            "team_info": {**row, "team_member_budget_table": _member_budget(entity)},
            **await self._belongings(entity),
        }

    async def list(self, asked: Asked) -> list[dict[str, Any]]:
        """List teams, those of an organization or a member where the query says so."""
        which = EntityFilter(organization_id=asked.query.get("organization_id"))
        user = asked.query.get("user_id")
        await self._keeper.settled()
        found = [*await self._keeper.every(Kind.TEAM, which), *self._keeper.declared(Kind.TEAM, which)]
        return [
            {**team_row(one, await self._keeper.spent(one)), **await self._belongings(one)}
            for one in found
            if not user or any(member.get("user_id") == user for member in one.document.get("members_with_roles", ()))
        ]

    async def _belongings(self, team: Entity) -> dict[str, Any]:
        which = EntityFilter(team_id=team.id)
        keys = [*await self._keeper.every(Kind.KEY, which, LISTED), *self._keeper.declared(Kind.KEY, which)]
        members = [one["user_id"] for one in team.document.get("members_with_roles", ()) if one.get("user_id")]
        return {
            "keys": [key_row(key, await self._keeper.spent(key), self._keeper) for key in keys],
            "team_memberships": [row for user in members if (row := await self._membership(team, user)) is not None],
        }

    async def _membership(self, team: Entity, user_id: str) -> dict[str, Any] | None:
        """Return the row of a member who is limited as such."""
        every = self._keeper.directory.making.member(team.id, user_id).every
        if not every:
            return None
        money = next((counter for counter in every if counter.unit is Unit.USD), None)
        spent = (await self._keeper.used(money) if money is not None else None) or Spent()
        member = next(one for one in team.document["members_with_roles"] if one.get("user_id") == user_id)
        limits = _member_budget(team) or {"budget_id": None, **BUDGET}
        if member.get("max_budget_in_team") is not None:
            limits |= {"max_budget": member["max_budget_in_team"], "budget_duration": member.get("budget_duration")}
        limits |= {name: member[name] for name in ("rpm_limit", "tpm_limit") if member.get(name) is not None}
        return {
            "user_id": user_id, "team_id": team.id, "budget_id": None, "spend": spent.usd, "litellm_budget_table": limits
        }  # fmt: skip

    async def _team(self, team_id: str) -> Entity:
        entity = await self._keeper.get(Kind.TEAM, team_id)
        if entity is None:
            raise unknown(f"Team not found, passed team id: {team_id[:80]}.", "team_id")
        return entity


def team_row(entity: Entity, spent: Spent) -> dict[str, Any]:
    """Return a team as LiteLLM shows its row."""
    said = entity.document
    members = said.get("members_with_roles") or []
    users = {
        role: [one["user_id"] for one in members if one.get("role") == role and one.get("user_id")] for role in ROLES
    }
    aliases = said.get("model_aliases")
    return {
        "team_id": entity.id,
        "team_alias": entity.alias or None,
        "organization_id": entity.organization_id or None,
        "admins": users["admin"],
        "members": users["user"],
        "members_with_roles": members,
        "metadata": metadata(said),
        "models": said.get("models") or [],
        "blocked": entity.blocked,
        "spend": spent.usd,
        **picked(said, NULLS),
        "budget_reset_at": spent.resets,
        "model_max_budget": said.get("model_max_budget") or {},
        "model_spend": {},
        "litellm_model_table": {"model_aliases": aliases} if aliases else None,
        "created_at": iso(entity.created_at),
        "updated_at": iso(entity.updated_at),
    }


def _member_budget(team: Entity) -> dict[str, Any] | None:
    """Return what a team gives to each member, as rows show it."""
    limits = {name: team.document.get(field) for name, field in MEMBER_BUDGET.items()}
    return {"budget_id": None, **BUDGET, **limits} if any(value is not None for value in limits.values()) else None


def _members(given: Any) -> list[dict[str, Any]]:
    """Return members in one form; raises ClientError 400."""
    members = []
    for at, member in enumerate(given):
        place, role = f"members_with_roles[{at}]", member.get("role") or "user"
        names = [member.get("user_id"), member.get("user_email")]
        if not any(names) or not all(name is None or isinstance(name, str) for name in names):
            raise bad_request(f"`{place}`: name the member by `user_id` or `user_email`", "members_with_roles")
        if role not in ROLES:
            raise bad_request(f"`{place}.role`: a member is `admin` or `user`", "members_with_roles")
        members.append({**member, "role": role, "user_id": names[0], "user_email": names[1]})
    return members


def _taken(team_id: str) -> ClientError:
    return bad_request(f"Team id = {team_id} already exists. Please use a different team id.", "team_id")
