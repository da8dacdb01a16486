"""What must be settled before a gateway may start, and again before a reload takes effect."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from engine.aside import aside
from engine.build import Builder, Built, build, building
from engine.config.litellm import Loaded
from engine.config.problems import NotInForce, Problem
from engine.config.specs import ConfigSpec, DeploymentSpec, LitellmParams, ModelInfo
from engine.contracts import Registry
from engine.governing import PolicySet
from engine.outcome import Outcome
from engine.pricing import Prices
from engine.slices import sliced
from engine.sources import Compiled, Sources
from engine.watching import ready

log = structlog.get_logger("interlock")


class StartError(Exception):
    """The gateway refuses to start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A configuration fit to be served: `generated` is the master key made for this run, empty where one is set."""

    sources: Sources
    spec: ConfigSpec
    policies: PolicySet
    not_in_force: tuple[NotInForce, ...]
    generated: str
    allow_unenforced: bool
    given_key: str = ""
    revision: int = 1

    def with_master_key(self, spec: ConfigSpec) -> ConfigSpec:
        """Set the master key of a configuration: its own, else the environment's, else the one made for this run."""
        key = spec.general.master_key or self.given_key or self.generated
        return spec.model_copy(update={"general": spec.general.model_copy(update={"master_key": key})})

    def of(self, outcome: Outcome, revision: int) -> Settled:
        """Return what is settled once a compilation without errors is in force instead."""
        assert outcome.loaded.spec is not None  # noqa: S101 - it is without errors
        assert outcome.policies is not None  # noqa: S101 - it is without errors
        loaded = without_config(outcome.loaded) if self.sources.config is None else outcome.loaded
        spec = self.with_master_key(loaded.spec or outcome.loaded.spec)
        return replace(
            self, spec=spec, policies=outcome.policies, not_in_force=loaded.not_in_force, revision=revision
        )  # fmt: skip

    def unenforced(self) -> list[Problem]:
        """Name the limits and guardrails that would not hold, unless that was allowed."""
        if self.allow_unenforced:
            return []
        message = "is a limit or guardrail that is not enforced yet; remove it, or start with --allow-unenforced"
        return [Problem("error", one.mark, one.field, message) for one in self.not_in_force if one.kind != "feature"]

    def build(self, registry: Registry, prices: Prices) -> Built:
        """Compile what is settled; raises StartError with every error."""
        built = build(self.spec, registry, prices, self.revision, self.policies)
        raise_errors(built.problems)
        return built

    async def rebuild(self, registry: Registry, prices: Prices) -> Built | list[Problem]:
        """Compile what is settled while calls go on; return the errors where there are any."""
        unenforced = self.unenforced()
        if unenforced:
            return unenforced
        guards = await aside(ready, self.policies.policies, registry, self.spec.files)
        built = await sliced(building(Builder(self.spec, registry, prices), self.revision, self.policies, guards))
        return [problem for problem in built.problems if problem.severity == "error"] or built


def settle(compiled: Compiled, sources: Sources, environ: Mapping[str, str], *, allow_unenforced: bool) -> Settled:
    """Settle master key and what is not in force; raises StartError."""
    loaded = without_config(compiled.loaded) if sources.config is None else compiled.loaded
    raise_errors(compiled.problems)
    if loaded.spec is None:
        raise StartError("the configuration has errors; mend them and start again")
    for one in loaded.not_in_force:
        log.warning("accepted, not in force", setting=str(one))
    given = environ.get("INTERLOCK_MASTER_KEY") or environ.get("LITELLM_MASTER_KEY") or ""
    generated = "" if loaded.spec.general.master_key or given else f"sk-{secrets.token_urlsafe(24)}"
    settled = Settled(
        sources, loaded.spec, compiled.policies, loaded.not_in_force, generated, allow_unenforced, given
    )  # fmt: skip
    raise_errors(settled.unenforced())
    return replace(settled, spec=settled.with_master_key(loaded.spec))


def without_config(loaded: Loaded) -> Loaded:
    """Let the echo provider answer for every model."""
    echo = DeploymentSpec(model_name="echo", params=LitellmParams(model="echo/echo"), info=ModelInfo(), id="echo")
    every = DeploymentSpec(model_name="*", params=LitellmParams(model="echo/*"), info=ModelInfo(), id="echo-any")
    spec = loaded.spec or ConfigSpec()
    return replace(loaded, spec=spec.model_copy(update={"deployments": (echo, every)}))


def raise_errors(problems: tuple[Problem, ...] | list[Problem]) -> None:
    """Log warnings; raises StartError with every error."""
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        raise StartError("\n".join(errors))
    for problem in problems:
        log.warning("configuration", problem=str(problem))
