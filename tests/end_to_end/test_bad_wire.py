"""Bytes that are not HTTP, or would mean different things to two servers: refused, closed, and nothing goes on."""

from __future__ import annotations

import json

import pytest

from bench.ports import free_port
from tests.end_to_end.wires import Wire, chat, eventually, post, threaded
from tests.running import CHAT, MASTER, Gateway

BODY = json.dumps(chat("relayed")).encode()


@pytest.fixture(scope="module")
def upstream():
    with threaded() as server:
        yield server


@pytest.fixture(scope="module")
def dead():
    return free_port()


@pytest.fixture(scope="module")
def house(tmp_path_factory, upstream, dead):
    config = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo}}}}
- {{model_name: relayed, litellm_params: {{model: openai/x, api_base: "{upstream.base}", api_key: sk-upstream-secret}}}}
- {{model_name: dead, litellm_params: {{model: openai/x, api_base: "http://127.0.0.1:{dead}/v1?code=hush", api_key: sk-upstream-secret}}}}
- {{model_name: nowhere, litellm_params: {{model: openai/x, api_base: "http://no-such-host.invalid/v1"}}}}
- {{model_name: metadata, litellm_params: {{model: openai/x, api_base: "http://169.254.169.254/v1"}}}}
general_settings: {{master_key: {MASTER}}}
"""
    running = Gateway(tmp_path_factory.mktemp("wire") / "gateway", config, (), {}).start()
    yield running
    running.stop()


@pytest.fixture
def wire(house):
    with Wire(house) as one:
        yield one


def head(*lines: str, path: str = "/v1/chat/completions") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {MASTER}", *lines, "", ""]).encode()


CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = post(chat("relayed"))
LENGTH = f"content-length: {len(BODY)}"
HEADS = {
    "both framings": head(LENGTH, "transfer-encoding: chunked") + CHUNKED,
    "both framings, the other way": head("transfer-encoding: chunked", LENGTH) + CHUNKED,
    "two lengths": head(LENGTH, "content-length: 0") + BODY,
    "two equal lengths": head(LENGTH, LENGTH) + BODY,
    "a list of lengths": head(f"content-length: {len(BODY)}, {len(BODY)}") + BODY,
    "a signed length": head(f"content-length: +{len(BODY)}") + BODY,
    "a hexadecimal length": head("content-length: 0x10") + BODY,
    "a negative length": head("content-length: -1") + BODY,
    "chunked that is not last": head("transfer-encoding: chunked, identity") + CHUNKED,
    "an unknown coding": head("transfer-encoding: xchunked") + CHUNKED,
    "a folded header": head("x-a: 1\r\n transfer-encoding: chunked", LENGTH) + BODY,
    "a folded coding": head("transfer-encoding:\r\n chunked", LENGTH) + CHUNKED,
    "a space before the colon": head(f"content-length : {len(BODY)}") + BODY,
    "a tab before the colon": head("transfer-encoding\t: chunked") + CHUNKED,
    "a bare line feed": head(LENGTH).replace(b"\r\nhost", b"\nhost") + BODY,
    "a bare carriage return": head("x-a: 1\rx-b: 2", LENGTH) + BODY,
    "a zero byte": head("x-a: 1\x002", LENGTH) + BODY,
    "a line without a colon": head("nonsense", LENGTH) + BODY,
    "an empty name": head(": value", LENGTH) + BODY,
    "no version": b"POST /v1/chat/completions\r\nhost: x\r\n\r\n",
    "another version": head(LENGTH).replace(b"HTTP/1.1", b"HTTP/3.7") + BODY,
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
    "a method of no kind": b"P0ST\x01 / HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("data", HEADS.values(), ids=HEADS)
def test_a_head_that_is_not_http_is_400_and_closed(wire, upstream, data):
    before = len(upstream.requests)
    answer = wire.send(data + SMUGGLED).answer()
    assert answer.status == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "malformed" in error["message"] or "HTTP" in error["message"]
    assert answer.headers["connection"] == "close"
    assert wire.closed(), "the bytes behind a malformed request were taken for another"
    assert len(upstream.requests) == before


CHUNKS = {
    "a size that is none": b"zz\r\n",
    "a size over 64 bits": b"ffffffffffffffffff\r\n",
    "a negative size": b"-5\r\n",
    "a size in 0x": b"0x5\r\nhello\r\n",
    "no line end behind a chunk": b"5\r\nhelloX",
    "a bare line feed behind a size": b"5\nhello\r\n",
    "a longer chunk than said": b"3\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "after the head"])
def test_a_bad_chunk_ends_the_request(wire, upstream, data, apart):
    before = len(upstream.requests)
    start = head("transfer-encoding: chunked") + b"4\r\n" + BODY[:4] + b"\r\n"
    if apart:
        wire.send(start)
        assert eventually(lambda: b"interlock_calls_active 1" in active(wire))
        wire.send(data + SMUGGLED)
    else:
        wire.send(start + data + SMUGGLED)
    answer = wire.answer()
    assert answer.status == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert wire.closed()
    assert len(upstream.requests) == before


def active(wire: Wire) -> bytes:
    """Read the metrics over a connection of their own."""
    with Wire(wire.gateway) as other:
        return other.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").answer().body


def test_a_head_over_its_limit_is_431(wire):
    answer = wire.send(head(*(f"x-{n}: {'y' * 1000}" for n in range(80)), LENGTH) + BODY).answer()
    assert answer.status in (400, 431)
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert wire.closed()


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_request_that_breaks_off_reaches_nobody(house, upstream, cut):
    before = len(upstream.requests)
    with Wire(house) as wire:
        wire.send(SMUGGLED[:-cut])
    rows = len(house.records(10**6, 0.0))
    assert house.chat().status == 200
    assert len(upstream.requests) == before
    assert len(house.records(rows + 1)) > rows


def test_the_next_request_on_a_connection_is_served(wire):
    for text in ("one", "two", "three"):
        wire.send(post(chat(text=text)))
        answer = wire.answer()
        assert answer.json()["choices"][0]["message"]["content"] == text
        assert "connection" not in answer.headers


def test_requests_sent_at_once_are_answered_in_their_order(wire):
    wire.send(b"".join(post(chat(text=str(number))) for number in range(20)))
    assert [wire.answer().json()["choices"][0]["message"]["content"] for _ in range(20)] == list(map(str, range(20)))


def test_every_cutting_of_a_request_means_the_same(house):
    data = post(chat(text="cut"))
    for step in (1, 7, 100):
        with Wire(house) as wire:
            for at in range(0, len(data), step):
                wire.send(data[at : at + step])
            assert wire.answer().json()["choices"][0]["message"]["content"] == "cut"


def test_a_client_that_asks_before_it_sends_its_body(wire):
    wire.send(head("expect: 100-continue", f"content-length: {len(BODY)}"))
    assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.send(BODY).answer().status == 200


def test_a_client_that_asks_and_is_refused_is_not_told_to_go_on(house):
    with Wire(house) as wire:
        wire.send(head("expect: 100-continue", LENGTH).replace(MASTER.encode(), b"sk-unknown-5"))
        assert wire.answer().status == 401
    with Wire(house) as wire:
        wire.send(head("expect: 100-continue", f"content-length: {10**10}"))
        assert wire.answer().status == 413


def test_an_offer_of_another_protocol_is_ignored(wire):
    lines = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA")
    assert wire.send(post(chat(), *lines)).answer().status == 200


def test_http_1_0_gets_its_length_or_the_end(house):
    data = post(chat(text="old")).replace(b"HTTP/1.1", b"HTTP/1.0")
    with Wire(house) as wire:
        said = wire.send(data).rest()
    assert b"transfer-encoding" not in said.lower()
    assert json.loads(said.split(b"\r\n\r\n", 1)[1])["choices"][0]["message"]["content"] == "old"
    with Wire(house) as wire:
        said = wire.send(post(chat(text="old", stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0")).rest()
    assert b"transfer-encoding" not in said.lower()
    assert said.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("dead", "cannot reach `127.0.0.1:{dead}`: "),
        ("nowhere", "cannot reach `no-such-host.invalid:80`: "),
        ("metadata", "cannot reach `169.254.169.254:80`: `169.254.169.254` is a link-local or metadata address"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_cannot_be_reached_is_502_and_named(house, dead, model, says, stream):
    answer = house.chat(model=model, stream=stream)
    assert answer.status == 502
    message = answer.json()["error"]["message"].lower()
    assert message.startswith(says.format(dead=dead))
    assert b"sk-upstream" not in answer.body
    assert "hush" not in str(answer)


def test_what_an_upstream_says_of_itself_stays_there(house, upstream):
    extra = (
        "set-cookie: session=1\r\nserver: secret-server\r\nalt-svc: h3=1\r\nx-ratelimit-remaining-requests: 7\r\n"
        "x-request-id: r1\r\nx-litellm-call-id: forged\r\ntransfer-coding: x\r\nstrict-transport-security: max-age=1\r\n"
    )
    upstream.handler = lambda exchange: exchange.json(CHAT, extra=extra)
    answer = house.chat(model="relayed")
    assert answer.status == 200
    assert answer.headers["x-ratelimit-remaining-requests"] == "7"
    assert answer.headers["llm_provider-x-request-id"] == "r1"
    assert answer.headers["x-litellm-call-id"] != "forged"
    assert not {"set-cookie", "server", "alt-svc", "strict-transport-security", "x-request-id"} & set(answer.headers)


HOSTILE = {
    "a bare line feed": b"HTTP/1.1 200 OK\r\nx-a: 1\nset-cookie: a=b\r\ncontent-length: 2\r\n\r\n{}",
    "a bare carriage return": b"HTTP/1.1 200 OK\r\nx-a: 1\rset-cookie: a=b\r\ncontent-length: 2\r\n\r\n{}",
    "a zero byte": b"HTTP/1.1 200 OK\r\nx-a: 1\x00\r\ncontent-length: 2\r\n\r\n{}",
    "a folded header": b"HTTP/1.1 200 OK\r\nx-a: 1\r\n set-cookie: a=b\r\ncontent-length: 2\r\n\r\n{}",
    "a bad type": b"HTTP/1.1 200 OK\r\ncontent-type: a\nx-b: c\r\ncontent-length: 2\r\n\r\n{}",
    "no http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "nothing": b"",
    "a switch of protocols": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\n{}{}",
    "both framings": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_upstream_cannot_write_headers_of_ours(house, upstream, data):
    async def answer(exchange):
        await exchange.send(data)
        exchange.close()

    upstream.handler = answer
    answered = house.chat(model="relayed")
    assert "set-cookie" not in answered.headers
    assert "x-b" not in answered.headers
    assert answered.status in (200, 502)
    if answered.status == 502:
        assert answered.json()["error"]["message"].startswith("the upstream ")
    else:
        assert answered.body == b"{}"
    with Wire(house) as wire:
        assert wire.send(post(chat())).answer().status == 200
