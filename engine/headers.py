"""Header lines of an answer: constant ones composed at load, the others written in one go.

A value is checked for CR and LF where it is composed; what an upstream sent has been through a parser that refuses them.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine import __version__
from engine.call import Answered, Call
from engine.claims import NANO, Counter, Scope, Unit

DROPPED = frozenset(
    {
        b"alt-svc",
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"nel",
        b"proxy-authenticate",
        b"proxy-connection",
        b"report-to",
        b"server",
        b"set-cookie",
        b"strict-transport-security",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
    }
)
"""What an upstream says of its own connection, or to browsers; it ends here."""
KINDS = {
    Unit.REQUESTS: "requests",
    Unit.TOKENS: "tokens",
    Unit.INPUT_TOKENS: "tokens",
    Unit.OUTPUT_TOKENS: "tokens",
    Unit.PARALLEL: "max_parallel_requests",
}
SCOPES = frozenset(
    {
        Scope.KEY,
        Scope.USER,
        Scope.TEAM,
        Scope.MEMBER,
        Scope.ORGANIZATION,
        Scope.END_USER,
        Scope.KEY_MODEL,
        Scope.TEAM_MODEL,
        Scope.ORGANIZATION_MODEL,
    }
)
"""Whose limits LiteLLM's headers tell of."""
RULES = 10
"""Rules and warnings of one call that its answer names."""
SHOWN = 500
"""Characters of what is said of one."""
_ANSWER = (
    b"%bx-interlock-decision-id: %b\r\n%b%bx-litellm-call-id: %b\r\nx-litellm-key-spend: %d.%09d\r\nx-litellm-response-duration-ms: %d.%03d\r\n"
    b"x-litellm-overhead-duration-ms: %d.%03d\r\nx-litellm-attempted-retries: %d\r\n"
)
_TYPE = b"content-type: application/json\r\n"


def line(name: str, value: str) -> bytes:
    """Compose one header line; raises ValueError for a value that would break out of it."""
    if any(ord(character) < 32 or ord(character) == 127 for character in name + value):
        raise ValueError(f"header `{name}` holds a control character")
    return f"{name}: {value}\r\n".encode()


def deployment_head(deployment_id: str, api_base: str, group: str) -> bytes:
    """Compose what every answer of a deployment says."""
    return b"".join(
        (
            line("x-litellm-version", __version__),
            line("x-litellm-model-id", deployment_id),
            line("x-litellm-model-api-base", api_base.partition("?")[0]),
            line("x-litellm-model-group", group),
        )
    )


def answer_head(call: Call, upstream: Sequence[tuple[bytes, bytes]], spent: int, now: float) -> bytes:
    """Write the header lines of an answer; `spent` is the key's spend, in nano-dollars."""
    return _own_head(call, spent, now) + provider_lines(upstream)


def passed_head(call: Call, upstream: Sequence[tuple[bytes, bytes]], spent: int, now: float) -> bytes:
    """Write the header lines of an answer that goes on as it came: the upstream's under their own names, and ours."""
    passed = b"".join(b"%b: %b\r\n" % pair for pair in upstream if pair[0] not in DROPPED)
    return passed + _own_head(call, spent, now)


def switched_head(call: Call, upstream: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write the header lines that grant an offer of WebSocket, as the upstream granted it."""
    granted = b"".join(b"%b: %b\r\n" % pair for pair in upstream if pair[0].startswith(b"sec-websocket-"))
    return b"upgrade: websocket\r\nconnection: Upgrade\r\n" + granted + decision_head(call)


def _own_head(call: Call, spent: int, now: float) -> bytes:
    usage, deployment, name = call.usage, call.deployment, call.id.encode()
    cost = usage.cost if usage is not None else None
    micros = int((now - call.arrived) * 1_000_000)
    own = max(0, micros - int(call.upstream_seconds * 1_000_000))
    dollars, nano = divmod(spent, NANO)
    account = call.account
    limits = account.held.lines(account.hold) if account.held is not None and account.hold is not None else b""
    head = limits + _ANSWER % (
        deployment.head if deployment is not None else b"", name, call.snapshot.head, _told(call), name, dollars, nano,
        micros // 1000, micros % 1000, own // 1000, own % 1000, max(0, call.attempt - 1),
    )  # fmt: skip
    return head if cost is None else head + b"x-litellm-response-cost: %d.%09d\r\n" % divmod(cost, NANO)


def limit_head(counter: Counter) -> bytes:
    """Compose how the lines of a counter begin, in LiteLLM's words; nothing for budgets, and for what it has no word for."""
    kind, scope = KINDS.get(counter.unit, ""), counter.subject.scope
    if not kind or scope not in SCOPES:
        return b""
    prefix = f"x-ratelimit-{scope}"
    return line(f"{prefix}-limit-{kind}", str(counter.limit)) + f"{prefix}-remaining-{kind}: ".encode()


def decision_head(call: Call) -> bytes:
    """Write what every answer says of how it was decided: by which revision, which rules, and why it went this way."""
    return b"x-interlock-decision-id: %b\r\n%b%b" % (call.id.encode(), call.snapshot.head, _told(call))


def _told(call: Call) -> bytes:
    """Write what is said of a decision that has something to say."""
    decision, told = call.decision, b""
    if call.route_reason:
        told = b"x-interlock-route-reason: %b\r\n" % shown(call.route_reason)
    if call.watched is not None:
        told += b"x-litellm-applied-guardrails: %b\r\n" % shown(",".join(call.watched.applied))
    if decision is None:
        return told
    if decision.determining:
        told += b"x-interlock-rule: %b\r\n" % shown(", ".join(decision.determining[:RULES]))
    if decision.warnings:
        told += b"".join(b"x-interlock-warning: %b\r\n" % shown(warning) for warning in decision.warnings[:RULES])
    return told


def shown(text: str) -> bytes:
    """Write text that a header can hold: without control characters, other letters escaped."""
    if len(text) <= SHOWN and text.isascii() and text.isprintable():
        return text.encode()
    clean = "".join(character if character.isprintable() else " " for character in text[:SHOWN])
    return clean.encode("ascii", "backslashreplace")


def provider_lines(upstream: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Pass on a provider's headers: its content type and rate limits as they are, the rest under `llm_provider-`."""
    known = upstream if type(upstream) is Answered else None
    if known is not None and known.lines:
        return known.lines
    lines = _provider_lines(upstream)
    if known is not None:
        known.lines = lines
    return lines


def _provider_lines(upstream: Sequence[tuple[bytes, bytes]]) -> bytes:
    kind = _TYPE
    lines = []
    for name, value in upstream:
        if name in DROPPED:
            continue
        if name == b"content-type":
            kind = b"content-type: %b\r\n" % value
        elif name == b"content-encoding" or name.startswith(b"x-ratelimit-"):
            lines.append(b"%b: %b\r\n" % (name, value))
        else:
            lines.append(b"llm_provider-%b: %b\r\n" % (name, value))
    return kind + b"".join(lines)
