"""OpenAI and whoever speaks its API: what is sent where, and what cannot be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.dialects.openai import OpenAI as Dialect
from adapters.providers.openai import FORWARDED, PATHS, RESERVED, OpenAI
from engine.call import Call, Route
from engine.contracts import Deps, HttpRequest, Origin, Target, Timeouts, Upstream
from engine.errors import UpstreamError
from engine.outside import SystemClock
from engine.snapshot import Settings, Snapshot
from engine.transport import make

WHOLE, STREAM = Timeouts(1.0, 2.0, 3.0, 4.0), Timeouts(5.0, 6.0, 7.0, 8.0)


class Outbox:
    """The network: takes every request, answers none."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest) -> Upstream:
        self.requests.append(request)
        raise UpstreamError(502, "upstream_error", "nobody is there", sent=False)

    async def close(self) -> None:
        """Do nothing."""


class Client:
    """A client's request with some headers."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers

    def at_hand(self) -> bytes | None:
        return b"{}"

    async def read(self, limit: int) -> bytes:
        del limit
        return b"{}"


def provider(http: Any = None, **environ: str) -> OpenAI:
    return OpenAI(Deps(SystemClock(), None, http, environ))  # type: ignore[arg-type]


def target(model: str = "gpt-4o", **params: Any) -> Target:
    return Target(model, params, WHOLE, STREAM)


async def sent(
    params: dict[str, Any], operation: str = "chat", headers: dict[str, str] | None = None, *, stream: bool = False,
    environ: dict[str, str] | None = None,
) -> HttpRequest:  # fmt: skip
    """Send one call and return what went out."""
    outbox = Outbox()
    endpoint = provider(outbox, **(environ or {})).endpoint(target(**params))
    call = Call("c-1", Route("/x", operation, Dialect()), Snapshot(1, Settings()), Client(headers or {}))
    call.stream = stream
    with pytest.raises(UpstreamError):
        await endpoint.send(call, (b'{"model":"gpt-4o"}',))
    return outbox.requests[0]


def lines(request: HttpRequest) -> dict[str, str]:
    """Read the head that was sent; every name once."""
    pairs = [line.split(": ", 1) for line in request.head.decode().removesuffix("\r\n").split("\r\n")]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize(
    ("base", "origin", "path"),
    [
        ("https://api.openai.com/v1", ("https", "api.openai.com", 443), "/v1/chat/completions"),
        ("https://api.openai.com/v1/", ("https", "api.openai.com", 443), "/v1/chat/completions"),
        ("https://api.openai.com/v1///", ("https", "api.openai.com", 443), "/v1/chat/completions"),
        ("https://api.perplexity.ai", ("https", "api.perplexity.ai", 443), "/chat/completions"),
        ("http://localhost", ("http", "localhost", 80), "/chat/completions"),
        ("http://LOCALHOST:11434/v1", ("http", "localhost", 11434), "/v1/chat/completions"),
        ("https://h:80/v1", ("https", "h", 80), "/v1/chat/completions"),
        ("http://[::1]:8000/v1", ("http", "::1", 8000), "/v1/chat/completions"),
        ("http://[2001:db8::2]/v1", ("http", "2001:db8::2", 80), "/v1/chat/completions"),
        ("https://x.azure.com/openai/deployments/g-4?api-version=2024-02-01", ("https", "x.azure.com", 443),
         "/openai/deployments/g-4/chat/completions?api-version=2024-02-01"),
        ("https://x.azure.com//openai/deployments/g/?a=1&b=%20", ("https", "x.azure.com", 443),
         "//openai/deployments/g/chat/completions?a=1&b=%20"),
        ("https://h/a%20b/%E2%82%AC", ("https", "h", 443), "/a%20b/%E2%82%AC/chat/completions"),
        ("https://h/v1#part", ("https", "h", 443), "/v1/chat/completions"),
    ],
)  # fmt: skip
async def test_the_path_is_appended_to_the_base(base, origin, path):
    request = await sent({"api_base": base, "api_key": "k"})
    assert request.origin == Origin(*origin)
    assert request.target == path.encode()
    host = f"[{origin[1]}]" if ":" in origin[1] else origin[1]
    shown = origin[2] != (443 if origin[0] == "https" else 80)
    assert lines(request)["host"] == (f"{host}:{origin[2]}" if shown else host)
    assert (request.method, request.body) == (b"POST", (b'{"model":"gpt-4o"}',))


@pytest.mark.parametrize(("operation", "path"), sorted(PATHS.items()))
async def test_every_operation_has_its_path(operation, path):
    assert (await sent({"api_base": "https://h/v1"}, operation)).target == f"/v1{path}".encode()


async def test_the_head_says_who_and_what():
    params = {
        "api_base": "https://h/v1",
        "api_key": "sk-up",
        "organization": "org-1",
        "extra_headers": {"X-A": "b", "ACCEPT": "text/plain"},
    }
    assert lines(await sent(params)) == {
        "host": "h", "content-type": "application/json", "accept": "text/plain", "accept-encoding": "identity",
        "user-agent": "interlock", "authorization": "Bearer sk-up", "openai-organization": "org-1", "x-a": "b",
    }  # fmt: skip


async def test_of_the_clients_headers_only_the_listed_leave():
    headers = {name: f"{name}-value" for name in FORWARDED}
    client = {
        **headers,
        "authorization": "Bearer sk-client",
        "cookie": "a=b",
        "x-forwarded-for": "1.2.3.4",
        "x-api-key": "sk",
    }
    head = lines(await sent({"api_base": "https://h", "api_key": "sk-up"}, headers=client))
    assert {name: head.get(name) for name in FORWARDED} == headers
    assert head["authorization"] == "Bearer sk-up"
    assert "sk-client" not in str(head)
    assert not {"cookie", "x-forwarded-for", "x-api-key"} & head.keys()


async def test_streams_have_time_limits_of_their_own():
    assert (await sent({"api_base": "https://h"})).timeouts == WHOLE
    assert (await sent({"api_base": "https://h"}, stream=True)).timeouts == STREAM


@pytest.mark.parametrize(
    ("environ", "params", "base", "key"),
    [
        ({"OPENAI_API_KEY": "sk-env"}, {}, "https://api.openai.com/v1", "sk-env"),
        ({"OPENAI_API_KEY": "sk-env"}, {"api_key": "sk-own"}, "https://api.openai.com/v1", "sk-own"),
        ({"OPENAI_API_KEY": "sk-env", "OPENAI_BASE_URL": "https://proxy/v1"}, {}, "https://proxy/v1", "sk-env"),
        ({"OPENAI_API_KEY": "sk-env", "OPENAI_API_BASE": "https://old/v1"}, {}, "https://old/v1", "sk-env"),
        ({"OPENAI_BASE_URL": "https://new/v1", "OPENAI_API_BASE": "https://old/v1"}, {}, "https://new/v1", None),
        ({"OPENAI_API_KEY": "sk-env"}, {"api_base": "https://other/v1"}, "https://other/v1", None),
        ({"OPENAI_API_KEY": "sk-env"}, {"api_base": "https://other/v1", "api_key": ""}, "https://other/v1", None),
        ({}, {}, "https://api.openai.com/v1", None),
    ],
)
async def test_the_environments_key_goes_to_the_environments_server_only(environ, params, base, key):
    endpoint = provider(**environ).endpoint(target(**params))
    assert endpoint.api_base == base
    head = lines(await sent(params, environ=environ))
    assert head.get("authorization") == (f"Bearer {key}" if key else None)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"api_base": "api.openai.com/v1"}, "api_base: .*not an http or https address"),
        ({"api_base": "ftp://h/v1"}, "api_base: `ftp://h`"),
        ({"api_base": "https:///v1"}, "api_base: "),
        ({"api_base": "https://user:pw@h/v1"}, "api_base: put credentials into"),
        ({"api_base": "https://sk-secret@h/v1"}, "api_base: put credentials into"),
        ({"api_base": "https://h/a b"}, "api_base: the path holds characters"),
        ({"api_base": "https://h/é"}, "api_base: the path holds characters"),
        ({"api_base": "https://h/v1?x=ü"}, "api_base: the path holds characters"),
        ({"api_base": "https://h:port/v1"}, "api_base: "),
        ({"api_base": "https://h:99999/v1"}, "api_base: "),
        ({"api_base": "https://[::1/v1"}, "api_base: "),
        ({"api_base": "https://ho st/v1"}, "api_base: "),
        ({"api_base": "https://h\x7f/v1"}, "api_base: "),
        ({"api_base": "https://h", "extra_headers": {"X-A": "b\r\nx-evil: 1"}}, "extra_headers: `x-a`"),
        ({"api_base": "https://h", "extra_headers": {"X A": "b"}}, "extra_headers: `x a`"),
        ({"api_base": "https://h", "extra_headers": {"X:A": "b"}}, "extra_headers: `x:a`"),
        ({"api_base": "https://h", "extra_headers": {"": "b"}}, "extra_headers: "),
        ({"api_base": "https://h", "extra_headers": {"é": "b"}}, "extra_headers: `é`"),
        ({"api_base": "https://h", "api_key": "sk\n1"}, "api_key: "),
        ({"api_base": "https://h", "organization": "o\r\n"}, "organization: "),
    ],
)
def test_what_cannot_be_sent_is_refused_at_load_naming_the_parameter(params, said):
    with pytest.raises(ValueError, match=said) as caught:
        provider().endpoint(target(**params))
    assert "pw" not in str(caught.value)
    assert "sk-secret" not in str(caught.value)
    assert "sk\n1" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_the_transports_own_headers_cannot_be_set(name):
    with pytest.raises(ValueError, match=f"extra_headers: `{name.title()}`"):
        provider().endpoint(target(api_base="https://h", extra_headers={name.title(): "x"}))


@given(st.text(max_size=6), st.text(max_size=6))
def test_no_extra_header_can_break_the_head(name, value):
    try:
        endpoint = provider().endpoint(target(api_base="https://h", extra_headers={name: value}))
    except ValueError:
        return
    for line in endpoint._head.split(b"\r\n")[:-1]:
        assert re.fullmatch(rb"[!-9;-~]+: [^\r\n\x00]*", line)


@pytest.mark.parametrize(
    ("model", "reasons"),
    [("o1", True), ("o1-mini", True), ("o3", True), ("o4-mini", True), ("gpt-5", True), ("gpt-5-nano-2025-08-07", True),
     ("gpt-4o", False), ("gpt-4.1", False), ("gpt-50", False), ("o10-custom", False), ("openai-o1", False), ("o365-bot", False)],
)  # fmt: skip
def test_reasoning_models_refuse_sampling_parameters(model, reasons):
    unsupported = provider().endpoint(target(model, api_base="https://h")).unsupported
    assert ("temperature" in unsupported) == reasons
    assert "max_completion_tokens" not in unsupported


def test_link_local_addresses_are_allowed_only_when_it_says_so():
    for allow in (True, False):
        endpoint = provider().endpoint(target(api_base="http://169.254.169.254/v1", allow_link_local=allow))
        assert endpoint._origin.allow_link_local is allow


async def test_the_transport_finds_nobody_behind_a_closed_port():
    http = make({})
    endpoint = provider(http).endpoint(target(api_base="http://127.0.0.1:9/v1"))
    call = Call("c-1", Route("/x", "chat", Dialect()), Snapshot(1, Settings()), Client({}))
    with pytest.raises(UpstreamError) as caught:
        await endpoint.send(call, (b"{}",))
    assert (caught.value.status, caught.value.sent) == (502, False)
    await http.close()
