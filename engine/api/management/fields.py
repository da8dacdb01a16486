"""What bodies say of keys, teams and customers: validated as the configuration is, and kept in one form.

The fields that LiteLLM keeps inside `metadata` are fields like any other here; they go in there when a row is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from engine.allowances import nano
from engine.api.management.faults import bad_request
from engine.config.entities import CustomerSpec, KeyFields, TeamSpec
from engine.config.explain import explain
from engine.config.fields import Spec
from engine.config.keys import NOT_IN_FORCE
from engine.config.problems import Findings
from engine.storing import Entity, Kind

IN_METADATA = (
    "model_rpm_limit", "model_tpm_limit", "guardrails", "policies", "prompts", "tags", "enforced_params", "rpm_limit_type",
    "tpm_limit_type", "disable_global_guardrails",
)  # fmt: skip
NOT_KEPT = frozenset({"mark", "key", "duration", "expires", "spend", "send_invite_email", "auto_create_key"})


class Form(NamedTuple):
    """How one kind is written: its spec, its section of the configuration, the fields that are its id and its alias."""

    kind: Kind
    spec: type[Spec]
    section: str
    id: str
    alias: str
    columns: tuple[str, ...] = ()
    """Fields that are columns of their own."""


KEYS = Form(Kind.KEY, KeyFields, "virtual_keys", "key", "key_alias", ("user_id", "team_id", "organization_id"))
TEAMS = Form(Kind.TEAM, TeamSpec, "teams", "team_id", "team_alias", ("organization_id",))
CUSTOMERS = Form(Kind.CUSTOMER, CustomerSpec, "customers", "user_id", "alias")


class Said(NamedTuple):
    """The fields that a body gives, and those that it clears by null."""

    given: dict[str, Any]
    cleared: frozenset[str]


def read(form: Form, body: Mapping[str, Any], *, unenforced: bool) -> Said:
    """Read a body; unknown keys are ignored. Raises ClientError 400 that names the field which is wrong.

    `unenforced` lets limits and guardrails pass that would not hold.
    """
    named = {form.spec.other_names.get(name, name): value for name, value in body.items()}
    fields = form.spec.model_fields.keys() - form.spec.inner
    written = _lifted({name: value for name, value in named.items() if name in fields})
    findings = Findings({})
    try:
        spec = form.spec.from_wire(written)
    except ValidationError as error:
        explain(error, form.spec, ((), written), findings)
        problem = findings.problems[0]
        name = problem.field.partition("[")[0].partition(".")[0]
        raise bad_request(f"`{problem.field}`: {problem.message}", name) from error
    cleared = frozenset(name for name, value in written.items() if value is None)
    given = spec.model_dump(include=written.keys() - cleared)
    if not unenforced:
        _refuse_unenforced(form, given)
    return Said(given, cleared)


def _lifted(written: dict[str, Any]) -> dict[str, Any]:
    """Take out of `metadata` what is shown there; a field beside it comes first."""
    metadata = written.get("metadata")
    if not isinstance(metadata, dict):
        return written
    inner = {name: metadata[name] for name in IN_METADATA if metadata.get(name) is not None}
    own = {name: value for name, value in metadata.items() if name not in IN_METADATA}
    return {**inner, **written, "metadata": own}


def _refuse_unenforced(form: Form, given: Mapping[str, Any]) -> None:
    """Refuse limits and guardrails that would not hold, as a configuration with them is refused."""
    for name, kind in NOT_IN_FORCE.get(form.section, {}).items():
        value = given.get(name)
        if kind == "feature" or value in (None, (), [], {}, "default"):
            continue
        raise bad_request(
            f"`{name}` is a limit or guardrail that is not enforced yet; leave it out, or start with --allow-unenforced",
            name,
        )


def changed(form: Form, entity: Entity, said: Said, at: float) -> Entity:
    """Return an entity with what a body says of it."""
    whole = {**flat(form, entity), **said.given}
    kept = {name: value for name, value in whole.items() if name not in said.cleared and name not in NOT_KEPT}
    alias, blocked = kept.pop(form.alias, None) or "", bool(kept.pop("blocked", False))
    columns: dict[str, Any] = {name: kept.pop(name, None) or "" for name in form.columns}
    kept.pop(form.id, None)
    document = {name: value for name, value in kept.items() if value not in (None, (), [], {})}
    refuse_odd_budgets(document)
    amount = document.get("max_budget")
    return entity._replace(
        alias=alias, blocked=blocked, updated_at=at, document=document,
        max_budget=nano("max_budget", amount) if amount is not None else None, **columns,
    )  # fmt: skip


def flat(form: Form, entity: Entity) -> dict[str, Any]:
    """Return all fields of an entity by the names that bodies use."""
    columns = {name: getattr(entity, name) for name in form.columns}
    return {**entity.document, **columns, form.alias: entity.alias, "blocked": entity.blocked}


def refuse_odd_budgets(said: Mapping[str, Any]) -> None:
    """Refuse amounts that cannot be, and a warning that would come too late; raises ClientError 400."""
    for name in ("max_budget", "soft_budget"):
        try:
            nano(name, said.get(name) or 0)
        except ValueError as error:
            raise bad_request(str(error), name) from error
    most, soft = said.get("max_budget"), said.get("soft_budget")
    if most is not None and soft is not None and soft >= most:
        raise bad_request(f"`soft_budget`: `{soft}` must be below `max_budget`, which is `{most}`", "soft_budget")


def metadata(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return `metadata` as rows show it."""
    return {**(said.get("metadata") or {}), **{name: said[name] for name in IN_METADATA if name in said}}


def picked(said: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return fields by name, null where nothing is said."""
    return {name: said.get(name) for name in names}
