"""Instants as LiteLLM's clients read and write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

from engine.api.management.faults import bad_request


def iso(seconds: float | None) -> str | None:
    """Write an instant in UTC; nothing for what never was."""
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def day(name: str, text: str | None) -> date:
    """Read a day, `YYYY-MM-DD`, of a query; raises ClientError 400."""
    if not text:
        raise bad_request(f"`{name}` is required: write a day as `2026-01-31`", name)
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise bad_request(f"`{name}`: `{text[:40]}` is no day; write one as `2026-01-31`", name) from error


def midnight(of: date) -> float:
    """Return the first instant of a day in UTC, in Unix seconds."""
    return datetime(of.year, of.month, of.day, tzinfo=UTC).timestamp()
