"""What CEL sees of one call: each variable made when an expression first reads it, and no more of it than is read.

Which fields the expressions of a call read is known before (`Needs`, from their references), so a body member is
decoded only when a rule that governs the call names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from engine.call import Call, Usage
from engine.expr.values import Timestamp

if TYPE_CHECKING:
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
NULL = msgspec.Raw(b"null")
_decode = msgspec.json.Decoder().decode


class Needs:
    """Which fields of which variables are read: built once for the policies that govern a kind of call."""

    __slots__ = ("_fields", "params")

    def __init__(self, refs: Iterable[Ref]) -> None:
        fields: dict[str, set[str]] = {}
        params: set[str] = set()
        for variable, *path in refs:
            fields.setdefault(variable, set()).add(path[0] if path else "*")
            if variable == "llm" and path[:1] == ["params"]:
                params.add(path[1] if len(path) > 1 else "*")
        self._fields = {name: ALL if "*" in read else frozenset(read) for name, read in fields.items()}
        self.params = ALL if "*" in params or self.of("llm") is ALL else frozenset(params)

    def of(self, variable: str) -> frozenset[str]:
        """Return the fields that are read of a variable."""
        return self._fields.get(variable, frozenset())

    def body(self) -> bool:
        """Tell whether anything of the size of the body is read."""
        llm = self.of("llm")
        return bool(self._fields.get("llmRequest")) or llm is ALL or bool(llm & {"prompt", "tools", "params"})


class Activation(dict[str, Any]):
    """The variables of one call; `call` is what they are made of."""

    __slots__ = ("call", "needs")

    def __init__(self, call: Call, needs: Needs) -> None:
        super().__init__()
        self.call = call
        self.needs = needs

    def __missing__(self, name: str) -> Any:
        make = _MAKERS.get(name)
        if make is None:
            raise KeyError(name)
        value = self[name] = make(self.call, self.needs)
        return value

    def copy_with(self, **variables: Any) -> Activation:
        """Return a copy in which some variables are others."""
        copied = Activation(self.call, self.needs)
        copied.update(self)
        copied.update(variables)
        return copied


def caller_view(call: Call) -> dict[str, Any]:
    """Return `apiKey`, made once for each caller."""
    caller = call.caller
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
    found: list[str] = []
    header = call.headers.get("x-litellm-tags")
    if header:
        found += [tag for part in header.split(",") if (tag := part.strip())]
    members = call.members
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


def _request(call: Call, needs: Needs) -> dict[str, Any]:
    read = needs.of("request")
    every = read is ALL
    view: dict[str, Any] = {"method": call.method, "path": call.path, "route": call.route.operation}
    view["host"] = call.headers.get("host", "")
    view["time"] = _now(call, needs)
    if every or "tags" in read:
        view["tags"] = client_tags(call)
    if every or "headers" in read:
        hidden = HIDDEN | {call.snapshot.settings.key_header}
        view["headers"] = {name: value for name, value in call.headers.items() if name not in hidden}
    if every or "query" in read:
        pairs = parse_qsl(call.source.target.partition("?")[2], keep_blank_values=True, max_num_fields=100)
        view["query"] = {name: value for name, value in pairs if name != "key"}
    return view


def _llm(call: Call, needs: Needs) -> dict[str, Any]:
    read = needs.of("llm")
    every = read is ALL
    view: dict[str, Any] = {
        "requestModel": call.model_asked,
        "model": call.group.name if call.group else "",
        "streaming": call.stream,
    }
    if every or "params" in read:
        view["params"] = _params(call, needs.params)
    if every or "prompt" in read:
        view["prompt"] = call.route.dialect.prompt(call.members)
    if every or "tools" in read:
        view["tools"] = call.route.dialect.tools(call.members)
    if every or "estimate" in read:
        view["estimate"] = _estimate(call)
    return view


def _params(call: Call, wanted: frozenset[str]) -> dict[str, Any]:
    members = call.members
    names = members.keys() - CONTENT if wanted is ALL else wanted & members.keys()
    return {name: _decode(raw) for name in names if (raw := members[name]) != NULL}


def _estimate(call: Call) -> dict[str, Any]:
    """Guess what a call will take, before a tokenizer or an answer is there: four bytes a token."""
    asked = call.body_size // 4
    price = call.group.deployments[0].price if call.group and call.group.deployments else None
    limits = [_decode(call.members[name]) for name in LENGTHS if name in call.members]
    answered = min([limit for limit in limits if type(limit) is int] or [OUTPUT_TOKENS])
    if price is not None and price.max_output_tokens:
        answered = min(answered, price.max_output_tokens) if limits else price.max_output_tokens
    cost = price.cost(Usage(asked, answered)) / 1e9 if price is not None else 0.0
    return {"inputTokens": asked, "outputTokens": answered, "cost": cost}


def _llm_request(call: Call, needs: Needs) -> dict[str, Any]:
    read = needs.of("llmRequest")
    names = call.members.keys() if read is ALL else read & call.members.keys()
    return {name: _decode(raw) for name in names if (raw := call.members[name]) != NULL}


def _source(call: Call, needs: Needs) -> dict[str, Any]:
    del needs
    return {"address": call.address, "port": call.source.port}


def _end_user(call: Call, needs: Needs) -> dict[str, Any]:
    del needs
    raw = call.members.get("user")
    return {"id": _decode(raw) if raw is not None and raw != NULL else "", "blocked": False, "metadata": {}}


def _now(call: Call, needs: Needs) -> Timestamp:
    del needs
    return Timestamp(int(call.time * 1_000_000_000))


def _env(call: Call, needs: Needs) -> Mapping[str, str]:
    del call, needs
    return _ENV


LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_NOBODY: dict[str, Any] = {
    "id": "", "alias": "", "user": "", "team": "", "org": "", "project": "", "role": "", "models": [], "tags": [],
    "metadata": {},
}  # fmt: skip
_ENV = {
    "podName": os.environ.get("POD_NAME", os.environ.get("HOSTNAME", "")),
    "namespace": os.environ.get("POD_NAMESPACE", ""),
    "gateway": os.environ.get("INTERLOCK_NAME", "interlock"),
}
_MAKERS: Mapping[str, Callable[[Call, Needs], Any]] = MappingProxyType(
    {
        "request": _request,
        "source": _source,
        "apiKey": lambda call, _: caller_view(call),
        "endUser": _end_user,
        "jwt": lambda *_: {},
        "llm": _llm,
        "llmRequest": _llm_request,
        "metadata": lambda *_: {},
        "env": _env,
        "now": _now,
    }
)
