"""LiteLLM's `config.yaml` to a `ConfigSpec`: every problem at once, each with its file and line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from engine.config import laws
from engine.config.explain import explain
from engine.config.fields import Spec
from engine.config.forms import Entry, Tree, known_keys
from engine.config.guardrails import NotOursError, document, legacy
from engine.config.include import gather
from engine.config.keys import IN_FORCE, NOT_IN_FORCE, STRATEGIES_IN_FORCE
from engine.config.problems import Findings, Mark, NotInForce, Path, Problem
from engine.config.redis import redis
from engine.config.specs import (
    BudgetSpec,
    ConfigSpec,
    DeploymentSpec,
    GeneralSettings,
    GroupAlias,
    KeySpec,
    LitellmParams,
    LitellmSettings,
    ModelInfo,
    OrganizationSpec,
    PassThroughSpec,
    Prices,
    RateLimitSpec,
    RouterSettings,
    TeamSpec,
    UserSpec,
)
from engine.config.substitute import Environment
from engine.config.yaml import Document

__all__ = ["Loaded", "NotInForce", "Problem", "load"]

S = TypeVar("S", bound=Spec)

_KEYS: tuple[Path, ...] = (("litellm_settings", "virtual_keys"), ("virtual_keys",), ("keys",))
_TEAMS: tuple[Path, ...] = (("proxy_settings", "teams"), ("teams",))

_PASSED = ("general_settings", "pass_through_endpoints")

_SECTIONS: Mapping[type[Spec], str] = {
    KeySpec: "virtual_keys",
    TeamSpec: "teams",
    UserSpec: "users",
    OrganizationSpec: "organizations",
    BudgetSpec: "budgets",
    RateLimitSpec: "rate_limits",
    PassThroughSpec: "pass_through_endpoints",
}
"""The sections of `keys.NOT_IN_FORCE` by what they hold."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a configuration says, or why it cannot be used: `spec` is None when there are errors."""

    spec: ConfigSpec | None
    problems: tuple[Problem, ...] = ()
    not_in_force: tuple[NotInForce, ...] = ()
    readable: bool = True
    """False when there was no file to read."""


def load(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Loaded:
    """Read a configuration with its includes; never raises for what is in a file, and changes no environment."""
    if path is None:
        nothing = Findings({})
        found = redis(RouterSettings(), {}, environ, nothing)
        return Loaded(None if nothing.failed else ConfigSpec(redis=found), tuple(nothing.problems))
    document, files = gather(path)
    findings = Findings(document.marks)
    findings.problems += document.problems
    reader = _Reader(document, findings)
    spec = reader.config(files, environ) if document.readable else None

    def order(found: Problem | NotInForce) -> tuple[int, int, int]:
        mark = found.mark
        return (files.index(mark.file), mark.line, mark.column) if mark else (-1, 0, 0)

    return Loaded(
        None if findings.failed else spec,
        tuple(sorted(findings.problems, key=order)),
        tuple(sorted(findings.not_in_force, key=order)),
        document.readable,
    )


class _Reader:
    """Reads the sections of one document."""

    def __init__(self, document: Document, findings: Findings) -> None:
        self.document = document
        self.findings = findings
        self.tree = Tree({}, findings)

    def config(self, files: tuple[str, ...], environ: Mapping[str, str]) -> ConfigSpec:
        """Return the whole; where there were errors, what is left of it."""
        environment = Environment(environ, self.findings)
        written = dict(self.document.value)
        environment.declare(written.pop("environment_variables", None), self.document.texts)
        self.tree.value = environment.resolve(written, ())
        self._keep_price_texts()
        top: Entry = ((), self.tree.value)
        self.tree.unknown(top, IN_FORCE | frozenset(NOT_IN_FORCE[""]))
        self.tree.without_force(top, "")
        self.tree.unknown((("proxy_settings",), self.tree.mapping(("proxy_settings",))), {"teams"})
        router = self.router()
        return ConfigSpec.model_construct(
            deployments=self.deployments(),
            general=self.settings(GeneralSettings, "general_settings", _PASSED[-1]),
            litellm=self.settings(LitellmSettings, "litellm_settings", "virtual_keys"),
            router=router,
            keys=self.keys(),
            teams=self.named(TeamSpec, "team_id", self.listed(*_TEAMS)),
            users=self.named(UserSpec, "user_id", self.listed(("users",))),
            organizations=self.named(OrganizationSpec, "organization_id", self.listed(("organizations",))),
            budgets=self.named(BudgetSpec, "budget_id", self.listed(("budgets",))),
            rate_limits=self.named(RateLimitSpec, "model", self.tree.rate_limits()),
            pass_through=self.named(PassThroughSpec, "path", self.listed(_PASSED)),
            guardrails=self.guardrails(),
            files=files,
            environment=environment.declared,
            redis=redis(router, self.tree.mapping(("litellm_settings",)), environment.variables, self.findings),
        )

    def guardrails(self) -> tuple[tuple[dict[str, Any], Mark | None], ...]:
        """Write the `guardrails` section as policy documents; a type that is not to be had is not in force."""
        found = []
        for path, entry in self.listed(("guardrails",)):
            try:
                found.append((document(entry), self.findings.mark(path)))
            except NotOursError:
                self.findings.without_force((*path, "litellm_params", "guardrail"), "guardrail")
            except ValueError as error:
                self.findings.error((*path, "litellm_params"), str(error))
        callbacks = ("litellm_settings", "callbacks")
        written = legacy(self.tree.mapping(callbacks[:1]).get(callbacks[1]))
        return (*found, *((one, self.findings.mark(callbacks)) for one in written))

    def _keep_price_texts(self) -> None:
        """Put back prices as they were written: a float would have rounded them."""
        for path, text in self.document.texts.items():
            priced = path[-1] in Prices.model_fields and path[-2:-1] in (("litellm_params",), ("model_info",))
            holder = self.tree.at(path[:-1]) if priced else None
            if isinstance(holder, dict):
                holder[str(path[-1])] = text

    def build(self, spec: type[S], entry: Entry, **inner: Any) -> S | None:
        """Make one spec; its faults are recorded, None is returned then."""
        path, mapping = entry
        for other, name in spec.other_names.items():
            if mapping.get(other) is not None and mapping.get(name) is not None:
                self.findings.warning((*path, other), f"ignored beside `{name}`: remove one of the two")
        try:
            return spec.from_wire(mapping, **inner)
        except ValidationError as error:
            explain(error, spec, (path, mapping), self.findings)
            return None

    def settings(self, spec: type[S], name: str, *more: str) -> S:
        """Read one section of settings; a faulty one is recorded and taken as empty."""
        entry: Entry = ((name,), self.tree.mapping((name,)))
        self.tree.unknown(entry, known_keys(spec, name, *more))
        self.tree.without_force(entry, name)
        own = {key: value for key, value in entry[1].items() if key not in more}
        settings = self.build(spec, ((name,), own)) or spec()
        if isinstance(settings, GeneralSettings) and settings.master_key:
            laws.master_key(settings.master_key, self.findings)
        return settings

    def router(self) -> RouterSettings:
        """Read `router_settings`."""
        settings = self.settings(RouterSettings, "router_settings")
        for alias, target in settings.model_group_alias.items():
            if isinstance(target, GroupAlias):
                path: Path = ("router_settings", "model_group_alias", alias)
                self.tree.unknown((path, self.tree.mapping(path)), GroupAlias.named())
        if settings.routing_strategy not in STRATEGIES_IN_FORCE:
            self.findings.without_force(("router_settings", "routing_strategy"), "feature")
        return settings

    def deployments(self) -> tuple[DeploymentSpec, ...]:
        """Read `model_list`."""
        infos: list[Entry] = []
        found = [(path, self.deployment(path, entry, infos)) for path, entry in self.tree.entries(("model_list",))]
        laws.unique(infos, "id", self.findings)
        return laws.distinct([(path, spec) for path, spec in found if spec], self.findings)

    def deployment(self, path: Path, entry: dict[str, Any], infos: list[Entry]) -> DeploymentSpec | None:
        """Read one entry of `model_list`, and add its `model_info` to `infos`."""
        self.tree.unknown_beside_params((path, entry))
        params, info = self.tree.deployment(path)
        infos.append(((*path, "model_info"), info))
        place: Path = (*path, "litellm_params")
        self.tree.unknown_params((place, params))
        self.tree.without_force((place, params), "litellm_params")
        built = self.build(LitellmParams, (place, params))
        known = self.build(ModelInfo, infos[-1])
        spec = self.build(
            DeploymentSpec,
            (path, entry),
            params=built or LitellmParams.model_construct(),
            info=known or ModelInfo(),
            id=(known and known.id) or self.identity(path),
            mark=self.findings.mark(path),
        )
        return spec if built and known else None

    def identity(self, path: Path) -> str:
        """Compute an id of what the file says, so that a new secret does not make a new deployment."""
        written = Tree(self.document.value, self.findings)
        said = [written.at((*path, "model_name")), written.at((*path, "litellm_params"))]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def keys(self) -> tuple[KeySpec, ...]:
        """Read the virtual keys."""
        entries = self.listed(*_KEYS)
        laws.keys(entries, self.findings)
        return self.entities(KeySpec, entries)

    def named(self, spec: type[S], name: str, entries: list[Entry]) -> tuple[S, ...]:
        """Read entities of one kind, each of its own name."""
        laws.unique(entries, name, self.findings)
        return self.entities(spec, entries)

    def listed(self, *places: Path) -> list[Entry]:
        """Return the entries of all places where one kind may be listed."""
        return [entry for place in places for entry in self.tree.entries(place)]

    def entities(self, spec: type[S], entries: list[Entry]) -> tuple[S, ...]:
        """Read entities of one kind."""
        section = _SECTIONS[spec]
        for entry in entries:
            self.tree.unknown(entry, known_keys(spec, section))
            self.tree.without_force(entry, section)
        built = [self.build(spec, entry, mark=self.findings.mark(entry[0])) for entry in entries]
        return tuple(found for found in built if found)
