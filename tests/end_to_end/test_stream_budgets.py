"""Streams under budgets: one that is used up in mid-stream ends the stream cleanly, and what was sent is what is charged."""

from __future__ import annotations

import json
import random
import socket
import time
from typing import Any

import openai
import pytest
import yaml

from tests.end_to_end import transcripts
from tests.end_to_end.transcripts import GOLDEN, ask_all, config, replaying
from tests.engine.streams import chunks, events
from tests.running import MASTER, Gateway

WORDS = " ".join(f"word{number}" for number in range(900))
PRICE = 0.001
"""USD of a word that is answered; what is asked costs nothing."""
ECHO = f"""
model_list:
  - model_name: echo
    litellm_params: {{model: echo/echo, input_cost_per_token: 0, output_cost_per_token: {PRICE}, echo_chunk_chars: 20}}
  - model_name: slow
    litellm_params: {{model: echo/slow, input_cost_per_token: 0, output_cost_per_token: {PRICE}, echo_frame_delay_ms: 5}}
general_settings: {{master_key: {MASTER}}}
"""


@pytest.fixture
def under(gateway, tmp_path):
    """Start a gateway under policies."""

    def start(config_text: str, *policies: dict[str, Any]) -> Gateway:
        folder = tmp_path / "policies"
        folder.mkdir()
        (folder / "p.yaml").write_text(yaml.safe_dump_all(policies, sort_keys=False))
        running: Gateway = gateway(config_text, "--policies", str(folder))
        return running

    return start


def budget(limit: float, **fields: Any) -> dict[str, Any]:
    return {"kind": "Budget", "name": "all", "limit": limit, "window": "1d", **fields}


def text_of(stream: bytes) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks(stream)
        for choice in chunk["choices"]
        if "delta" in choice
    )


def test_a_budget_that_ends_in_mid_stream_ends_the_stream_cleanly(under):
    running = under(ECHO, budget(0.6))
    answer = running.chat(WORDS, stream=True)
    said = text_of(answer.body)
    assert (answer.status, answer.body[-16:]) == (200, b"\n\ndata: [DONE]\n\n")
    assert WORDS.startswith(said)
    assert [choice["finish_reason"] for chunk in chunks(answer.body) for choice in chunk["choices"]][-1] == "length"
    assert b"\n: Budget has been exceeded! Policy=all Current cost: 0.0, Max budget: 0.6." in answer.body
    # A frame may end within a word, which then counts as begun: within one frame of the limit, never above.
    (row,) = running.records(1)
    assert row["output_tokens"] - len(said.split()) in {0, 1}
    assert 0.596 <= row["cost"] / 1e9 <= 0.6
    assert running.chat(WORDS, stream=True).json()["error"]["type"] == "budget_exceeded"


def test_an_official_client_reads_a_stream_that_was_cut(under):
    running = under(ECHO, budget(0.4))
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=MASTER)
    asked: Any = [{"role": "user", "content": WORDS}]
    parts = list(client.chat.completions.create(model="echo", messages=asked, stream=True))
    assert parts[-1].choices[0].finish_reason == "length"
    with pytest.raises(openai.BadRequestError, match=r"Max budget: 0\.4"):
        client.responses.create(model="echo", input=WORDS, stream=True)
    client.close()


def test_a_response_that_is_cut_is_incomplete(under):
    running = under(ECHO, budget(0.4))
    answer = running.post("/v1/responses", {"model": "echo", "input": WORDS, "stream": True})
    *_, (event, data) = events(answer.body)
    assert event == "response.incomplete"
    assert json.loads(data)["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_tokens_of_a_rate_limit_end_a_stream_too(under):
    limit = {"kind": "RateLimit", "name": "t", "type": "outputTokens", "rates": [{"limit": 400, "window": "1h"}]}
    running = under(ECHO, limit)
    answer = running.chat(WORDS, stream=True)
    assert b"\n: Rate limit exceeded for policy: t. Limit type: tokens. Current limit: 400" in answer.body
    assert 390 <= len(text_of(answer.body).split()) <= 400


def test_many_streams_share_what_is_left_and_never_overspend(under):
    running = under(ECHO, budget(3.0))
    sockets = [opened(running, "slow") for _ in range(6)]
    for one in sockets:
        with one:
            while one.recv(65536):
                pass
    rows = running.records(6)
    spent = sum(row["cost"] for row in rows) / 1e9
    assert 2.9 <= spent <= 3.0
    assert running.chat(WORDS, stream=True).status == 400


def opened(running: Gateway, model: str, key: str = MASTER) -> socket.socket:
    """Begin a stream on a connection of its own, which ends with the answer."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": WORDS}], "stream": True}).encode()
    one = socket.create_connection(("127.0.0.1", running.port), timeout=60)
    one.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
    )
    return one


@pytest.mark.parametrize("limits", [[], [budget(1000.0)]], ids=["no limit", "a budget"])
def test_a_client_that_leaves_is_charged_what_was_sent(under, limits):
    """Leave after a drawn number of bytes: what is charged lies between what was read and what can have been sent."""
    running = under(ECHO, *limits, {"kind": "ModelAccess", "name": "a", "models": ["*"]})
    chance = random.Random()
    for number in range(1, 6):
        one = opened(running, "slow")
        read, until = b"", chance.randint(400, 30_000)
        while len(read) < until:
            read += one.recv(4096)
        one.close()
        left = time.monotonic()
        rows = running.records(number)
        seconds = rows[-1]["duration"]
        heard = len(text_of(b"\n\n".join(read.split(b"\n\n")[:-1]) + b"\n\n").split())
        row = rows[-1]
        assert row["status"] == 499
        assert row["estimated"] is True
        # What is 0 is not written: a client may leave before the first word.
        sent = row.get("output_tokens", 0)
        assert heard - 2 <= sent <= 900, (heard, row)
        assert row.get("cost", 0) == sent * 1_000_000
        assert time.monotonic() - left < 5
        assert seconds < 10


def test_a_key_that_is_blocked_meanwhile_ends_its_stream(under):
    running = under(ECHO, budget(1000.0))
    key = running.post("/key/generate", {}).json()["key"]
    with opened(running, "slow", key) as one:
        read = one.recv(4096)
        assert running.post("/key/block", {"key": key}).status == 200
        while more := one.recv(65536):
            read += more
    assert b": this key may not call any more" in read
    assert read.rstrip(b"\r\n0").endswith(b"data: [DONE]")
    assert len(text_of(read.replace(b"\r\n", b"\n")).split()) < 900


@pytest.mark.parametrize("change", ["policy", "deployment"])
def test_a_limit_that_is_lowered_meanwhile_ends_its_stream(under, tmp_path, change):
    config_text = ECHO.replace("ms: 5}", "ms: 5, max_budget: 1000}\n    model_info: {id: slow}")
    running = under(config_text, budget(1000.0))
    with opened(running, "slow", MASTER) as one:
        read = one.recv(4096)
        if change == "policy":
            (tmp_path / "policies" / "p.yaml").write_text(yaml.safe_dump(budget(0.4)))
        else:
            (tmp_path / "gateway0" / "config.yaml").write_text(
                config_text.replace("max_budget: 1000", "max_budget: 0.4")
            )
        assert running.post("/config/reload", {}).status == 200
        while more := one.recv(65536):
            read += more
    assert b"0.4" in read[read.rindex(b"\n: ") :].splitlines()[1]
    assert read.rstrip(b"\r\n0").endswith(b"data: [DONE]")
    assert len(text_of(read.replace(b"\r\n", b"\n")).split()) < 900


def test_recorded_streams_are_cut_cleanly_wherever_the_money_ends(under, shared):
    """Half of what an exchange would cost, for each recorded stream that is long enough: every provider's own frames."""
    golden = json.loads(GOLDEN.read_text())
    exchanges = [
        one
        for one in transcripts.load(shared)
        if one.event_stream and one.status == 200 and one.provider != "perplexity" and one.operation in {"chat/completions", "responses"}
        and golden[one.file]["output"] >= 40 and not golden[one.file]["reasoning"]
    ]  # fmt: skip
    assert len(exchanges) >= 5
    policies = []
    for one in exchanges:
        used = golden[one.file]
        limit = used["input"] * 2e-9 + used["output"] / 2 * 1e-6
        policies.append({**budget(round(limit, 12)), "name": one.name, "match": {"models": [one.name]}})
    with replaying(shared) as upstream:
        text = json.loads(config(exchanges, upstream))
        for model in text["model_list"]:
            model.pop("model_info", None)
            model["litellm_params"] |= {"input_cost_per_token": 1e-9, "output_cost_per_token": 1e-6}
        running = under(json.dumps(text), *policies)
        answers = ask_all(running, exchanges)
        rows = {row["model"]: row for row in running.records(len(exchanges), 10)}
    cut = 0
    for one, answer, policy in zip(exchanges, answers, policies, strict=True):
        assert answer.status == 200, (one.file, answer.body[:300])
        if b"Budget has been exceeded! Policy=" not in answer.body:
            continue  # the provider counted more than its texts show
        cut += 1
        if one.operation == "responses":
            assert events(answer.body)[-1][0] == "response.incomplete", one.file
        else:
            last = [chunk for chunk in chunks(answer.body) if chunk.get("choices")][-1]
            assert last["choices"][0]["finish_reason"] == "length", one.file
            assert answer.body.endswith(b"data: [DONE]\n\n"), one.file
        assert rows[one.name]["cost"] <= policy["limit"] * 1e9 + 1, one.file
        assert rows[one.name]["output_tokens"] > 0, one.file
    assert cut >= 5
