"""Accounts of policies as a person reads them, and as a program does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.authoring.account import ERROR, MISS, UNREACHED, VALUE, Account, Told
from engine.authoring.values import Value, plain, written
from engine.policy import Action

INDENT = "  "


def lines_of(accounts: Sequence[Account]) -> Iterator[str]:
    """Tell what every policy said: those that govern the call in full, the others with the reason why not."""
    for account in accounts:
        head = account.policy.head
        action = f", {head.action} only" if head.action is not Action.DENY else ""
        yield f"{account.name} ({head.kind}{action}, {head.place})" + (f": {account.absent}" if account.absent else "")
        for told in account.told:
            yield from (INDENT + line for line in _told(told))
        if account.skipped:
            yield f"{INDENT}skipped: condition `{account.skipped}` does not hold"
        if account.changes:
            yield f"{INDENT}changes {', '.join(account.changes)}"


def _told(told: Told) -> Iterator[str]:
    """Write one rule: what it is and said, then its parts with their values."""
    took = f", {told.nanos / 1000:.1f} µs" if told.outcome != UNREACHED else ""
    reason = f" ({told.why})" if told.why else ""
    said = "" if told.outcome == VALUE else f": {told.outcome}{reason}"
    yield f"{told.place}  {told.role} {told.name}{said}{took}"
    if told.value is not None:
        yield from (INDENT * 2 + line for line in tree(told.value))
    elif told.outcome == MISS and told.source:
        yield INDENT * 2 + told.source


def tree(value: Value) -> Iterator[str]:
    """Write a value and, below it, those of its parts."""
    part = value.part
    yield f"{_short(part.text)} = {value.told}"
    for element, said in value.elements:
        yield f"{INDENT}for {element}: {said}"
    for one in value.parts:
        yield from (INDENT + line for line in tree(one))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else f"{text[:159]}…"


def as_json(accounts: Sequence[Account]) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [
        {
            "policy": account.name,
            "kind": account.policy.head.kind,
            "place": account.policy.head.place,
            "action": account.policy.head.action,
            "governs": not account.absent,
            **({"reason": account.absent} if account.absent else {}),
            **({"skipped": account.skipped} if account.skipped else {}),
            **({"changes": list(account.changes)} if account.changes else {}),
            "rules": [_json_told(told) for told in account.told],
        }
        for account in accounts
    ]


def _json_told(told: Told) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": told.name, "role": told.role, "place": told.place, "outcome": told.outcome, "microseconds": told.nanos / 1000,
        "expression": told.source,
    }  # fmt: skip
    if told.outcome in (ERROR, UNREACHED):
        said["reason"] = told.why
    if told.value is not None:
        said["value"] = _json_value(told.value)
    return said


def _json_value(value: Value) -> dict[str, Any]:
    said: dict[str, Any] = {"expression": value.part.text}
    if not value.reached:
        said["reached"] = False
    elif value.error:
        said["error"] = value.error
    else:
        found = plain(value.value)
        said["value"] = found if len(written(value.value, 2000)) <= 2000 else written(value.value)
    if value.elements:
        said["elements"] = [{"element": element, "value": told} for element, told in value.elements]
    if value.parts:
        said["parts"] = [_json_value(one) for one in value.parts]
    return said
