"""What a configuration declares of who may call: keys, teams, users and organizations as rows, and the terms of all limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from engine.allowances import NAMES, allowance
from engine.claims import Scope, Subject
from engine.config.entities import BudgetSpec, Entity, KeySpec
from engine.config.problems import Mark, Problem
from engine.config.specs import ConfigSpec
from engine.digest import digest, masked
from engine.quotas import terms
from engine.storing import Kind, Row

COLUMNS = frozenset(
    """
    mark key key_alias team_alias user_alias organization_alias user_id team_id organization_id blocked expires
    """.split()  # noqa: SIM905 - a line of words reads better than eleven
)
"""Fields that a row has beside its document; the key itself is nowhere."""


class Declared:
    """The declared layer of the directory, and the terms on which limits of both layers are compiled.

    `end_user` is said of end users without a row. `places` says where an entity stands, by kind and id: its mark, and its field.
    """

    def __init__(self, spec: ConfigSpec | None = None) -> None:
        spec = spec or ConfigSpec()
        self.rows: dict[Kind, dict[str, Row]] = {kind: {} for kind in Kind}
        self.places: dict[tuple[Kind, str], tuple[Mark | None, str]] = {}
        self.terms = terms(spec)
        self.user_budget_everywhere = spec.general.apply_user_budget_to_team_keys
        self.budgets: dict[str, Mapping[str, Any]] = {one.budget_id: _limits(one) for one in spec.budgets}
        default = spec.litellm.max_end_user_budget_id
        amount = spec.litellm.max_end_user_budget
        self.end_user: Mapping[str, Any] = {"budget_id": default} if default else {}
        if not default and amount is not None:
            self.end_user = {"max_budget": amount}

    def find(self, kind: Kind, entity_id: str) -> Row | None:
        """Return a declared row."""
        return self.rows[kind].get(entity_id)

    def agrees(self, other: Declared) -> bool:
        """Tell whether limits come to the same on the terms of both."""
        mine, others = (
            (one.terms, one.user_budget_everywhere, one.budgets, one.end_user) for one in (self, other)
        )  # fmt: skip
        return mine == others

    def limits(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of an entity with those of its budget row; raises ValueError for a row that is not there.

        What the entity says itself comes first; a budget and its duration belong together.
        """
        name = said.get("budget_id")
        if not name:
            return said
        row = self.budgets.get(name)
        if row is None:
            raise ValueError(f"`budget_id`: there is no budget `{name}`; name one of `budgets` in the configuration")
        own = {field: value for field, value in said.items() if value is not None}
        if "max_budget" in own:
            row = {field: value for field, value in row.items() if field != "budget_duration"}
        return {**row, **own}


def declaring(declared: Declared, spec: ConfigSpec, problems: list[Problem]) -> Iterator[None]:
    """Fill a declared layer, an entity at a time; what is wrong with its budgets is added to `problems`."""
    for at, budget in enumerate(spec.budgets):
        try:
            allowance(Subject(Scope.KEY, budget.budget_id), declared.budgets[budget.budget_id], declared.terms)
        except ValueError as error:
            problems.append(Problem("error", budget.mark, f"budgets[{at}]", str(error)))
    lists: tuple[tuple[Kind, str, tuple[Entity, ...]], ...] = (
        (Kind.ORGANIZATION, "organizations", spec.organizations), (Kind.USER, "users", spec.users),
        (Kind.TEAM, "teams", spec.teams), (Kind.KEY, "virtual_keys", spec.keys),
    )  # fmt: skip
    for kind, section, entities in lists:
        for at, entity in enumerate(entities):
            row = _row(kind, entity)
            declared.rows[kind][row.id] = row
            declared.places[kind, row.id] = entity.mark, f"{section}[{at}]"
            yield


def _row(kind: Kind, spec: Entity) -> Row:
    own = spec.model_dump(exclude_none=True, exclude_defaults=True)
    document = {name: value for name, value in own.items() if name not in COLUMNS}
    if isinstance(spec, KeySpec):
        document["key_name"] = masked(spec.key)
        own["id"], own["alias"] = digest(spec.key), spec.key_alias
    else:
        own["id"], own["alias"] = own.pop(f"{kind}_id"), own.get(f"{kind}_alias")
    return Row(
        own["id"], own["alias"] or "", own.get("user_id", ""), own.get("team_id", ""), own.get("organization_id", ""),
        spec.blocked, own.get("expires"), json.dumps(document, default=str).encode(),
    )  # fmt: skip


def _limits(spec: BudgetSpec) -> Mapping[str, Any]:
    return {name: value for name in NAMES if (value := getattr(spec, name)) not in (None, {})}
