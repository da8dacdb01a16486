"""What an upstream is sent, member by member."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from adapters.dialects.openai import OpenAI
from adapters.dialects.responses import Responses
from adapters.providers.echo import Echo
from engine import body
from engine.call import Call, Route
from engine.compose import compose, injects
from engine.contracts import Deps, Target, Timeouts
from engine.errors import ClientError
from engine.outside import SystemClock
from engine.receive import OWN, read_members
from engine.snapshot import Deployment, Settings, Snapshot
from engine.transport import make

CHAT = Route("/chat/completions", "chat", OpenAI())
ROUTES = {
    "chat": CHAT,
    "completions": Route("/completions", "completions", OpenAI()),
    "embeddings": Route("/embeddings", "embeddings", OpenAI()),
    "responses": Route("/responses", "responses", Responses()),
}


class Arrived:
    """A request that has arrived."""

    def __init__(self, data: bytes) -> None:
        self.headers: dict[str, str] = {}
        self._data = data

    def at_hand(self) -> bytes:
        return self._data

    async def read(self, limit: int) -> bytes:
        del limit
        return self._data


def asked(members: dict[str, Any] | bytes, route: Route = CHAT) -> Call:
    """Make a call whose body has been read."""
    data = members if isinstance(members, bytes) else json.dumps(members).encode()
    call = Call("c-1", route, Snapshot(1, Settings()), Arrived(data))
    call.members = body.read(data)
    read_members(call)
    return call


@pytest.fixture
def deployment():
    """Make a deployment of `gpt-upstream` known as `public`."""
    deps = Deps(SystemClock(), random.Random(), make(os.environ), os.environ)
    endpoint = Echo(deps).endpoint(Target("gpt-upstream", {}, Timeouts(), Timeouts()))
    made = Deployment("d-1", "public", "echo", "gpt-upstream", endpoint)
    made.raw_model = Raw(b'"gpt-upstream"')
    made.stream_usage = "inject"
    return made


def sent(call: Call, deployment: Deployment) -> dict[str, Any]:
    """Compose and parse what is sent."""
    return json.loads(b"".join(compose(call, deployment)))


def test_values_are_sent_byte_by_byte_and_only_the_model_changes(deployment):
    data = b'{ "messages" : [ {"role":"user", "content":"\\u00e9 \xc3\xa9"} ],"model":"public","x":1.50e+3,"seed":0 }'
    expected = (
        b'{"messages":[ {"role":"user", "content":"\\u00e9 \xc3\xa9"} ],"model":"gpt-upstream","x":1.50e+3,"seed":0}'
    )
    assert b"".join(compose(asked(data), deployment)) == expected


def test_a_request_without_model_gets_one(deployment):
    assert sent(asked({"messages": []}), deployment)["model"] == "gpt-upstream"


@pytest.mark.parametrize("name", sorted(OWN))
def test_members_for_the_gateway_stay_here(deployment, name):
    call = asked({"model": "public", "messages": [], name: ["x"]})
    assert sent(call, deployment) == {"model": "gpt-upstream", "messages": []}
    assert name in call.members


@pytest.mark.parametrize(
    ("operation", "extra", "kept"),
    [("chat", {}, False), ("chat", {"store": False}, False), ("chat", {"store": True}, True), ("completions", {}, False),
     ("embeddings", {}, False), ("responses", {}, True), ("responses", {"store": False}, True)],
)  # fmt: skip
def test_metadata_goes_along_only_where_the_provider_keeps_it(deployment, operation, extra, kept):
    call = asked({"model": "public", "metadata": {"tags": ["a"]}, **extra}, ROUTES[operation])
    assert ("metadata" in sent(call, deployment)) == kept


def test_defaults_yield_to_the_client_and_extra_body_does_not(deployment):
    deployment.defaults = (("temperature", Raw(b"0.5")), ("seed", Raw(b"7")))
    deployment.forced = (("top_k", Raw(b"3")), ("user", Raw(b'"gateway"')))
    call = asked({"model": "public", "temperature": 1, "top_k": 9, "user": "me"})
    assert sent(call, deployment) == {
        "model": "gpt-upstream", "temperature": 1, "seed": 7, "top_k": 3, "user": "gateway",
    }  # fmt: skip


def test_what_a_deployment_drops_never_leaves(deployment):
    deployment.drops = frozenset({"temperature", "top_p", "logprobs"})
    deployment.defaults = (("top_p", Raw(b"1")),)
    deployment.forced = (("logprobs", Raw(b"true")),)
    assert sent(asked({"model": "public", "temperature": 1}), deployment) == {"model": "gpt-upstream"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {"include_usage": True}),
        ("null", {"include_usage": True}),
        ("{}", {"include_usage": True}),
        ('{"include_usage":false}', {"include_usage": True}),
        ('{"include_usage":null,"x": {"y": 1}}', {"include_usage": True, "x": {"y": 1}}),
        ('{ "include_obfuscation" : false }', {"include_usage": True, "include_obfuscation": False}),
        ('{"include_usage":true,"x":1}', {"include_usage": True, "x": 1}),
    ],
)
@pytest.mark.parametrize("operation", ["chat", "completions"])
def test_streams_are_asked_for_usage_beside_the_clients_options(deployment, operation, options, expected):
    given_options = f',"stream_options":{options}' if options else ""
    call = asked(f'{{"model":"public","stream":true{given_options}}}'.encode(), ROUTES[operation])
    assert sent(call, deployment)["stream_options"] == expected
    assert injects(call, deployment)


@pytest.mark.parametrize("usage", ["always", "never"])
def test_providers_that_need_no_question_are_not_asked(deployment, usage):
    deployment.stream_usage = usage
    assert "stream_options" not in sent(asked({"model": "public", "stream": True}), deployment)


@pytest.mark.parametrize(("operation", "stream"), [("chat", False), ("embeddings", True), ("responses", True)])
def test_only_streams_of_chat_and_completions_are_asked(deployment, operation, stream):
    assert "stream_options" not in sent(asked({"model": "public", "stream": stream}, ROUTES[operation]), deployment)


def test_options_that_say_a_member_twice_are_refused(deployment):
    call = asked(b'{"model":"public","stream":true,"stream_options":{"x":1,"X":2}}')
    with pytest.raises(ClientError, match="in `stream_options`: ") as caught:
        compose(call, deployment)
    assert (caught.value.status, caught.value.param) == (400, "stream_options")


def test_composing_leaves_the_call_as_it_is(deployment):
    call = asked({"model": "public", "stream": True, "tags": [], "metadata": {}})
    before = dict(call.members)
    first = compose(call, deployment)
    assert call.members == before
    assert compose(call, deployment) == first


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.recursive(st.integers() | st.text(), st.lists), max_size=6))
@settings(deadline=None, max_examples=100)
def test_unknown_members_are_passed_on(members):
    try:
        call = asked({"model": "public", **members})
    except ClientError:
        return
    expected = {name: value for name, value in members.items() if name not in OWN and name != "metadata"}
    plain = Deployment("d", "public", "openai", "up", endpoint=_Nowhere())
    plain.raw_model = Raw(b'"up"')
    assert sent(call, plain) == {**expected, "model": "up"}


class _Nowhere:
    """An endpoint that nothing is sent to."""

    api_base = ""
    unsupported: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    renames: tuple[tuple[str, str], ...] = ()


def test_reading_and_composing_a_large_request_takes_milliseconds(deployment):
    call = asked({"model": "public", "messages": [{"role": "user", "content": "word " * 200_000}], "stream": True})
    started = time.process_time()
    compose(call, deployment)
    assert time.process_time() - started < 0.1
