"""`interlock check`: say what is wrong with a configuration, all of it, without starting anything."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from engine.build import Built, build
from engine.config.problems import Mark, Problem
from engine.config.specs import ConfigSpec
from engine.contracts import Deps
from engine.extensions import Extensions, kind
from engine.outside import Offline, SystemClock
from engine.pricing import Prices
from engine.sources import Compiled, Sources, compile_sources

if TYPE_CHECKING:
    from engine.authoring.costs import Cost
    from engine.authoring.governed import Ungoverned

DIRECTORIES = ("policies", "rules")
"""Where policies are looked for when nobody says where."""


@click.command("check")
@click.option("--config", "-c", "file", metavar="FILE", help="What to check.  [default: config.yaml]")
@click.option("--policies", metavar="DIR", help="Its policy files.  [default: policies/, then rules/]")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--costs", "with_costs", is_flag=True, help="Say what every expression may take at worst.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: str | None, policies: str | None, strict: bool, with_costs: bool, as_json: bool) -> None:
    """Check a configuration and its policies: every problem, what is not in force, and a summary.

    With --strict, name the models and routes that no policy governs, too.
    """
    sources = found(file, policies)
    compiled = checked(compile_sources(sources, os.environ, kind))
    known = _known(compiled, strict=strict, with_costs=with_costs or as_json)
    name = " with ".join(f"{path}" for path in sources if path is not None)
    print(json.dumps(_report(name, compiled, known), indent=2) if as_json else _text(name, compiled, known))
    sys.exit(_status(compiled, strict=strict))


class Known(NamedTuple):
    """What else is known of policies, where it is asked for: none of it is a problem."""

    ungoverned: Ungoverned | None = None
    costs: tuple[Cost, ...] = ()


def _known(compiled: Compiled, *, strict: bool, with_costs: bool) -> Known:
    if not compiled.policies.policies or compiled.errors:
        return Known()
    from engine.authoring.costs import costs  # noqa: PLC0415 - a configuration without policies does not pay for it
    from engine.authoring.governed import ungoverned  # noqa: PLC0415 - a configuration without policies does not pay for it

    spec = compiled.loaded.spec
    snapshot = _built(spec, compiled).snapshot if strict and spec is not None else None
    return Known(
        ungoverned(snapshot) if snapshot is not None else None,
        tuple(costs(compiled.policies.policies)) if with_costs else (),
    )


def found(file: str | None, policies: str | None) -> Sources:
    """Say what is meant where the command line does not: `config.yaml`, and the first directory of policies there is."""
    directory = policies or next((name for name in DIRECTORIES if Path(name).is_dir()), None)
    config = file or "config.yaml"
    if file is None and policies is not None and not Path(config).exists():
        return Sources(None, Path(policies))
    return Sources(Path(config), Path(directory) if directory else None)


def checked(compiled: Compiled) -> Compiled:
    """Compile a sound configuration as `serve` would, and add what that brings to light."""
    spec = compiled.loaded.spec
    if spec is None or compiled.errors:
        return compiled
    problems = compiled.problems + (_built(spec, compiled).problems if spec.files else ())
    if compiled.policies.policies and not any(problem.severity == "error" for problem in problems):
        from engine.authoring.lint import lint  # noqa: PLC0415 - a configuration without policies does not pay for it

        problems += tuple(lint(compiled.policies.policies))
    return replace(compiled, problems=problems)


def _built(spec: ConfigSpec, compiled: Compiled) -> Built:
    environ = {**os.environ, **spec.environment}
    registry = Extensions(Deps(SystemClock(), Random(), Offline(), environ))  # noqa: S311 - nothing is drawn
    return build(spec, registry, Prices.bundled(), 0, compiled.policies)


def _status(compiled: Compiled, *, strict: bool) -> int:
    """Return 0 good, 1 findings, 2 nothing could be checked."""
    if not compiled.loaded.readable:
        return 2
    return int(bool(compiled.errors) or (strict and bool(compiled.problems)))


def _text(name: str, compiled: Compiled, known: Known) -> str:
    lines = [str(problem) for problem in compiled.problems]
    lines += [f"accepted, not in force: {item}" for item in compiled.loaded.not_in_force]
    lines += map(str, known.costs)
    free = known.ungoverned._asdict() if known.ungoverned is not None else {}
    lines += [f"no policy governs these {noun}: {', '.join(names)}" for noun, names in free.items() if names]
    place = counted_in(compiled)
    lines += [f"counters: {place}"] if place else []
    return "\n".join([*lines, f"{name}: {_summary(compiled)}"])


def counted_in(compiled: Compiled) -> str:
    """Say where processes count together; empty where each counts for itself."""
    spec = compiled.loaded.spec
    return f"Redis at {spec.redis.place}" if spec is not None and spec.redis is not None else ""


def _summary(compiled: Compiled) -> str:
    """Say how it stands in a few words."""
    if not compiled.loaded.readable:
        return "not checked: name the file with `--config FILE`"
    found = Counter(problem.severity for problem in compiled.problems)
    findings = ", ".join(_count(found[severity], severity) for severity in ("error", "warning") if found[severity])
    spec = compiled.loaded.spec
    if spec is None or compiled.errors:
        return findings
    counts = {**_contents(spec), "policy": len(compiled.policies)}
    contents = ", ".join(_count(number, noun) for noun, number in counts.items() if number or noun != "policy")
    return f"{contents}: good{f', {findings}' if findings else ''}"


def _contents(spec: ConfigSpec) -> dict[str, int]:
    models = len({deployment.model_name for deployment in spec.deployments})
    return {"model": models, "key": len(spec.keys), "team": len(spec.teams)}


def _count(number: int, noun: str) -> str:
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") and noun != "key" else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _report(name: str, compiled: Compiled, known: Known) -> dict[str, Any]:
    return {
        "file": name,
        "good": compiled.loaded.readable and not compiled.errors,
        "summary": _summary(compiled),
        "problems": [_problem(problem) for problem in compiled.problems],
        "not_in_force": [
            {"kind": item.kind, **_place(item.mark), "field": item.field} for item in compiled.loaded.not_in_force
        ],
        **({"counters": counted_in(compiled)} if counted_in(compiled) else {}),
        **({"ungoverned": known.ungoverned._asdict()} if known.ungoverned is not None else {}),
        **({"costs": [cost._asdict() for cost in known.costs]} if known.costs else {}),
    }


def _problem(problem: Problem) -> dict[str, Any]:
    said = {"severity": problem.severity, **_place(problem.mark), "field": problem.field, "message": problem.message}
    return {**said, "excerpt": problem.excerpt} if problem.excerpt else said


def _place(mark: Mark | None) -> dict[str, Any]:
    return mark._asdict() if mark else {"file": None, "line": None, "column": None}
