"""Calls and the policies that decide about them, made by the product's own means but for the sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import yaml

from engine import body
from engine.build import build
from engine.call import Call, Caller, Route
from engine.check import check
from engine.decision import Decision
from engine.config.documents import documents
from engine.documents import LoadedPolicies, Source, load_documents, load_policies
from engine.errors import GatewayError
from engine.expr.values import LimitError
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
PATHS = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings", "responses": "/responses"}
NOW = 1_790_000_000.0
"""2026-09-21T14:13:20Z, a Monday."""


def read(*texts: str) -> LoadedPolicies:
    """Load policy files: the first is FILE, the others are numbered."""
    names = [FILE, *(f"policies/p{at}.yaml" for at in range(2, 99))]
    return load_policies([Source(name, text) for name, text in zip(names, texts, strict=False)], kind)


def problems(*texts: str) -> list[str]:
    """List what is wrong with policy files."""
    return [str(problem) for problem in read(*texts).problems]


def policies(*texts: str) -> tuple[Policy, ...]:
    """Load policy files that must be sound."""
    found = read(*texts)
    assert [str(problem) for problem in found.problems] == []
    return found.policies


def document(kind_name: str, name: str = "p", **fields: Any) -> str:
    """Write one policy document."""
    return "---\n" + yaml.safe_dump({"kind": kind_name, "name": name, **fields}, sort_keys=False, allow_unicode=True)


def snapshot_of(*texts: str, models: Mapping[str, Any] = MODELS, **more: Any) -> Snapshot:
    """Compile a house of models under policies; all must be sound."""
    spec = loaded(config(dict(models), **more))
    own = load_documents(documents(spec), kind)
    built = build(spec, REGISTRY, PRICES, 1, PolicySet((*own.policies, *policies(*texts))))
    assert [str(problem) for problem in (*own.problems, *built.problems)] == []
    return built.snapshot


def person(**fields: Any) -> Caller:
    """Make a caller."""
    made = Caller(fields.pop("key_hash", "c0ffee"), fields.pop("role", "internal_user"))
    for name, value in fields.items():
        setattr(made, name, value)
    return grant(made, kind)


def asking(
    snapshot: Snapshot, members: Mapping[str, Any] | bytes, caller: Caller | None = None, *, operation: str = "chat",
    headers: Mapping[str, str] | None = None, target: str = "", address: str = "192.0.2.7", call_id: str = "call-1",
) -> Call:  # fmt: skip
    """Make a call whose body has been received and whose model has been found."""
    text = members if isinstance(members, bytes) else json.dumps(members).encode()
    source = Asked(dict(headers or {}), text)
    source.target = target or f"/v1{PATHS[operation]}"
    dialect = REGISTRY.dialect("responses" if operation == "responses" else "openai")
    call = Call(call_id, Route(PATHS[operation], operation, dialect), snapshot, source)
    call.caller = caller or person()
    call.address, call.time, call.body_size = address, NOW, len(text)
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
    def sent(self) -> dict[str, Any]:
        """The members as they would be sent on."""
        return {name: json.loads(bytes(value)) for name, value in self.call.members.items()}

    @property
    def told(self) -> list[tuple[str, str]]:
        """What rules said that is not what they usually say."""
        return [(outcome.name, outcome.said) for outcome in self.decision.outcomes]


def decided(call: Call) -> Verdict:
    """Let the policies of a call's snapshot decide about it."""
    try:
        asyncio.run(check(call))
    except GatewayError as error:
        return Verdict(error.status, error.message, error.type, call)
    return Verdict(200, "", "", call)


def verdict(text: str, members: Mapping[str, Any] | None = None, caller: Caller | None = None, **more: Any) -> Verdict:
    """Say what the policies of one file make of one call to model `a`."""
    return decided(asking(snapshot_of(text), {"model": "a", **(members or {})}, caller, **more))


def chat(text: str = "hello", **members: Any) -> dict[str, Any]:
    """Write a chat request for model `a`."""
    return {"model": "a", "messages": [{"role": "user", "content": text}], **members}


__all__ = ["LimitError", "SimpleNamespace"]
