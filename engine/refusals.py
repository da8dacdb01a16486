"""What is said when a limit refuses: LiteLLM's words and types, and behind them the facts.

Every refusal says which counter, its limit, what was used and held, and when that changes.
"""

from __future__ import annotations

from datetime import UTC, datetime

from engine.activation import Activation
from engine.call import Call
from engine.claims import NANO, Counter, Refused, Scope, Unit
from engine.decision import Decision
from engine.errors import GatewayError, InternalError, PolicyError
from engine.governing import NOTHING
from engine.windows import SECOND, Algorithm

OF_DEPLOYMENTS = frozenset({Scope.DEPLOYMENT, Scope.PROVIDER})
"""Whose limits leave a call to another deployment."""
TYPES = {
    Unit.USD: "cost",
    Unit.REQUESTS: "requests",
    Unit.TOKENS: "tokens",
    Unit.INPUT_TOKENS: "tokens",
    Unit.OUTPUT_TOKENS: "tokens",
    Unit.PARALLEL: "max_parallel_requests",
}
_WHOSE = {
    Scope.KEY: "",
    Scope.GLOBAL: "",
    Scope.TEAM: "Team={id} ",
    Scope.ORGANIZATION: "Organization={id} ",
    Scope.TAG: "Tag={id} ",
    Scope.TEAM_MODEL: "Team={id} Model={detail} ",
    Scope.ORGANIZATION_MODEL: "Organization={id} Model={detail} ",
    Scope.MODEL: "Model={id} ",
}


def is_budget(counter: Counter) -> bool:
    """Tell whether a counter is a budget, and no rate."""
    return counter.unit is Unit.USD and counter.algorithm in (Algorithm.CALENDAR, Algorithm.TOTAL)


def refusal(refused: Refused, call: Call, now: float) -> GatewayError:
    """Make the error of a call that a limit refuses, and note which one it is; `now` is Unix seconds."""
    counter = refused.claim.counter
    if call.decision is None:
        call.decision = Decision(NOTHING, Activation(call, NOTHING.needs))
    call.decision.determining = [counter.name]
    wait = max(1, -(-(refused.reset_at - int(now * SECOND)) // SECOND)) if refused.reset_at is not None else None
    error: GatewayError
    if counter.subject.scope in OF_DEPLOYMENTS:
        said = f"no deployment of `{call.model}` can take this call: {_facts(refused)}"
        error = InternalError(
            429, "no_healthy_deployment", said if wait is None else f"{said}; try again in {wait} seconds"
        )
    elif is_budget(counter):
        error = PolicyError(call.snapshot.settings.budget_status, "budget_exceeded", _budget(refused))
    else:
        error = PolicyError(429, "rate_limit_error", _rate(refused))
        error.headers = (("rate_limit_type", TYPES[counter.unit]),)
        if refused.reset_at is not None:
            error.headers += (("reset_at", str(refused.reset_at // SECOND)),)
    if counter.message:
        error.message += f" ({counter.message})"
    error.retry_after = wait
    return error


def _budget(refused: Refused) -> str:
    counter, amount = refused.claim
    scope, whose, detail = counter.subject
    cost, limit = _usd(refused.used), _usd(counter.limit)
    rest = f"Held: {_usd(refused.held)}, Needed: {_usd(amount)}{_resets(refused)}"
    if scope is Scope.MEMBER:
        team, _, user = whose.partition(":")
        return f"Budget has been exceeded! User={user} in Team={team} Current cost: {cost}, Max budget: {limit}. {rest}"
    if scope in (Scope.USER, Scope.END_USER):
        name = "User" if scope is Scope.USER else "End User"
        return f"ExceededBudget: {name}={whose} over budget. Spend={cost}, Budget={limit}. {rest}"
    if scope is Scope.KEY_MODEL:
        return f"LiteLLM Virtual Key: {whose}, exceeded budget for model={detail}. Spend={cost}, Budget={limit}. {rest}"
    if scope is Scope.POLICY:
        named = f"Policy={whose} " + (f"[{detail}] " if detail else "")
        return f"Budget has been exceeded! {named}Current cost: {cost}, Max budget: {limit}. {rest}"
    named = _WHOSE.get(scope, "{id} ").format(id=whose, detail=detail)
    return f"Budget has been exceeded! {named}Current cost: {cost}, Max budget: {limit}. {rest}"


def _rate(refused: Refused) -> str:
    counter, amount = refused.claim
    scope, whose, detail = counter.subject
    unit = counter.unit
    remaining = max(0, counter.limit - refused.used - refused.held)
    named = f"{whose} [{detail}]" if scope is Scope.POLICY and detail else f"{whose} {detail}".strip()
    said = (
        f"Rate limit exceeded for {scope}: {named}. Limit type: {TYPES[unit]}. "
        f"Current limit: {shown(counter.limit, unit)}, Remaining: {shown(remaining, unit)}."
    )
    facts = f" Used: {shown(refused.used, unit)}, Held: {shown(refused.held, unit)}, Needed: {shown(amount, unit)}."
    reset = f" Limit resets at: {_at(refused.reset_at)}" if refused.reset_at is not None else ""
    return said + facts + reset


def _facts(refused: Refused) -> str:
    counter = refused.claim.counter
    unit = counter.unit
    return (
        f"{TYPES[unit]} of {counter.subject.scope} `{counter.subject.id}`: limit {shown(counter.limit, unit)}, "
        f"used {shown(refused.used, unit)}, held {shown(refused.held, unit)}{_resets(refused)}"
    )


def _resets(refused: Refused) -> str:
    return f", Resets at: {_at(refused.reset_at)}" if refused.reset_at is not None else ""


def _at(instant: int | None) -> str:
    """Write Unix nanoseconds to the second, rounded up: at that time it has come."""
    return datetime.fromtimestamp(-(-(instant or 0) // SECOND), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def shown(amount: int, unit: Unit) -> str:
    """Write an amount: money in USD."""
    return _usd(amount) if unit is Unit.USD else str(amount)


def _usd(nano: int) -> str:
    """Write nano-dollars in USD, exactly and without trailing zeros."""
    dollars, rest = divmod(nano, NANO)
    return f"{dollars}.{rest:09d}".rstrip("0") + ("0" if not rest else "")
