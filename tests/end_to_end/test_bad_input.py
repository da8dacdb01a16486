"""Bodies that are not what they should be: each refused with a status and a message that help."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.end_to_end.wires import Wire, chat, post
from tests.running import MASTER, Gateway

CONFIG = f"""
model_list: [{{model_name: echo, litellm_params: {{model: echo/echo}}}}, {{model_name: "any/*", litellm_params: {{model: "echo/*"}}}}]
general_settings: {{master_key: {MASTER}, max_request_size_mb: 0.25}}
"""
LIMIT = 256 * 1024
GOOD = json.dumps(chat()).encode()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    running = Gateway(tmp_path_factory.mktemp("input") / "gateway", CONFIG, (), {}).start()
    yield running
    running.stop()


def named(value: object) -> str | None:
    """Name a case by everything but its bytes."""
    return "bytes" if isinstance(value, bytes) else None


def refusal(answer, status: int = 400, kind: str = "invalid_request_error") -> str:
    """Check an error of OpenAI's form; return its message."""
    assert answer.status == status, answer.body
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == (kind, str(status)) or error["type"] == kind
    assert answer.headers["content-type"] == "application/json"
    message: str = error["message"]
    assert not message.endswith(".")
    return message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the request body is empty; send a JSON object"),
        (b"  \n", "the request body is empty; send a JSON object"),
        (b"hello", "the request body is not valid JSON"),
        (b'{"model": "echo",', "the request body is not valid JSON"),
        (b'{"model": "echo"} {}', "the request body is not valid JSON"),
        (b"[]", "the request body must be a JSON object"),
        (b'"text"', "the request body must be a JSON object"),
        (b"null", "the request body must be a JSON object"),
        (b'{"model": "echo", "n": NaN}', "the request body is not valid JSON"),
        (b'\xef\xbb\xbf{"model": "echo"}', "the request body is not valid JSON"),
        (b'{"model": "echo", "user": "\xff"}', "the request body is not valid UTF-8 (byte "),
        (b'{"model": "echo", "user": "\\ud800"}', " surrogate"),
        (b'{"model": "echo", "m": [{"a": "\\udc00\\ud800"}]}', " surrogate"),
        (b'{"model": "echo", "model": "any/x"}', "says a member twice, near `model`; say each once"),
        (b'{"model": "echo", "mod\\u0065l": "any/x"}', "says a member twice, near `model`"),
        (b'{"model": "echo", "Model": "any/x"}', "the same but for case: `model` and `Model`"),
        (b'{"model": "echo", "\xc5\xbftream": true, "stream": false}', "the same but for case"),
        (b'{"model": "echo", "x": ' + b"[" * 513 + b"]" * 513 + b"}", "nested deeper than 512 levels"),
        (b'{"model": "echo", "x": ' + b'{"a":' * 600 + b"1" + b"}" * 600 + b"}", "nested deeper than 512 levels"),
        (b'{"a":' * 50_000, "the request body is n"),
        (b"[" * 100_000, "the request body must be a JSON object"),
    ],
    ids=named,
)
def test_what_is_no_proper_json_object(house, body, says):
    assert says in refusal(house.post("/v1/chat/completions", body))


def test_nesting_up_to_the_limit_passes(house):
    body = b'{"model": "echo", "messages": [{"role": "user", "content": "hi"}], "x": ' + b"[" * 500 + b"]" * 500 + b"}"
    assert house.post("/v1/chat/completions", body).status == 200


@pytest.mark.parametrize(
    ("members", "param", "says"),
    [
        ({"model": 3}, "model", "`model` must be a string"),
        ({"model": None}, "model", "the request names no model; set `model`"),
        ({"model": ""}, "model", "the request names no model; set `model`"),
        ({"model": "x" * 257}, "model", "must be a printable name of at most 256 characters"),
        ({"model": "any/a\r\nset-cookie: a=b"}, "model", "must be a printable name"),
        ({"model": "any/\u0000"}, "model", "must be a printable name"),
        ({"stream": "yes"}, "stream", "`stream` must be true or false"),
        ({"stream": 1}, "stream", "`stream` must be true or false"),
        ({"messages": "hello"}, "messages", "`messages` must be a list"),
        ({"messages": {"role": "user"}}, "messages", "`messages` must be a list"),
        ({"tools": {}}, "tools", "`tools` must be a list"),
        ({"max_tokens": "many"}, "max_tokens", "`max_tokens` must be a number"),
        ({"temperature": [1]}, "temperature", "`temperature` must be a number"),
        ({"metadata": []}, "metadata", "`metadata` must be an object"),
        ({"stream_options": "usage"}, "stream_options", "`stream_options` must be an object"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options", "must be true or false"),
        ({"api_key": "sk-mine"}, "api_key", "`api_key` is not allowed in the request body"),
        ({"api_base": "http://169.254.169.254"}, "api_base", "`api_base` is not allowed in the request body"),
        ({"base_url": "http://x"}, "base_url", "`base_url` is not allowed in the request body"),
        ({"user_config": {}}, "user_config", "`user_config` is not allowed in the request body"),
        ({"litellm_params": {}}, "litellm_params", "`litellm_params` is not allowed in the request body"),
        ({"mock_response": "hi"}, "mock_response", "`mock_response` is not allowed in the request body"),
        ({"mock_tool_calls": []}, "mock_tool_calls", "is not allowed in the request body"),
        ({"router_settings_override": {}}, "router_settings_override", "is not allowed in the request body"),
    ],
)
def test_members_of_a_wrong_kind(house, members, param, says):
    answer = house.post("/v1/chat/completions", {**chat(), **members})
    assert says in refusal(answer)
    assert answer.json()["error"]["param"] == param
    assert "set-cookie" not in answer.headers
    for value in members.values():
        assert "sk-mine" not in str(answer.body) or value != "sk-mine"


@pytest.mark.parametrize(
    "path", ["/v1/completions", "/v1/embeddings", "/v1/responses", "/openai/deployments/echo/embeddings"]
)
def test_every_route_refuses_in_the_same_way(house, path):
    assert "must be a JSON object" in refusal(house.post(path, b"[]"))


def test_null_is_as_good_as_absent(house):
    assert house.chat(stream=None, tools=None, user=None, max_tokens=None, stream_options=None).status == 200


@pytest.mark.parametrize(
    "path", ["/openai/deployments/any%2fa%0d%0ax-evil:%201/chat/completions", "/engines/any%2f%00/completions"]
)
def test_a_path_that_names_a_bad_model(house, path):
    answer = house.post(path, chat())
    assert "must be a printable name" in refusal(answer)
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("APPLICATION/JSON; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
    ],
)
def test_the_content_type(house, kind, status):
    with Wire(house) as wire:
        answer = wire.send(post(chat(), f"content-type: {kind}")).answer()
    assert answer.status == status
    if status == 415:
        message = refusal(answer, 415, "unsupported_media_type")
        assert message == "send `content-type: application/json` with a JSON body"


def test_a_body_over_the_limit_is_413_and_a_body_at_the_limit_passes(house):
    fill = LIMIT - len(json.dumps(chat(text="")).encode())
    assert house.chat("x" * fill).status == 200
    message = refusal(house.chat("x" * (fill + 1)), 413, "request_too_large")
    assert message == "the request body is over 0.25 MB, the most this gateway takes"


def test_a_large_body_is_refused_by_its_announcement(house):
    head = post(b"", f"content-length: {10**12}").replace(b"content-length: 0\r\n", b"")
    with Wire(house) as wire:
        assert refusal(wire.send(head).answer(), 413, "request_too_large")
        assert wire.closed()


def test_a_chunked_body_is_counted_as_it_comes(house):
    head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    piece = b"%x\r\n%b\r\n" % (65536, b"x" * 65536)
    with Wire(house) as wire:
        assert refusal(wire.send(head + piece * 6).answer(), 413, "request_too_large")
    pieces = b"".join(b"%x\r\n%b\r\n" % (1, GOOD[at : at + 1]) for at in range(len(GOOD)))
    with Wire(house) as wire:
        assert wire.send(head + pieces + b"0\r\n\r\n").answer().status == 200


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "identity"])
def test_compressed_bodies_are_read(house, encoding):
    body = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)(GOOD)
    answer = house.post("/v1/chat/completions", body, content_encoding=encoding)
    assert answer.status == 200
    assert answer.json()["choices"][0]["message"]["content"] == "hello"


BOMB = gzip.compress(b'{"model": "echo", "x": "' + b"0" * 200_000 + b'"}')
LARGE = gzip.compress(json.dumps(chat(text="".join(str(n * n) for n in range(60_000)))).encode())


@pytest.mark.parametrize(
    ("body", "encoding", "status", "kind", "says"),
    [
        (BOMB, "gzip", 413, "request_too_large", "too large once decompressed"),
        (LARGE, "gzip", 413, "request_too_large", "too large once decompressed"),
        (GOOD, "br", 415, "unsupported_media_type", "content-encoding `br` is not read here; use gzip or none"),
        (GOOD, "gzip, gzip", 415, "unsupported_media_type", "`gzip, gzip` is not read here"),
        (GOOD, "gzip", 400, "invalid_request_error", "the request body is not valid gzip"),
        (gzip.compress(GOOD)[:-4], "gzip", 400, "invalid_request_error", "is not one whole gzip stream"),
        (gzip.compress(GOOD) * 2, "gzip", 400, "invalid_request_error", "is not one whole gzip stream"),
        (gzip.compress(gzip.compress(GOOD)), "gzip", 400, "invalid_request_error", "is not valid JSON"),
    ],
    ids=named,
)
def test_compressed_bodies_that_are_refused(house, body, encoding, status, kind, says):
    assert len(body) <= LIMIT
    answer = house.post("/v1/chat/completions", body, content_encoding=encoding)
    assert says in refusal(answer, status, kind)


def test_nothing_is_held_when_all_is_said_and_done(house):
    lines = house.get("/metrics", key=None).body.decode().splitlines()
    assert "interlock_request_bytes_held 0" in lines
    assert "interlock_open_holds 0" in lines
    assert "interlock_calls_active 0" in lines or "interlock_calls_active 1" in lines


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "says"),
    [
        ("GET", "/v1/chat/completions", 405, "invalid_request_error", "`/v1/chat/completions` does not take GET"),
        ("DELETE", "/v1/embeddings", 405, "invalid_request_error", "`/v1/embeddings` does not take DELETE"),
        ("PUT", "/openai/deployments/a/embeddings", 405, "invalid_request_error", "does not take PUT"),
        ("POST", "/v1/models", 405, "invalid_request_error", "`/v1/models` does not take POST"),
        ("GET", "/nowhere", 404, "not_found_error", "no route `GET /nowhere`; see GET / for what is here"),
        ("POST", "/v1/chat/completion", 404, "not_found_error", "no route `POST /v1/chat/completion`"),
        ("POST", "//v1/chat/completions", 404, "not_found_error", "no route"),
        ("POST", "/key/regenerate", 501, "not_implemented", "`POST /key/regenerate` is not built yet in this gateway"),
        ("GET", "/v1/messages", 501, "not_implemented", "`GET /v1/messages` is not built yet"),
        ("GET", "/spend/tags", 501, "not_implemented", "`GET /spend/tags` is not built yet"),
        ("POST", "/team/member_add", 501, "not_implemented", "`POST /team/member_add` is not built yet"),
        ("GET", "/team/new", 405, "invalid_request_error", "`/team/new` does not take GET"),
        ("GET", "/v1/images/generations", 405, "invalid_request_error", "`/v1/images/generations` does not take GET"),
        ("POST", "/v1/videos", 501, "not_implemented", "`POST /v1/videos` is not built yet"),
        ("GET", "/v1/responses/resp_1", 501, "not_implemented", "is not built yet"),
        ("GET", "/health", 501, "not_implemented", "`GET /health` is not built yet"),
    ],
)
def test_routes(house, method, path, status, kind, says):
    answer = house.request(method, path, b"{}" if method == "POST" else None, MASTER, {})
    assert says in refusal(answer, status, kind)
    if status == 405:
        assert answer.headers["allow"]
