"""What one key, team, user, organization, member or end user may use: LiteLLM's limits, compiled to counters.

`max_budget` with `budget_duration` is a counter of money, `rpm_limit` and `tpm_limit` are fixed windows of a minute that
begin with their first call, `max_parallel_requests` counts what runs; `model_max_budget`, `model_rpm_limit` and
`model_tpm_limit` are the same for calls to one model. A limit that is absent or null limits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from engine import windows
from engine.claims import NANO, UNLIMITED, Counter, Failure, Scope, Subject, Unit
from engine.windows import LEASE, TOTAL, Window

MINUTE = windows.rate("1m")
OF_MODELS = {
    Scope.KEY: Scope.KEY_MODEL,
    Scope.TEAM: Scope.TEAM_MODEL,
    Scope.ORGANIZATION: Scope.ORGANIZATION_MODEL,
}
"""Whose counters are those of one model."""
UNNAMED = frozenset({Scope.KEY, Scope.KEY_MODEL, Scope.GLOBAL})
"""Whose counters are named without whose they are: that is the caller itself."""
NAMES = (
    "max_budget", "soft_budget", "budget_duration", "rpm_limit", "tpm_limit", "max_parallel_requests", "model_max_budget",
    "model_rpm_limit", "model_tpm_limit",
)  # fmt: skip
"""The fields that limit something."""


class Terms(NamedTuple):
    """What the configuration says of all limits.

    The time zone of budgets, which tokens `tpm_limit` counts, and what becomes of calls while counters are away.
    """

    zone: str = "UTC"
    tokens: Unit = Unit.TOKENS
    failure: Failure = "Fail"


class Allowance(NamedTuple):
    """The counters of one subject: those of every call, and those of calls to one model."""

    every: tuple[Counter, ...] = ()
    by_model: Mapping[str, tuple[Counter, ...]] = {}

    def counters(self, model: str) -> Sequence[Counter]:
        """Return the counters of a call to a model."""
        return (*self.every, *self.by_model[model]) if model in self.by_model else self.every


NOTHING = Allowance()


def allowance(subject: Subject, said: Mapping[str, Any], terms: Terms) -> Allowance:
    """Compile the limits among the fields of one subject; raises ValueError that names the field."""
    every = tuple(_counters(subject, said, terms))
    by_model: dict[str, list[Counter]] = {}
    for name, (field, of) in _BY_MODEL.items():
        for model, value in _of_models(name, said).items():
            inner = of(value)
            whose = Subject(OF_MODELS.get(subject.scope, subject.scope), subject.id, model)
            by_model.setdefault(model, []).extend(_named(name, model, whose, {field: inner[0], **inner[1]}, terms))
    return Allowance(every, {model: tuple(counters) for model, counters in by_model.items()})


def _of_models(name: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a field that says something of each model; LiteLLM keeps rates by model in `metadata`, too."""
    own, metadata = said.get(name), said.get("metadata")
    if not own and name != "model_max_budget" and isinstance(metadata, Mapping):
        own = metadata.get(name)
    if own and not isinstance(own, Mapping):
        raise ValueError(f"`{name}`: must be a mapping from models to limits")
    return own or {}


def _named(name: str, model: str, subject: Subject, said: Mapping[str, Any], terms: Terms) -> list[Counter]:
    try:
        return list(_counters(subject, said, terms))
    except ValueError as error:
        raise ValueError(f"`{name}` of `{model}`: {error}") from error


def _counters(subject: Subject, said: Mapping[str, Any], terms: Terms) -> list[Counter]:
    found = []
    budget, soft = said.get("max_budget"), said.get("soft_budget")
    if budget is not None or soft is not None:
        window = budget_of("budget_duration", said, terms)
        limit = nano("max_budget", budget) if budget is not None else UNLIMITED
        found.append(counter(subject, Unit.USD, window, limit, nano("soft_budget", soft) if soft is not None else None))
    for field, unit, window in (
        ("rpm_limit", Unit.REQUESTS, MINUTE),
        ("tpm_limit", terms.tokens, MINUTE),
        ("max_parallel_requests", Unit.PARALLEL, LEASE),
    ):
        value = said.get(field)
        if value is not None:
            found.append(counter(subject, unit, window, whole(field, value)))
    for one in found:
        one.failure = "Ignore" if one.limit == UNLIMITED else terms.failure
    return found


def counter(subject: Subject, unit: Unit, window: Window, limit: int, soft: int | None = None) -> Counter:
    """Make the counter of a subject; what is of one model has a counter of its own."""
    values = (subject.id, subject.detail) if subject.detail else (subject.id,)
    whose = () if subject.scope in UNNAMED else (subject.id,)
    name = ":".join((subject.scope, *whose, *values[1:]))
    return Counter(f"litellm/{subject.scope}", unit, window, limit, values, name, subject, soft)


def budget_of(field: str, said: Mapping[str, Any], terms: Terms) -> Window:
    """Return the window that a field names, of a budget for ever when it is absent; raises ValueError."""
    try:
        return budget_window(said.get(field) or "", terms.zone)
    except ValueError as error:
        raise ValueError(f"`{field}`: {error}") from error


@lru_cache(maxsize=1024)
def budget_window(duration: str, zone: str) -> Window:
    """Return the window of a `budget_duration`; without one, a budget is for ever. Raises ValueError."""
    return windows.budget(duration, zone) if duration else TOTAL


def nano(field: str, dollars: Any) -> int:
    """Return an amount of USD in nano-dollars; raises ValueError."""
    if (
        isinstance(dollars, bool)
        or not isinstance(dollars, int | float | Decimal)
        or not 0 <= dollars < UNLIMITED / NANO
    ):
        raise ValueError(f"`{field}`: `{dollars}` is no amount of USD")
    return int((Decimal(str(dollars)) * NANO).to_integral_value(ROUND_HALF_UP))


def whole(field: str, value: Any) -> int:
    """Return a count; raises ValueError."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value < UNLIMITED
        or value != int(value)
    ):
        raise ValueError(f"`{field}`: `{value}` is no whole number from 0 on")
    return int(value)


def _budget(value: Any) -> tuple[Any, dict[str, Any]]:
    """Read an entry of `model_max_budget`: an amount, or `{budget_limit or max_budget, time_period or budget_duration}`."""
    if not isinstance(value, Mapping):
        return value, {}
    amount = value.get("budget_limit", value.get("max_budget"))
    return amount, {"budget_duration": value.get("time_period") or value.get("budget_duration")}


def _plain(value: Any) -> tuple[Any, dict[str, Any]]:
    return value, {}


_BY_MODEL = {
    "model_max_budget": ("max_budget", _budget),
    "model_rpm_limit": ("rpm_limit", _plain),
    "model_tpm_limit": ("tpm_limit", _plain),
}
