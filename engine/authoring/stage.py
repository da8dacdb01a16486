"""A configuration made ready for trials: compiled as `serve` compiles it, its upstreams replaced, its secrets not needed.

What a file takes from the environment and is not set there is made up, so that tests run where no secrets are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import ValidationError

from engine.authoring.upstream import Scene, StagedRegistry
from engine.build import build
from engine.call import Caller
from engine.callers import callers_of
from engine.config.include import gather
from engine.config.problems import Path, Problem
from engine.config.specs import ConfigSpec, KeySpec
from engine.config.substitute import NEEDED, REFERENCE, SENT
from engine.contracts import Deps, Registry
from engine.extensions import Extensions, kind
from engine.outside import Offline, SystemClock
from engine.policy import Policy
from engine.pricing import Prices
from engine.settle import without_config
from engine.snapshot import Snapshot
from engine.sources import Sources, compile_sources

MASTER = "sk-trial-master-0123456789"
"""The master key of a configuration without one."""
MASTER_ALIAS = "master key"


class StageError(Exception):
    """A configuration cannot be tried; `problems` say why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Stage:
    """A configuration ready to be tried."""

    spec: ConfigSpec
    snapshot: Snapshot
    registry: Registry
    scene: Scene
    callers: tuple[Caller, ...]
    prices: Prices
    made_up: tuple[str, ...]
    """Variables of the environment that are not set."""

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies in force, in their order."""
        return self.snapshot.policies.policies

    @property
    def aliases(self) -> list[str]:
        """The aliases of keys that calls may be made with."""
        return [key.key_alias for key in self.spec.keys if key.key_alias] + [MASTER_ALIAS]

    def key(self, alias: str) -> str | None:
        """Return the key of an alias."""
        if alias == MASTER_ALIAS:
            return self.spec.general.master_key
        return next((key.key for key in self.spec.keys if key.key_alias == alias), None)

    def caller(self, fields: Mapping[str, Any]) -> tuple[str, Caller]:
        """Make a caller with these fields of a key, as the configuration would; return its key, too.

        Raises ValueError for fields that no key can have.
        """
        try:
            key = KeySpec.from_wire({"key": "sk-trial-caller-0123456789", **fields}, mark=None)
        except ValidationError as error:
            wrong = {".".join(map(str, one["loc"])): one["msg"].lower() for one in error.errors()}
            raise ValueError("; ".join(f"{name}: {message}" for name, message in wrong.items())) from None
        problems: list[Problem] = []
        found = next(callers_of(self.spec.model_copy(update={"keys": (key,)}), kind, problems), None)
        if found is None:
            raise ValueError(problems[-1].message)
        return key.key, found


def staged(sources: Sources, environ: Mapping[str, str]) -> Stage:
    """Compile a configuration for trials; raises StageError."""
    made_up = {name: value for name, value in _referred(sources) if name not in environ}
    compiled = compile_sources(sources, {**made_up, **environ}, kind)
    loaded = without_config(compiled.loaded) if sources.config is None else compiled.loaded
    if compiled.errors or loaded.spec is None:
        raise StageError(compiled.errors or compiled.problems)
    spec = loaded.spec
    key = spec.general.master_key or environ.get("INTERLOCK_MASTER_KEY") or MASTER
    spec = spec.model_copy(update={"general": spec.general.model_copy(update={"master_key": key})})
    scene = Scene()
    made_up |= {name: value for name, value in _passed(compiled.policies.policies) if name not in environ}
    known = {**made_up, **environ, **spec.environment}
    deps = Deps(SystemClock(), Random(0), Offline(), known)  # noqa: S311 - it spreads load, it guards nothing
    registry = StagedRegistry(Extensions(deps), scene)
    prices = Prices.bundled()
    built = build(spec, registry, prices, 1, compiled.policies)
    errors = tuple(problem for problem in built.problems if problem.severity == "error")
    if errors:
        raise StageError(errors)
    return Stage(spec, built.snapshot, registry, scene, built.callers, prices, tuple(sorted(made_up)))


def _referred(sources: Sources) -> Iterator[tuple[str, str]]:
    """Name what a configuration takes from the environment, each with a value that would do."""
    if sources.config is None:
        return
    document, _ = gather(sources.config)
    declared = document.value.get("environment_variables")
    known = declared if isinstance(declared, dict) else {}
    for path, text in _texts(document.value, ()):
        if REFERENCE.fullmatch(text) and path[-1] not in NEEDED and SENT.isdisjoint(path):
            continue  # what is not needed is null where it is not set
        for name in REFERENCE.findall(text):
            if name not in known:
                address = path[-1] in ("api_base", "base_url", "target")
                yield name, "http://unset.invalid/v1" if address else f"sk-unset-{name.lower()}-0123456789"


def _passed(policies: Iterable[Policy]) -> Iterator[tuple[str, str]]:
    """Name what passages take from the environment, each with a value that would do."""
    for sent in filter(None, (policy.passage() for policy in policies)):
        for _, text in (*sent.headers, *sent.query):
            yield from ((name, f"unset-{name.lower()}") for name in REFERENCE.findall(text))
        yield from ((name, "http://unset.invalid") for name in REFERENCE.findall(sent.target))


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        for step, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(one, (*path, step))
