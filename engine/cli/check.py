"""`interlock check`: say what is wrong with a configuration, all of it, without starting anything."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import click

from engine.build import build
from engine.config.litellm import Loaded, load
from engine.config.problems import Mark
from engine.config.specs import ConfigSpec
from engine.contracts import Deps
from engine.extensions import Extensions
from engine.outside import Offline, SystemClock
from engine.pricing import Prices


@click.command("check")
@click.option("--config", "-c", "file", metavar="FILE", default="config.yaml", show_default=True, help="What to check.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: str, strict: bool, as_json: bool) -> None:
    """Check a configuration file: every problem, what is not in force, and a summary."""
    loaded = compiled(load(file, os.environ))
    print(json.dumps(_report(file, loaded), indent=2) if as_json else _text(file, loaded))
    sys.exit(_status(loaded, strict=strict))


def compiled(loaded: Loaded) -> Loaded:
    """Compile a sound configuration as `serve` would, and add what that brings to light."""
    if loaded.spec is None:
        return loaded
    environ = {**os.environ, **loaded.spec.environment}
    registry = Extensions(Deps(SystemClock(), Random(), Offline(), environ))  # noqa: S311 - nothing is drawn
    problems = build(loaded.spec, registry, Prices.bundled(), 0).problems
    failed = any(problem.severity == "error" for problem in problems)
    return replace(loaded, spec=None if failed else loaded.spec, problems=loaded.problems + problems)


def _status(loaded: Loaded, *, strict: bool) -> int:
    """Return 0 good, 1 findings, 2 nothing could be checked."""
    if not loaded.readable:
        return 2
    return int(loaded.spec is None or (strict and bool(loaded.problems)))


def _text(file: str, loaded: Loaded) -> str:
    lines = [str(problem) for problem in loaded.problems]
    lines += [f"accepted, not in force: {item}" for item in loaded.not_in_force]
    return "\n".join([*lines, f"{file}: {_summary(loaded)}"])


def _summary(loaded: Loaded) -> str:
    """Say how it stands in a few words."""
    if not loaded.readable:
        return "not checked: name the file with `--config FILE`"
    found = Counter(problem.severity for problem in loaded.problems)
    findings = ", ".join(_count(found[severity], severity) for severity in ("error", "warning") if found[severity])
    if loaded.spec is None:
        return findings
    contents = ", ".join(_count(number, noun) for noun, number in _contents(loaded.spec).items())
    return f"{contents}: good{f', {findings}' if findings else ''}"


def _contents(spec: ConfigSpec) -> dict[str, int]:
    models = len({deployment.model_name for deployment in spec.deployments})
    return {"model": models, "key": len(spec.keys), "team": len(spec.teams)}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _report(file: str, loaded: Loaded) -> dict[str, Any]:
    return {
        "file": file,
        "good": loaded.spec is not None,
        "summary": _summary(loaded),
        "problems": [
            {"severity": problem.severity, **_place(problem.mark), "field": problem.field, "message": problem.message}
            for problem in loaded.problems
        ],
        "not_in_force": [{"kind": item.kind, **_place(item.mark), "field": item.field} for item in loaded.not_in_force],
    }


def _place(mark: Mark | None) -> dict[str, Any]:
    return mark._asdict() if mark else {"file": None, "line": None, "column": None}
