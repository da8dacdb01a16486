"""How a call is decided: the verdict, why, and all that policies say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.authoring.account import Account
from engine.authoring.telling import as_json, lines_of
from engine.authoring.trial import Trial
from engine.call import Call
from engine.claims import UNLIMITED
from engine.refusals import shown


def facts(trial: Trial) -> dict[str, Any]:
    """Return the verdict about a trial and what it rests on."""
    call, decision = trial.call, trial.decision
    direction = decision.direction if decision is not None else None
    caller = call.caller if call is not None else None
    found: dict[str, Any] = {
        "decision": "deny" if trial.refused else "allow",
        "status": trial.status,
        "message": trial.message,
        "rules": list(decision.determining) if decision is not None else [],
        "caller": (caller.alias or caller.masked or caller.role) if caller is not None else "",
        "model": call.group.name if call is not None and call.group is not None else "",
        "asked_for": call.model_asked if call is not None else "",
        "tags": list(direction.tags) if direction is not None else [],
        "route_reason": call.route_reason if call is not None else "",
        "deployment": call.deployment.id if call is not None and call.deployment is not None else "",
        "warnings": list(decision.warnings) if decision is not None else [],
        "changes": _changes(trial),
        "held": _held(call),
        "guardrails": _guardrails(call),
        "revision": trial.headers.get("x-interlock-revision", ""),
        "microseconds": round(decision.seconds * 1e6, 1) if decision is not None else 0.0,
    }
    return found


def lines(trial: Trial, accounts: Sequence[Account]) -> Iterator[str]:
    """Tell how a trial was decided."""
    found = facts(trial)
    yield f"decision: {found['decision']}, status {found['status']}"
    for name in (
        "rules",
        "message",
        "caller",
        "model",
        "tags",
        "route_reason",
        "deployment",
        "warnings",
        "changes",
        "held",
        "guardrails",
        "revision",
    ):
        value = found[name]
        if value:
            yield f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}"
    if found["asked_for"] and found["asked_for"] != found["model"]:
        yield f"asked for: {found['asked_for']}"
    yield f"policies took: {found['microseconds']} µs"
    yield ""
    yield from lines_of(accounts)
    if not accounts:
        yield "there are no policies"


def report(trial: Trial, accounts: Sequence[Account]) -> dict[str, Any]:
    """Return the same for programs."""
    return {**facts(trial), "policies": as_json(accounts)}


def _held(call: Call | None) -> list[str]:
    """Say what was held of every limit that governs a call."""
    hold = call.account.hold if call is not None else None
    said = []
    for counter, amount in hold.claims if hold is not None else ():
        name = f"{counter.name} [{counter.subject.detail}]" if counter.subject.detail else counter.name
        limit = counter.limit if counter.limit != UNLIMITED else counter.soft or 0
        said.append(f"{shown(amount, counter.unit)} of {shown(limit, counter.unit)} {counter.unit} of {name}")
    return said


def _guardrails(call: Call | None) -> list[str]:
    """Say of every guardrail at work what it found, and how much of a stream waits for it."""
    watched, decision = (call.watched, call.decision) if call is not None else (None, None)
    said = []
    for one in watched.guards if watched is not None else ():
        outcomes = decision.outcomes if decision is not None else ()
        found = [outcome.detail or outcome.said for outcome in outcomes if outcome.name == one.name]
        parts = [f"found {', '.join(found)}" if found else "found nothing"]
        if one.answered:
            redaction = one.redaction
            whole = any(remote for _, remote in one.remotes) or redaction.holds
            waits = "all of a stream waits" if whole else f"of a stream {redaction.longest} characters at most wait"
            parts.append(waits + (f" for `{redaction.holds}`" if redaction.holds else ""))
        said.append(f"{one.name}: {'; '.join(parts)}")
    return said


def _changes(trial: Trial) -> list[str]:
    """Name the members that policies changed, each once."""
    decision = trial.decision
    return list(dict.fromkeys(".".join(edit.path) for edit in decision.edits)) if decision is not None else []
