"""All test files of a directory of policies, run."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from engine.authoring.account import Account, Anatomies, accounts
from engine.authoring.cases import Case, Known, find_tests, read_cases
from engine.authoring.coverage import Coverage
from engine.authoring.expectation import Failure, failures
from engine.authoring.stage import Stage, staged
from engine.authoring.trial import Asked, tried
from engine.config.problems import Problem
from engine.sources import Sources


class Result(NamedTuple):
    """How one case ended: by `failures`, or `broken` where it could not be tried. `accounts` are kept of failed cases."""

    case: Case
    failures: tuple[Failure, ...]
    broken: str
    accounts: tuple[Account, ...]
    seconds: float

    @property
    def good(self) -> bool:
        """Whether all is as expected."""
        return not self.failures and not self.broken


@dataclass(frozen=True, slots=True)
class Suite:
    """All cases of all files, run; with `problems` none was."""

    files: tuple[str, ...]
    results: tuple[Result, ...]
    problems: tuple[Problem, ...]
    coverage: Coverage
    seconds: float

    @property
    def failed(self) -> int:
        """How many cases are not as expected."""
        return sum(not result.good for result in self.results)


def run(sources: Sources, environ: Mapping[str, str], only: str = "") -> Suite:
    """Run all cases, or those whose name `only` is found in; raises StageError, OSError.

    Nothing is run while any test file has an error.
    """
    started = time.perf_counter()
    stage = staged(sources, environ)
    files = find_tests(sources.policies) if sources.policies is not None else []
    cases: list[Case] = []
    problems: list[Problem] = []
    for file in files:
        found, wrong = read_cases(file, known_of(stage))
        cases += found
        problems += wrong
    anatomies = Anatomies()
    coverage = Coverage(stage, anatomies)
    chosen = [case for case in cases if re.search(only, case.name)] if not problems else []
    results = [_run(stage, case, anatomies, coverage) for case in chosen]
    return Suite(tuple(files), tuple(results), tuple(problems), coverage, time.perf_counter() - started)


def _run(stage: Stage, case: Case, anatomies: Anatomies, coverage: Coverage) -> Result:
    started = time.perf_counter()
    try:
        asked = asked_of(stage, case)
    except ValueError as error:
        return Result(case, (), f"no key can have these fields: {error}", (), 0.0)
    trial = tried(stage, asked)
    seconds = time.perf_counter() - started
    if trial.call is None:
        return Result(case, (), f"no inference route answers `POST {case.path}`", (), seconds)
    found = failures(case.expect, trial)
    told = accounts(trial, anatomies, elements=bool(found))
    coverage.add(told)
    return Result(case, tuple(found), "", tuple(told) if found else (), seconds)


def asked_of(stage: Stage, case: Case) -> Asked:
    """Return what a case asks; raises ValueError for a caller that cannot be."""
    caller = None
    if isinstance(case.caller, str):
        key = stage.key(case.caller)
    else:
        key, caller = stage.caller(case.caller)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", **case.headers}
    call_id = _call_id(case.name)
    return Asked(
        case.path, headers, case.body, case.clock, call_id, case.upstream, caller, case.method, case.before
    )  # fmt: skip


def known_of(stage: Stage) -> Known:
    """Return what cases may name."""
    return Known(stage.aliases, [policy.head.name for policy in stage.policies if policy.limits()])


def _call_id(name: str) -> str:
    """Name a call after its case: text that a header can hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80] or "trial"
