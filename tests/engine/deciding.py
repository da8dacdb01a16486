"""Calls and the policies that decide about them, made by the product's own means but for the sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from engine import body
from engine.build import build
from engine.call import Call, Caller, Route
from engine.check import check
from engine.config.documents import documents
from engine.decision import Decision
from engine.documents import LoadedPolicies, Source, load_documents, load_policies
from engine.errors import GatewayError
from engine.extensions import kind
from engine.governing import PolicySet
from engine.grants import grant
from engine.policy import Policy
from engine.receive import read_members
from engine.routing import route
from engine.snapshot import Snapshot
from tests.engine.building import PRICES, REGISTRY, Asked, config, loaded

FILE = "policies/p.yaml"
MODELS = {"a": "echo/a", "b": "echo/b"}
PATHS = {
    "chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings", "responses": "/responses",
}  # fmt: skip
NOW = 1_790_000_000.0
"""2026-09-21T14:13:20Z, a Monday."""
TOO_LONG = "llm.prompt.all(m, llm.prompt.all(o, m.role == o.role))"
"""An expression that runs into its limit over `crowd()`."""


def read(*texts: str) -> LoadedPolicies:
    """Load policy files: the first is FILE, the others are numbered."""
    names = [FILE, *(f"policies/p{at}.yaml" for at in range(2, 99))]
    return load_policies([Source(name, text) for name, text in zip(names, texts, strict=False)], kind)


def problems(*texts: str) -> list[str]:
    """List what is wrong with policy files."""
    return [str(problem) for problem in read(*texts).problems]


def policies(*texts: str) -> tuple[Policy, ...]:
    """Load policy files that must be free of errors."""
    found = read(*texts)
    assert not found.failed, problems(*texts)
    return found.policies


def document(kind_name: str, name: str = "p", **fields: Any) -> str:
    """Write one policy document."""
    return "---\n" + yaml.safe_dump({"kind": kind_name, "name": name, **fields}, sort_keys=False, width=10_000)


def snapshot_of(*texts: str, models: Mapping[str, Any] = MODELS, **more: Any) -> Snapshot:
    """Compile a house of models under policies, without any error."""
    spec = loaded(config(dict(models), **more))
    own = load_documents(documents(spec), kind)
    built = build(spec, REGISTRY, PRICES, 1, PolicySet((*own.policies, *policies(*texts))))
    assert [str(problem) for problem in (*own.problems, *built.problems) if problem.severity == "error"] == []
    return built.snapshot


def person(**fields: Any) -> Caller:
    """Make a caller."""
    made = Caller(fields.pop("key_hash", "c0ffee"), fields.pop("role", "internal_user"))
    for name, value in fields.items():
        setattr(made, name, value)
    return grant(made, kind)


def chat(text: str = "hello", **members: Any) -> dict[str, Any]:
    """Write a chat request for model `a`."""
    return {"model": "a", "messages": [{"role": "user", "content": text}], **members}


def crowd(**members: Any) -> dict[str, Any]:
    """Write a chat request over which TOO_LONG is too long."""
    return {"model": "a", "messages": [{"role": "user", "content": "x"}] * 200, **members}


def asking(
    snapshot: Snapshot, members: Mapping[str, Any] | bytes, caller: Caller | None = None, *, operation: str = "chat",
    headers: Mapping[str, str] | None = None, query: str = "", call_id: str = "call-1",
) -> Call:  # fmt: skip
    """Make a call whose body has been received and whose model has been found."""
    text = members if isinstance(members, bytes) else json.dumps(members).encode()
    source = Asked(dict(headers or {}), text)
    source.target = f"/v1{PATHS[operation]}{query}"
    dialect = REGISTRY.dialect("responses" if operation == "responses" else "openai")
    call = Call(call_id, Route(PATHS[operation], operation, dialect), snapshot, source)
    call.caller = caller or person()
    call.address, call.time, call.body_size = "192.0.2.7", NOW, len(text)
    call.members = body.read(text)
    read_members(call)
    route(call)
    return call


class Verdict(NamedTuple):
    """What was decided about a call."""

    status: int
    message: str
    type: str
    call: Call

    @property
    def decision(self) -> Decision:
        """The decision, which there must be."""
        assert self.call.decision is not None
        return self.call.decision

    @property
    def rules(self) -> list[str]:
        """The rules that decided."""
        return self.decision.determining

    @property
    def told(self) -> list[tuple[str, str]]:
        """What rules said that is not what they usually say."""
        return [(outcome.name, outcome.said) for outcome in self.decision.outcomes]

    @property
    def sent(self) -> dict[str, Any]:
        """The members as they would be sent on, but for model and messages."""
        members = {name: json.loads(bytes(value)) for name, value in self.call.members.items()}
        return {name: value for name, value in members.items() if name not in ("model", "messages")}


def decided(call: Call) -> Verdict:
    """Let the policies of a call's snapshot decide about it."""
    try:
        asyncio.run(check(call))
    except GatewayError as error:
        return Verdict(error.status, error.message, error.type, call)
    return Verdict(200, "", "", call)


def verdict(
    text: str, members: Mapping[str, Any] | bytes | None = None, caller: Caller | None = None, **more: Any
) -> Verdict:
    """Say what the policies of one file make of one call to model `a`."""
    return decided(asking(snapshot_of(text), chat() if members is None else members, caller, **more))
