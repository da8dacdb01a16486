"""Calls that fail, are tried elsewhere or are left alone: every hold is closed, and each is charged what it used, once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import yaml

from bench.ports import free_port
from tests.end_to_end.books import closed, left_of, logged, metric, nano, spent
from tests.end_to_end.wires import Wire, chat, eventually, post, threaded
from tests.running import CHAT, MASTER, Gateway

BUDGET = 100.0
REQUESTS = 10
USED = nano(0.014)
"""What the scripted answer costs: ten tokens in, two out."""
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a b"}}]}\n\n'
USAGE = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}\n\n'
ERROR = {"error": {"message": "no", "type": "x", "param": None, "code": "x"}}


@pytest.fixture(scope="module")
def upstreams():
    with threaded() as one, threaded() as two, threaded() as three:
        yield one, two, three


@pytest.fixture(scope="module")
def house(tmp_path_factory, upstreams):
    folder = tmp_path_factory.mktemp("attempts")
    policies = [
        {"kind": "RateLimit", "name": "calls", "match": {"routes": ["chat"]}, "type": "requests", "algorithm": "fixed-window",
         "rates": [{"limit": REQUESTS, "window": "1h"}], "counters": [{"expression": "apiKey.id"}]},
        {"kind": "RateLimit", "name": "slots", "type": "parallel", "rates": [{"limit": 1}], "counters": [{"expression": "apiKey.id"}]},
        {"kind": "PassThrough", "name": "lab", "path": "/lab", "target": f"http://127.0.0.1:{upstreams[0].port}", "cost": 0.5},
    ]  # fmt: skip
    (folder / "policies").mkdir()
    (folder / "policies" / "p.yaml").write_text(yaml.safe_dump_all(policies))
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    one, two, three = (server.base for server in upstreams)
    models = [
        entry(name, base, weight)
        for name, bases in {
            "single": [one],
            "pair": [one, two],
            "gap": [one, three, nowhere],
            "end": [one, nowhere, three],
            "quick": [one],
        }.items()
        for weight, base in zip((1, 0, 0), bases, strict=False)
    ]
    models[-1]["litellm_params"]["timeout"] = 0.5
    models.append(
        {
            "model_name": "picture",
            "litellm_params": {"model": "openai/p", "api_base": one, "api_key": "k", "input_cost_per_image": 0.25},
            "model_info": {"mode": "image_generation"},
        }
    )
    config = {
        "model_list": models,
        "router_settings": {"num_retries": 5},
        "general_settings": {"master_key": MASTER},
    }
    running = Gateway(folder / "gateway", yaml.safe_dump(config), ("--policies", str(folder / "policies")), {}).start()
    yield running
    running.stop()


def entry(name: str, base: str, weight: int) -> dict[str, Any]:
    params = {
        "model": "openai/m", "api_base": base, "api_key": "k", "weight": weight,
        "input_cost_per_token": 0.001, "output_cost_per_token": 0.002,
    }  # fmt: skip
    return {"model_name": name, "litellm_params": params}


@pytest.fixture(autouse=True)
def fresh(upstreams):
    """Let the upstreams answer well, and forget what they saw."""
    for server in upstreams:
        server.handler = answer
        server.requests.clear()


async def answer(exchange):
    if b'"stream":true' in exchange.body:
        await exchange.stream([CHUNK, USAGE, b"data: [DONE]\n\n"])
    else:
        await exchange.json(CHAT)


async def refuse(exchange):
    await exchange.json(ERROR, 500)


async def redirect(exchange):
    await exchange.send(b"HTTP/1.1 302 Found\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n")


async def reset(exchange):
    exchange.abort()


async def hang(exchange):
    await exchange.reader.read()


@pytest.fixture
def key(house):
    """Make a key of its own, that has called nothing yet."""
    made: str = house.post("/key/generate", {"max_budget": BUDGET}).json()["key"]
    return made


def calls_left(house: Gateway, key: str) -> int:
    """Use up what is left of the key's calls, and return how many there were."""
    for count in range(REQUESTS + 1):
        found = house.chat(model="single", key=key, max_tokens=2)
        if found.status == 429:
            assert f"Current limit: {REQUESTS}" in found.json()["error"]["message"]
            return count
        assert found.status == 200, found.body
    raise AssertionError("there is no limit")


def balanced(house: Gateway, key: str, charged: int, calls: int, rows: int) -> list[dict[str, Any]]:
    """Check that all holds are closed and the books agree: what was charged, calls that counted, rows."""
    assert closed(house)
    found = logged(house, api_key=key)
    assert (len(found), sum(nano(row["spend"]) for row in found)) == (rows, charged)
    assert spent(house, key) == charged
    after = house.chat(model="single", key=key, max_tokens=2)
    assert left_of(after.headers, "api_key") == nano(BUDGET) - charged - USED
    assert calls_left(house, key) == REQUESTS - calls - 1
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("how", [refuse, reset, redirect], ids=["500", "reset", "302"])
def test_a_second_attempt_counts_one_call_and_only_its_own_money(house, upstreams, key, how, stream):
    upstreams[0].handler = how
    found = house.chat(model="pair", key=key, stream=stream)
    assert (found.status, found.headers["x-litellm-attempted-retries"]) == (200, "1")
    upstreams[0].handler = answer
    (row,) = balanced(house, key, USED, 1, 1)
    assert (row["status"], row["completion_tokens"]) == ("success", 2)


@pytest.mark.parametrize("how", [refuse, reset], ids=["500", "reset"])
def test_a_deployment_that_cannot_be_reached_between_two_others_counts_no_second_call(house, upstreams, key, how):
    upstreams[0].handler = how
    for _ in range(2):
        assert house.chat(model="gap", key=key).headers["x-litellm-attempted-retries"] == "2"
    assert (len(upstreams[0].requests), len(upstreams[2].requests)) == (2, 2)
    upstreams[0].handler = answer
    balanced(house, key, 2 * USED, 2, 2)


def test_a_call_that_ends_at_a_deployment_that_cannot_be_reached_has_its_row(house, upstreams, key):
    upstreams[0].handler = upstreams[2].handler = refuse
    assert house.chat(model="end", key=key).status == 502
    assert (len(upstreams[0].requests), len(upstreams[2].requests)) == (1, 1)
    upstreams[0].handler = answer
    (row,) = balanced(house, key, 0, 1, 1)
    assert row["status"] == "failure"


@pytest.mark.parametrize("how", [refuse, reset, hang, redirect], ids=["500", "reset", "timeout", "302"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_whose_every_attempt_fails_counts_and_costs_nothing(house, upstreams, key, how, stream):
    upstreams[0].handler = how
    assert house.chat(model="quick", key=key, stream=stream).status in {500, 502, 504}
    upstreams[0].handler = answer
    (row,) = balanced(house, key, 0, 1, 1)
    assert row["status"] == "failure"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_leaves_before_the_answer_pays_what_it_asked(house, upstreams, key, stream):
    upstreams[0].handler = hang
    text = "tell me all of it, please"
    with Wire(house) as wire:
        wire.send(post(chat("single", text, stream=stream, max_tokens=50), key=key))
        assert eventually(lambda: upstreams[0].requests)
    assert closed(house)
    upstreams[0].handler = answer
    (row,) = logged(house, api_key=key)
    assert row["metadata"] == {"estimated": True}
    assert (row["completion_tokens"], nano(row["spend"])) == (0, row["prompt_tokens"] * nano(0.001))
    assert 6 <= row["prompt_tokens"] <= 30
    balanced(house, key, nano(row["spend"]), 1, 1)


def test_a_client_that_leaves_before_its_picture_pays_for_it(house, upstreams, key):
    upstreams[0].handler = hang
    with Wire(house) as wire:
        wire.send(post({"model": "picture", "prompt": "a house", "n": 2}, key=key, path="/v1/images/generations"))
        assert eventually(lambda: upstreams[0].requests)
    upstreams[0].handler = answer
    balanced(house, key, nano(0.5), 0, 1)


def test_a_client_that_leaves_a_request_that_goes_on_as_it_came_pays_for_it(house, upstreams, key):
    upstreams[0].handler = hang
    with Wire(house) as wire:
        wire.send(post({"any": "thing"}, key=key, path="/lab/x"))
        assert eventually(lambda: upstreams[0].requests)
    upstreams[0].handler = answer
    balanced(house, key, nano(0.5), 0, 1)


def test_a_stream_that_breaks_off_pays_what_was_said(house, upstreams, key):
    async def die(exchange):
        await exchange.stream([CHUNK] * 4, end=False)
        await asyncio.sleep(0.05)
        exchange.abort()

    upstreams[0].handler = die
    found = house.chat("one two three", model="single", key=key, stream=True)
    assert found.body.count(b'"a b"') == 4
    upstreams[0].handler = answer
    (row,) = logged(house, api_key=key)
    assert row["metadata"] == {"estimated": True}
    assert row["completion_tokens"] >= 4
    assert nano(row["spend"]) == row["prompt_tokens"] * nano(0.001) + row["completion_tokens"] * nano(0.002)
    balanced(house, key, nano(row["spend"]), 1, 1)


@pytest.mark.parametrize("how", [refuse, reset, hang], ids=["500", "reset", "timeout"])
def test_a_parallel_slot_comes_back_however_the_call_ends(house, upstreams, key, how):
    upstreams[0].handler = hang
    with Wire(house) as wire:
        wire.send(post(chat("single"), key=key))
        assert eventually(lambda: upstreams[0].requests)
        busy = house.chat(model="single", key=key)
        assert (busy.status, "parallel" in busy.json()["error"]["message"]) == (429, True)
    assert closed(house)
    upstreams[0].handler = how
    for _ in range(2):
        assert house.chat(model="quick", key=key).status in {500, 502, 504}
    upstreams[0].handler = answer
    assert house.chat(model="single", key=key).status == 200


def test_a_call_that_cannot_be_composed_counts_nowhere(house, key):
    body = json.dumps(chat("single", stream=True))[:-1].encode() + b',"stream_options":{"a":1,"a":2}}'
    assert house.post("/v1/chat/completions", body, key).status == 400
    balanced(house, key, 0, 0, 0)


def test_nothing_is_left_open_and_nothing_overran(house):
    assert metric(house, "interlock_open_holds") == 0
    assert metric(house, "interlock_calls_active") == 0
