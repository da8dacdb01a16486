"""Upstreams that fail and clients that leave: who is asked again, what is said, what is counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import pytest

from bench.ports import free_port
from tests.end_to_end.wires import Wire, chat, eventually, post, threaded
from tests.running import CHAT, MASTER, Gateway

CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
FRAMES = [CHUNK % str(number).encode() for number in range(5)]
ERROR = {"error": {"message": "upstream says no", "type": "upstream_kind", "param": None, "code": "x"}}


@pytest.fixture(scope="module")
def one():
    with threaded() as server:
        yield server


@pytest.fixture(scope="module")
def two():
    with threaded() as server:
        yield server


@pytest.fixture(scope="module")
def house(tmp_path_factory, one, two):
    def entry(name: str, base: str, weight: int) -> str:
        return f"- {{model_name: {name}, litellm_params: {{model: openai/gpt-4o, api_base: '{base}', api_key: k, weight: {weight}}}}}\n"

    config = (
        "model_list:\n"
        + entry("single", one.base, 1)
        + entry("pair", one.base, 1)
        + entry("pair", two.base, 0)
        + entry("half", f"http://127.0.0.1:{free_port()}/v1", 1)
        + entry("half", two.base, 0)
        + entry("spread", one.base, 3)
        + entry("spread", two.base, 1)
        + f"general_settings: {{master_key: {MASTER}}}\n"
    )
    running = Gateway(tmp_path_factory.mktemp("faults") / "gateway", config, (), {}).start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def fresh(one, two):
    """Let both upstreams answer well, and forget what they saw."""
    for server in (one, two):
        server.handler = lambda exchange: exchange.json(CHAT)
        server.requests.clear()


def record_of(house, call_id: str) -> dict[str, object]:
    """Return the record of a call once it is written."""
    assert eventually(lambda: any(row["id"] == call_id for row in house.records(0, 0)))
    return next(row for row in house.records(0, 0) if row["id"] == call_id)


@pytest.mark.parametrize("status", [401, 403, 408, 409, 429, 500, 502, 503, 529])
def test_what_another_deployment_may_not_share_is_asked_of_it_once(house, one, two, status):
    one.handler = lambda exchange: exchange.json(ERROR, status)
    answer = house.chat(model="pair")
    assert answer.status == 200
    assert answer.headers["x-litellm-attempted-retries"] == "1"
    assert (len(one.requests), len(two.requests)) == (1, 1)
    assert one.requests[0].body == two.requests[0].body
    assert record_of(house, answer.headers["x-litellm-call-id"])["attempts"] == 2


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_every_deployment_would_refuse_is_asked_once(house, one, two, status):
    one.handler = lambda exchange: exchange.json(ERROR, status, "retry-after: 7\r\n")
    answer = house.chat(model="pair")
    assert answer.status == status
    assert answer.json() == ERROR
    assert answer.headers["retry-after"] == "7"
    assert (len(one.requests), len(two.requests)) == (1, 0)


def test_a_deployment_that_cannot_be_reached_is_passed_over(house, two):
    for stream in (False, True):
        assert house.chat(model="half", stream=stream).status == 200
    assert len(two.requests) == 2


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_deployment_that_hangs_up_is_asked_no_second_time(house, one, two, how):
    async def hang_up(exchange):
        getattr(exchange, how)()

    one.handler = hang_up
    assert house.chat(model="pair").status == 200
    assert (len(one.requests), len(two.requests)) == (1, 1)
    answer = house.chat(model="single")
    assert answer.status == 502
    assert answer.json()["error"]["message"] == "the upstream closed the connection before it answered"
    assert len(one.requests) == 2


def test_when_all_fail_the_last_ones_words_are_said(house, one, two):
    one.handler = lambda exchange: exchange.json(ERROR, 500)
    two.handler = lambda exchange: exchange.json({"error": {**ERROR["error"], "message": "nor I"}}, 503)
    answer = house.chat(model="pair")
    assert (answer.status, answer.json()["error"]["message"]) == (503, "nor I")
    assert (len(one.requests), len(two.requests)) == (1, 1)
    row = record_of(house, answer.headers["x-litellm-call-id"])
    assert (row["status"], row["attempts"], row["error_source"]) == (503, 2, "upstream")
    assert house.get("/metrics", key=None).body.count(b"interlock_open_holds 0\n") == 1


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("text/html", b"<html><style>x{}</style><h1>502</h1>\n<p>Bad &amp; gone</p></html>", "`openai` refused the call: 502 Bad & gone"),
        ("application/json", b'{"detail": [{"msg": "no room"}]}', "`openai` refused the call: no room"),
        ("text/plain", b"", "`openai` refused the call"),
        ("text/plain", b"\xff\xfe" + b"y" * 2000, "`openai` refused the call: "),
    ],
    ids=["html", "other json", "nothing", "garbage"],
)  # fmt: skip
def test_an_error_in_another_form_is_said_in_the_callers(house, one, kind, body, says):
    async def refuse(exchange):
        head = f"HTTP/1.1 502 X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        await exchange.send(head.encode() + body)

    one.handler = refuse
    answer = house.chat(model="single", stream=True)
    assert answer.status == 502
    error = answer.json()["error"]
    assert error["message"].startswith(says)
    assert len(error["message"]) < 700
    assert answer.headers["content-type"] == "application/json"


def test_load_is_spread_by_weight(house, one, two):
    """3 : 1 over 400 calls, within five standard deviations."""
    with Wire(house) as wire:
        for _ in range(400):
            assert wire.send(post(chat("spread"))).answer().status == 200
    counts = Counter({"one": len(one.requests), "two": len(two.requests)})
    assert counts.total() == 400
    assert abs(counts["one"] - 300) <= 5 * (400 * 0.75 * 0.25) ** 0.5


def test_a_client_that_leaves_frees_the_upstream_and_is_counted(house, one):
    async def drip(exchange):
        await exchange.stream(FRAMES * 200, pause=0.02)

    one.handler = drip
    before = one.closed
    with Wire(house) as wire:
        head = wire.send(post(chat("single", stream=True))).until(b"\r\n\r\n").decode()
        wire.until(b'"content":"3"')
    left = time.monotonic()
    assert eventually(lambda: one.closed > before, 10)
    print(f"the upstream was let go after {time.monotonic() - left:.3f} s (promised 1)")
    call_id = next(line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("x-litellm-call-id"))
    row = record_of(house, call_id)
    assert row["status"] == 499
    assert row["estimated"] is True
    assert row["output_tokens"] >= 4
    assert row["input_tokens"] > 0
    assert row["cost"] > 0
    assert eventually(lambda: b"interlock_calls_active 0\n" in house.get("/metrics", key=None).body, 3)
    assert b"interlock_open_holds 0\n" in house.get("/metrics", key=None).body


def test_a_client_that_leaves_before_the_answer_frees_the_upstream(house, one):
    async def never(exchange):
        await exchange.reader.read()
        one.closed += 1

    one.handler = never
    before = one.closed
    with Wire(house) as wire:
        wire.send(post(chat("single")))
        assert eventually(lambda: one.requests)
    assert eventually(lambda: one.closed > before)
    assert eventually(lambda: house.records(0, 0)[-1]["status"] == 499)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_an_upstream_that_dies_in_a_stream_is_told_and_ended_well(house, one, how):
    async def die(exchange):
        await exchange.stream(FRAMES, end=False)
        await asyncio.sleep(0.05)
        getattr(exchange, how)()

    one.handler = die
    answer = house.chat(model="single", stream=True)
    assert answer.status == 200
    events = [frame.removeprefix(b"data: ") for frame in answer.body.split(b"\n\n") if frame]
    assert [json.loads(event)["choices"][0]["delta"]["content"] for event in events[:5]] == list("01234")
    error = json.loads(events[5])["error"]
    assert error["message"] == "the upstream closed the connection in the middle of its answer"
    assert events[6:] == [b"[DONE]"]
    row = record_of(house, answer.headers["x-litellm-call-id"])
    assert (row["error"], row["error_source"], row["output_tokens"]) == ("upstream_error", "upstream", 5)


def test_an_upstream_that_dies_in_a_held_answer_is_502_and_not_asked_elsewhere(house, one, two):
    async def die(exchange):
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
        exchange.close()

    one.handler = die
    answer = house.chat(model="pair")
    assert answer.status == 502
    assert answer.json()["error"]["message"] == "the upstream closed the connection in the middle of its answer"
    assert (len(one.requests), len(two.requests)) == (1, 0)
    row = record_of(house, answer.headers["x-litellm-call-id"])
    assert (row["status"], row["error"]) == (502, "upstream_error")


async def test_an_upstream_that_quotes_its_credentials_does_not_show_them(gateway, upstream):
    async def quote(exchange):
        said = {"error": {"message": f"bad key {exchange.header('authorization')}", "type": "invalid_request_error"}}
        await exchange.json(said, 401)

    upstream.handler = quote
    running = await asyncio.to_thread(
        gateway,
        f"""
model_list:
- {{model_name: a, litellm_params: {{model: openai/a, api_base: "{upstream.base}", api_key: sk-upstream-secret-1}}}}
general_settings: {{master_key: {MASTER}}}
""",
    )
    answer = await asyncio.to_thread(running.chat, model="a")
    assert answer.status == 401
    assert answer.json()["error"]["message"] == "bad key Bearer [REDACTED]"


async def test_a_bare_star_goes_where_the_name_says(gateway):
    config = f"""
model_list:
- {{model_name: "*", litellm_params: {{model: "*"}}}}
general_settings: {{master_key: {MASTER}}}
"""
    running = await asyncio.to_thread(gateway, config)
    answer = await asyncio.to_thread(running.chat, model="echo/anything")
    assert answer.json()["model"] == "anything"
    unknown = await asyncio.to_thread(running.chat, model="nowhere/anything")
    assert unknown.status == 404
