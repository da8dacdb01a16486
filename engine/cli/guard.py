"""`interlock guard`: what the guardrails of a configuration find in a text."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from engine.watching import Guard


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--config", "-c", type=click.Path(path_type=Path), help="LiteLLM's config.yaml")
@click.option("--policies", type=click.Path(path_type=Path), help="directory of policy files")
@click.option("--json", "as_json", is_flag=True, help="write JSON")
def command(file: Path, config: Path | None, policies: Path | None, as_json: bool) -> None:
    """Show what each guardrail finds in FILE, or in standard input where it is `-`, and where; no service is asked.

    Exits 1 where something is found, 2 where it cannot run.
    """
    text = sys.stdin.read() if str(file) == "-" else _read(file)
    found = [one for guard in _guards(config, policies) for one in _found(guard, text)]
    if as_json:
        click.echo(json.dumps(found))
    for one in [] if as_json else found:
        click.echo(
            f"{one['guardrail']}: {one['type']} at {one['start']}-{one['end']} ({one['action']}, score {one['score']:.2f})"
        )
    raise SystemExit(1 if found else 0)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"`{file}` cannot be read: {error}") from error


def _guards(config: Path | None, policies: Path | None) -> list[Guard]:
    from random import Random  # noqa: PLC0415 - `guard --help` does not pay for it

    from engine.config.problems import Problem  # noqa: PLC0415 - as above
    from engine.contracts import Deps  # noqa: PLC0415 - as above
    from engine.extensions import Extensions, kind  # noqa: PLC0415 - as above
    from engine.outside import Offline, SystemClock  # noqa: PLC0415 - as above
    from engine.sources import Sources, compile_sources  # noqa: PLC0415 - as above
    from engine.watching import guards_of  # noqa: PLC0415 - as above

    compiled = compile_sources(Sources(config, policies), os.environ, kind)
    problems: list[Problem] = list(compiled.errors)
    registry = Extensions(Deps(SystemClock(), Random(), Offline(), os.environ))  # noqa: S311 - nothing is drawn
    files = compiled.loaded.spec.files if compiled.loaded.spec is not None else ()
    guards = list(guards_of(compiled.policies.policies, registry, problems, files))
    if problems:
        raise click.UsageError("\n".join(map(str, problems)))
    if not guards:
        raise click.UsageError("there is no guardrail; name a configuration by --config or --policies")
    return guards


def _found(guard: Guard, text: str) -> list[dict[str, Any]]:
    return [
        {"guardrail": guard.name, "action": action, **hit._asdict()}
        for detector, action in guard.detectors
        for hit in detector.find(text)
    ]
