"""What a case expects against what a trial came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine.authoring.cases import Expect
from engine.authoring.trial import Trial

ABSENT = object()


class Failure(NamedTuple):
    """One expectation that was not met."""

    field: str
    expected: Any
    actual: Any


def failures(expect: Expect, trial: Trial) -> list[Failure]:
    """List the expectations that a trial does not meet."""
    decision, call = trial.decision, trial.call
    found = list(_plain(expect, trial))
    if expect.rule is not None:
        rules = decision.determining if decision is not None else []
        if sorted(rules) != sorted(expect.rule):
            found.append(Failure("rule", list(expect.rule), list(rules)))
    if expect.model is not None:
        model = call.group.name if call is not None and call.group is not None else ""
        if model != expect.model:
            found.append(Failure("model", expect.model, model or None))
    if expect.tags is not None:
        direction = decision.direction if decision is not None else None
        tags = direction.tags if direction is not None else ()
        if sorted(tags) != sorted(expect.tags):
            found.append(Failure("tags", list(expect.tags), list(tags)))
    if expect.message is not None and not says(expect.message, trial.message):
        found.append(Failure("message", expect.message, trial.message))
    for name, wanted in expect.headers.items():
        actual = trial.headers.get(name)
        if (actual is not None) if wanted is None else (actual is None or not says(wanted, actual)):
            found.append(Failure(f"headers.{name}", wanted, actual))
    if expect.body and trial.sent is None:
        found.append(Failure("body", expect.body, None))
    elif trial.sent is not None:
        found += _members(expect.body, trial.sent, "body")
    return found


def says(wanted: str, actual: str) -> bool:
    """Tell whether a text contains another; with `=` before it, whether it is the other."""
    return actual == wanted[1:] if wanted.startswith("=") else wanted in actual


def _plain(expect: Expect, trial: Trial) -> Iterator[Failure]:
    decided = "deny" if trial.refused else "allow"
    if expect.decision is not None and expect.decision != decided:
        yield Failure("decision", expect.decision, decided)
    if expect.status is not None and expect.status != trial.status:
        yield Failure("status", expect.status, trial.status)


def _members(wanted: Mapping[str, Any], actual: Mapping[str, Any], path: str) -> Iterator[Failure]:
    for name, value in wanted.items():
        at, found = f"{path}.{name}", actual.get(name, ABSENT)
        if isinstance(value, dict) and isinstance(found, dict):
            yield from _members(value, found, at)
        elif value is None:
            if found is not ABSENT and found is not None:
                yield Failure(at, None, found)
        elif found is ABSENT or (type(found) is bool) != (type(value) is bool) or found != value:
            yield Failure(at, value, None if found is ABSENT else found)
