"""What CEL sees of one call: each variable made when an expression first reads it, and no more of it than is read.

Which fields the expressions of a call read is known before (`Needs`, from their references), so a body member is
decoded only when a rule that governs the call names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from engine.call import Call, Caller, Usage
from engine.end_user import end_user
from engine.expr.runtime import ERRORS
from engine.expr.values import LimitError, Timestamp
from engine.prompts import decoded

if TYPE_CHECKING:
    from engine.governing import PolicySet
    from engine.policy import Ref

ALL: frozenset[str] = frozenset({"*"})
"""Every field."""
HIDDEN = frozenset(
    {
        "authorization", "cookie", "proxy-authorization", "x-litellm-api-key", "api-key", "x-api-key", "x-goog-api-key",
        "ocp-apim-subscription-key",
    }
)  # fmt: skip
"""Headers that no expression sees."""
CONTENT = frozenset(
    {"messages", "input", "prompt", "instructions", "model", "stream", "tools", "functions", "metadata"}
)
"""Members of a body that are not parameters."""
OUTPUT_TOKENS = 4096
"""Assumed of an answer that neither client nor price list bounds."""
TAGGED = frozenset({"tags", "metadata", "litellm_metadata"})
"""Members that may hold tags."""
BODIES = frozenset({"messages", "prompt", "input"})
"""The members that a prompt is in, one of them."""
NULL = msgspec.Raw(b"null")
_decode = msgspec.json.Decoder().decode


class Needs:
    """Which fields of which variables are read: built once for the policies that govern a kind of call."""

    __slots__ = ("_fields", "costs", "makers", "params")

    def __init__(self, refs: Iterable[Ref]) -> None:
        fields: dict[str, set[str]] = {}
        params: set[str] = set()
        refs = tuple(refs)
        for variable, *path in refs:
            fields.setdefault(variable, set()).add(path[0] if path else "*")
            if variable == "llm" and path[:1] == ["params"]:
                params.add(path[1] if len(path) > 1 else "*")
        self._fields = {name: ALL if "*" in read else frozenset(read) for name, read in fields.items()}
        self.params = ALL if "*" in params or self.of("llm") is ALL else frozenset(params)
        self.costs = any(("llm", "estimate", "cost")[: len(ref)] == ref for ref in refs)
        """Whether the estimated cost is read."""
        self.makers = {
            variable: tuple((name, make) for name, make in made.items() if self.of(variable) is ALL or name in read)
            for variable, made in FIELDS.items()
            if (read := self.of(variable))
        }

    def of(self, variable: str) -> frozenset[str]:
        """Return the fields that are read of a variable."""
        return self._fields.get(variable, frozenset())

    def body(self) -> bool:
        """Tell whether anything of the size of the body is read."""
        llm = self.of("llm")
        return bool(self._fields.get("llmRequest")) or llm is ALL or bool(llm & {"prompt", "tools", "params"})


class Activation(dict[str, Any]):
    """The variables of one call; `call` is what they are made of."""

    __slots__ = ("call", "edited", "needs", "scanned")

    def __init__(self, call: Call, needs: Needs) -> None:
        super().__init__()
        self.call = call
        self.needs = needs
        self.edited = False
        """Whether what holds the prompt is no longer as it came."""
        self.scanned = False
        """Whether the prompt was looked through as the bytes it came in."""

    def __missing__(self, name: str) -> Any:
        call, needs = self.call, self.needs
        fields = needs.makers.get(name)
        try:
            value = (
                {field: make(call, needs) for field, make in fields}
                if fields is not None
                else _WHOLE[name](call, needs)
            )
        except ValueError as error:
            # The client chose it, so it counts as a limit: a rule that it could not pass must not be tripped off by it.
            raise LimitError(f"`{name}` holds a number, or so many parts, that it cannot be read") from error
        self[name] = value
        return value

    def settle(self) -> None:
        """Make what is read of the body, before a change to it: expressions see the request as it came."""
        for name in ("request", "endUser", "llm", "llmRequest"):
            if self.needs.of(name):
                with suppress(*ERRORS):
                    _ = self[name]


def caller_view(caller: Caller | None) -> dict[str, Any]:
    """Return `apiKey`, made once for each caller."""
    if caller is None:
        return _NOBODY
    if caller.view is None:
        caller.view = {
            "id": caller.key_hash, "alias": caller.alias, "user": caller.user, "team": caller.team, "org": caller.org,
            "project": caller.project, "role": caller.role, "models": list(caller.models), "tags": list(caller.tags),
            "metadata": dict(caller.metadata),
        }  # fmt: skip
    return caller.view


def client_tags(call: Call) -> list[str]:
    """List the tags that a client sent, in a header or in the body, each once."""
    header = call.headers.get("x-litellm-tags")
    members = call.members
    if not header and not TAGGED & members.keys():
        return []
    found: list[str] = []
    if header:
        found += [tag for part in header.split(",") if (tag := part.strip()) and tag.isprintable()]
    if "tags" in members:
        found += _tags(_decode(members["tags"]))
    for name in ("metadata", "litellm_metadata"):
        if name in members:
            metadata = _decode(members[name])
            if isinstance(metadata, dict):
                found += _tags(metadata.get("tags"))
    return list(dict.fromkeys(found))


def _tags(value: object) -> list[str]:
    if isinstance(value, list):
        return [tag for tag in value if isinstance(tag, str)]
    if isinstance(value, dict):
        return [f"{key}:{said}" for key, said in value.items() if isinstance(said, str)]
    return [value] if isinstance(value, str) else []


def _headers(call: Call, needs: Needs) -> dict[str, str]:
    del needs
    hidden = HIDDEN | {call.snapshot.settings.key_header}
    return {name: value for name, value in call.headers.items() if name not in hidden}


def _query(call: Call, needs: Needs) -> dict[str, str]:
    del needs
    pairs = parse_qsl(call.source.target.partition("?")[2], keep_blank_values=True, max_num_fields=100)
    return {name: value for name, value in pairs if name != "key"}


def _model(call: Call, needs: Needs) -> str:
    del needs
    return call.group.name if call.group is not None else ""


def _params(call: Call, needs: Needs) -> dict[str, Any]:
    members, wanted = call.members, needs.params
    names = members.keys() - CONTENT if wanted is ALL else wanted & members.keys()
    return {name: _decode(raw) for name in names if (raw := members[name]) != NULL}


def _estimate(call: Call, needs: Needs) -> dict[str, Any]:
    """Guess what a call will take, before a tokenizer or an answer is there: four bytes a token."""
    # Of a form the texts are asked, not its recordings and pictures.
    size = call.body_size if not call.route.media else sum(len(bytes(raw)) for raw in call.members.values())
    asked = size // 4
    price = call.group.deployments[0].price if call.group and call.group.deployments else None
    limits = [limit for name in LENGTHS if name in call.members and type(limit := _decode(call.members[name])) is int]
    most = price.max_output_tokens if price is not None else None
    answered = min(max(limits), most or max(limits)) if limits else most or OUTPUT_TOKENS
    choices = _decode(call.members["n"]) if "n" in call.members else 1
    answered *= max(1, choices) if type(choices) is int else 1
    cost = price.cost(Usage(asked, answered)) / 1e9 if price is not None and needs.costs else 0.0
    return {"inputTokens": asked, "outputTokens": answered, "cost": cost}


def _llm_request(call: Call, needs: Needs) -> dict[str, Any]:
    read = needs.of("llmRequest")
    names = call.members.keys() if read is ALL else read & call.members.keys()
    return {name: decoded(raw) for name in names if (raw := call.members[name]) != NULL}


def _end_user(call: Call, needs: Needs) -> str:
    del needs
    return end_user(call)


def _budgets(call: Call, needs: Needs) -> dict[str, Any]:
    policies: PolicySet = call.snapshot.policies
    return policies.budgets(call, needs.of("budget"))


def _now(call: Call, needs: Needs) -> Timestamp:
    del needs
    return Timestamp(int(call.time * 1_000_000_000))


LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_NOBODY: dict[str, Any] = {
    "id": "", "alias": "", "user": "", "team": "", "org": "", "project": "", "role": "", "models": [], "tags": [],
    "metadata": {},
}  # fmt: skip
ENV = {
    "podName": os.environ.get("POD_NAME", os.environ.get("HOSTNAME", "")),
    "namespace": os.environ.get("POD_NAMESPACE", ""),
    "gateway": os.environ.get("INTERLOCK_NAME", "interlock"),
}
Make = Callable[[Call, Needs], Any]
FIELDS: Mapping[str, Mapping[str, Make]] = {
    "request": {
        "method": lambda call, _: call.method,
        "path": lambda call, _: call.source.target.partition("?")[0],
        "host": lambda call, _: call.headers.get("host", ""),
        "route": lambda call, _: call.route.operation,
        "headers": _headers,
        "query": _query,
        "tags": lambda call, _: client_tags(call),
        "time": _now,
    },
    "source": {"address": lambda call, _: call.address, "port": lambda call, _: call.source.port},
    "endUser": {"id": _end_user, "blocked": lambda *_: False, "metadata": lambda *_: {}},
    "llm": {
        "requestModel": lambda call, _: call.model_asked,
        "model": _model,
        "streaming": lambda call, _: call.stream,
        "params": _params,
        "prompt": lambda call, _: call.route.dialect.prompt(call.members),
        "tools": lambda call, _: call.route.dialect.tools(call.members),
        "estimate": _estimate,
    },
}
"""The variables whose fields are known: how each field is made."""
_WHOLE: Mapping[str, Make] = {
    "apiKey": lambda call, _: caller_view(call.caller),
    "jwt": lambda *_: {},
    "llmRequest": _llm_request,
    "metadata": lambda *_: {},
    "env": lambda *_: ENV,
    "now": _now,
    "budget": _budgets,
    **{name: lambda *_: {} for name in FIELDS},
}
"""The other variables; those of FIELDS too, of which a call's policies read nothing."""
