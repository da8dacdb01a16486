"""From rows to callers: one key with what its team, user, membership and organization add, whoever declared or stored them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from engine.allowances import NOTHING, Allowance, allowance, budget_of
from engine.call import Caller
from engine.claims import Counter, Scope, Subject, Unit
from engine.config.problems import Problem
from engine.config.specs import ConfigSpec
from engine.declared import Declared, declaring
from engine.grants import grant
from engine.policy import Policy
from engine.storing import Kind, Row

Find = Callable[[Kind, str], Row | None]
PolicyKind = Callable[[str], type[Policy]]

SCOPES = {
    Kind.KEY: Scope.KEY, Kind.TEAM: Scope.TEAM, Kind.USER: Scope.USER, Kind.ORGANIZATION: Scope.ORGANIZATION,
    Kind.CUSTOMER: Scope.END_USER,
}  # fmt: skip
DURATIONS = ("budget_duration", "team_member_budget_duration")
MEMBER_RATES = {"rpm_limit": "team_member_rpm_limit", "tpm_limit": "team_member_tpm_limit"}


class Owner(NamedTuple):
    """A team, user or organization as its keys see it: its fields, its members by id and e-mail, its limits.

    `rates` are its limits without its budgets.
    """

    said: Mapping[str, Any]
    organization: str
    blocked: bool
    members: Mapping[str, Mapping[str, Any]]
    allowance: Allowance
    rates: Allowance


NOBODY = Owner({}, "", False, {}, NOTHING, NOTHING)


class Callers:
    """Makes callers of rows, on the terms that are declared; each team, user and organization is compiled once."""

    def __init__(self, declared: Declared, kind: PolicyKind, find: Find) -> None:
        self.declared = declared
        self.kind = kind
        self._find = find
        self._owners: dict[tuple[Kind, str], Owner] = {}

    def caller(self, row: Row) -> Caller:
        """Make the caller of a key; raises ValueError that names the field which is wrong."""
        said = fields(row)
        team = self.owner(Kind.TEAM, row.team_id)
        user = self.owner(Kind.USER, row.user_id)
        organization_id = row.organization_id or team.organization
        organization = self.owner(Kind.ORGANIZATION, organization_id)
        caller = Caller(row.id, said.get("role") or _role(user) or "internal_user")
        caller.alias, caller.masked = row.alias, said.get("key_name") or ""
        caller.user, caller.team, caller.org = row.user_id, row.team_id, organization_id
        caller.project = said.get("project_id") or ""
        caller.expires = row.expires
        caller.blocked = row.blocked or user.blocked or organization.blocked
        caller.team_blocked = team.blocked
        caller.models, caller.team_models = _names(said, "models"), _names(team.said, "models")
        caller.user_models = () if row.team_id else _names(user.said, "models")
        caller.org_models = _names(organization.said, "models")
        caller.tags = tuple(dict.fromkeys((*_names(said, "tags"), *_names(team.said, "tags"))))
        caller.allowed_tags = _names(said, "allowed_tags")
        caller.waives = any(map(_waives, (said, team.said)))
        caller.guardrails = frozenset(name for one in (said, team.said, user.said) for name in _guardrails(one))
        caller.aliases = {**(team.said.get("model_aliases") or {}), **(said.get("aliases") or {})}
        caller.metadata = {**(team.said.get("metadata") or {}), **(said.get("metadata") or {})}
        whole = not row.team_id or self.declared.user_budget_everywhere
        found = (
            self._allowance(Kind.KEY, row.id, said), team.allowance, user.allowance if whole else user.rates,
            self._member(row, team, user), organization.allowance,
        )  # fmt: skip
        caller.allowances = tuple(one for one in found if one.every or one.by_model)
        return grant(caller, self.kind)

    def owner(self, kind: Kind, entity_id: str) -> Owner:
        """Return a team, user or organization, NOBODY when there is none; raises ValueError as `caller`."""
        found = self._owners.get((kind, entity_id))
        if found is None:
            row = self._find(kind, entity_id) if entity_id else None
            found = self._owners[kind, entity_id] = self._owner(kind, row) if row is not None else NOBODY
        return found

    def forget(self, kind: Kind, entity_id: str) -> None:
        """Compile an owner anew when it is next asked for."""
        self._owners.pop((kind, entity_id), None)

    def customer(self, end_user: str) -> tuple[bool, Allowance]:
        """Return whether an end user is blocked, and its limits; those of all when it has no row."""
        row = self._find(Kind.CUSTOMER, end_user)
        said = self.declared.end_user if row is None else fields(row)
        return row is not None and row.blocked, self._allowance(Kind.CUSTOMER, end_user, said)

    def check(self, kind: Kind, row: Row) -> None:
        """Compile all that a row says; raises ValueError that names the field which is wrong."""
        if kind is Kind.KEY:
            self.caller(row)
            return
        said = fields(row)
        for name in DURATIONS:
            budget_of(name, said, self.declared.terms)
        owner = self._owner(kind, row)
        for user in ("", *owner.members) if kind is Kind.TEAM else ():
            self._membership(f"{row.id}:{user}", owner, owner.members.get(user, {}))

    def _owner(self, kind: Kind, row: Row) -> Owner:
        said = fields(row)
        whole = self._allowance(kind, row.id, said)
        rates = Allowance(_rates(whole.every), {model: _rates(some) for model, some in whole.by_model.items()})
        members = {
            str(name): member
            for member in said.get("members_with_roles") or ()
            for name in (member.get("user_email"), member.get("user_id"))
            if name
        }
        return Owner(said, row.organization_id, row.blocked, members, whole, rates)

    def member(self, team_id: str, user_id: str) -> Allowance:
        """Return the limits of a team's member; raises ValueError as `caller`."""
        row = Row("", user_id=user_id, team_id=team_id)
        return self._member(row, self.owner(Kind.TEAM, team_id), self.owner(Kind.USER, user_id))

    def allowance(self, kind: Kind, row: Row) -> Allowance:
        """Return the limits that an entity itself has; raises ValueError as `caller`."""
        return self._allowance(kind, row.id, fields(row))

    def _allowance(self, kind: Kind, entity_id: str, said: Mapping[str, Any]) -> Allowance:
        limits = self.declared.limits(said)
        if limits.get("budget_duration"):
            budget_of("budget_duration", limits, self.declared.terms)
        return allowance(Subject(SCOPES[kind], entity_id), limits, self.declared.terms)

    def _member(self, row: Row, team: Owner, user: Owner) -> Allowance:
        if not row.team_id or not row.user_id:
            return NOTHING
        member = team.members.get(row.user_id) or team.members.get(user.said.get("user_email") or "")
        if member is None:
            own = (one for one in user.said.get("teams") or () if isinstance(one, Mapping))
            member = next((one for one in own if one.get("team_id") == row.team_id), {})
        return self._membership(f"{row.team_id}:{row.user_id}", team, member)

    def _membership(self, name: str, team: Owner, member: Mapping[str, Any]) -> Allowance:
        """Return the limits of a member: its own, else those that the team gives to each."""
        own = member.get("max_budget_in_team")
        limits = {
            of: member.get(of) if member.get(of) is not None else team.said.get(by) for of, by in MEMBER_RATES.items()
        }
        if own is not None:
            limits |= {"max_budget": own, "budget_duration": member.get("budget_duration")}
        else:
            limits |= {
                "max_budget": team.said.get("team_member_budget"),
                "budget_duration": team.said.get("team_member_budget_duration"),
            }
        try:
            return allowance(Subject(Scope.MEMBER, name), limits, self.declared.terms)
        except ValueError as error:
            raise ValueError(f"`members_with_roles`: `{name}`: {error}") from error


def fields(row: Row) -> dict[str, Any]:
    """Return what the document of a row says."""
    said: dict[str, Any] = json.loads(row.document)
    return said


def _names(said: Mapping[str, Any], field: str) -> tuple[str, ...]:
    return tuple(said.get(field) or ())


def _guardrails(said: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the guardrails that a row names, where LiteLLM has them: beside its other fields, or in its metadata."""
    return (*_names(said, "guardrails"), *_names(said.get("metadata") or {}, "guardrails"))


def _waives(said: Mapping[str, Any]) -> bool:
    """Tell whether a row goes without what is for all, where that may be: said in either of LiteLLM's places."""
    metadata = said.get("metadata") or {}
    return said.get("disable_global_guardrails") is True or metadata.get("disable_global_guardrails") is True


def _role(user: Owner) -> str:
    role: str = user.said.get("role") or user.said.get("user_role") or ""
    return role


def _rates(counters: tuple[Counter, ...]) -> tuple[Counter, ...]:
    return tuple(counter for counter in counters if counter.unit is not Unit.USD)


def callers_of(spec: ConfigSpec, kind: PolicyKind, problems: list[Problem] | None = None) -> Iterator[Caller]:
    """Compile the keys that a configuration declares; what is wrong or odd about them is added to `problems`."""
    found = [] if problems is None else problems
    declared = Declared(spec)
    for _ in declaring(declared, spec, found):
        pass
    yield from filter(None, compiling(declared, kind, found))


def compiling(declared: Declared, kind: PolicyKind, problems: list[Problem]) -> Iterator[Caller | None]:
    """Compile all that is declared, one a step, and give the callers; what is wrong or odd is added to `problems`."""
    callers = Callers(declared, kind, declared.find)
    try:
        callers.customer("")
    except ValueError as error:
        problems.append(Problem("error", None, "litellm_settings.max_end_user_budget_id", str(error)))
    for (of, entity_id), (mark, field) in declared.places.items():
        row = declared.rows[of][entity_id]
        try:
            if of is Kind.KEY:
                yield callers.caller(row)
            else:
                callers.check(of, row)
                yield None
        except ValueError as error:
            problems.append(Problem("error", mark, field, str(error)))
        if row.team_id and declared.rows[Kind.TEAM] and declared.find(Kind.TEAM, row.team_id) is None:
            message = f"team `{row.team_id}` is not declared; the key belongs to a team without settings"
            problems.append(Problem("warning", mark, f"{field}.team_id", message))
