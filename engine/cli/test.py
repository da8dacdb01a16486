"""`interlock test`: run the test files of policies."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from engine.authoring import report
from engine.authoring.stage import StageError
from engine.authoring.suite import Suite, run
from engine.cli.check import found
from engine.documents.files import SUFFIXES
from engine.sources import Sources


@click.command("test")
@click.option("--config", "-c", "file", metavar="FILE", help="What calls go through.  [default: config.yaml]")
@click.option("--policies", metavar="DIR", help="Policies and their `*_test.yaml`.  [default: policies/, then rules/]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False), help="Write JUnit XML, too.")
@click.option("--coverage", is_flag=True, help="Say which rules and conditions were not seen both ways.")
@click.option("--watch", is_flag=True, help="Run again whenever a file changes.")
@click.option("--run", "only", metavar="REGEX", default="", help="Run only cases whose name this is found in.")
@click.option("--allow-empty", is_flag=True, help="No cases are no failure.")
def command(  # noqa: PLR0913, PLR0917 - click hands over one argument an option
    file: str | None, policies: str | None, as_json: bool, junit: str | None, coverage: bool, watch: bool, only: str,
    allow_empty: bool,
) -> None:  # fmt: skip
    """Run the tests of policies: every case is a call through the gateway, to an upstream that is none.

    Exit 0: all as expected. 1: a case failed, or there are none. 2: cannot run.
    """
    try:
        re.compile(only)
    except re.error as error:
        _cannot([f"--run: `{only}` is no regular expression: {error}"])
    sources = _sources(file, policies)

    def once() -> int:
        try:
            suite = run(sources, os.environ, only)
        except StageError as error:
            return _say(map(str, error.problems), "the configuration has errors, so nothing was run")
        except OSError as error:
            return _say([f"{error.filename}: cannot be read ({(error.strerror or '').lower()})"], "nothing was run")
        if suite.problems:
            return _say(map(str, suite.problems), "test files have errors, so nothing was run")
        return _told(suite, as_json=as_json, junit=junit, coverage=coverage, allow_empty=allow_empty)

    status = once()
    if watch:
        _watch(sources, once)
    sys.exit(status)


def _sources(file: str | None, policies: str | None) -> Sources:
    """Say what is tested; without any configuration the echo provider answers for every model."""
    sources = found(file, policies)
    if sources.policies is None:
        _cannot(["no directory of policies here: name it with `--policies DIR`"])
    if file is None and sources.config is not None and not sources.config.exists():
        return Sources(None, sources.policies)
    return sources


def _told(suite: Suite, *, as_json: bool, junit: str | None, coverage: bool, allow_empty: bool) -> int:
    if junit is not None:
        try:
            Path(junit).write_bytes(report.junit(suite))
        except OSError as error:
            return _say([f"{junit}: cannot be written ({(error.strerror or '').lower()})"], "no JUnit XML")
    if as_json:
        print(json.dumps(report.as_object(suite, coverage=coverage), indent=2, default=str))
    else:
        print("\n".join(report.text(suite, coverage=coverage)))
    return 1 if suite.failed or (not suite.results and not allow_empty) else 0


def _say(problems: Iterable[str], outcome: str) -> int:
    print("\n".join([*problems, outcome]), file=sys.stderr)
    return 2


def _cannot(problems: Iterable[str]) -> None:
    sys.exit(_say(problems, "nothing was run"))


def _watch(sources: Sources, once: Callable[[], int]) -> None:
    """Run again whenever a file changes; directories that come later are watched from then on."""
    import watchfiles  # noqa: PLC0415 - only who watches pays for it

    def yaml(_: watchfiles.Change, path: str) -> bool:
        return path.endswith(SUFFIXES)

    watching = True
    while watching:
        watching, folders = False, _folders(sources)
        for _ in watchfiles.watch(
            *folders, watch_filter=yaml, recursive=False, debounce=100, step=20, raise_interrupt=False
        ):
            print(flush=True)
            once()
            sys.stdout.flush()
            if folders != _folders(sources):
                watching = True
                break


def _folders(sources: Sources) -> list[str]:
    """List the directories whose files matter."""
    found = [os.fspath(sources.config.parent)] if sources.config is not None else []
    if sources.policies is not None:
        found += sorted(folder for folder, _, _ in os.walk(sources.policies))
    return list(dict.fromkeys(found))
