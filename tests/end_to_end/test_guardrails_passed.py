"""Guardrails over what goes on as it came: bodies and streams that are known by their paths, and those that nobody knows."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.end_to_end.wires import threaded
from tests.running import MASTER, Gateway

MAIL = "ada.lovelace@example.com"
CONFIG = f"model_list: [{{model_name: echo, litellm_params: {{model: echo/echo}}}}]\ngeneral_settings: {{master_key: {MASTER}}}\n"
SAID = f"write to {MAIL}, now"
CLEAN = "write to <EMAIL_ADDRESS>, now"
PIECES = [SAID[at : at + 3] for at in range(0, len(SAID), 3)]


def event(name: str, body: object) -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: %b\n\n" % json.dumps(body).encode()


def anthropic_events(pieces: list[str]) -> list[bytes]:
    start = {"type": "message_start", "message": {"id": "m", "model": "c", "role": "assistant", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}  # fmt: skip
    deltas = [
        event("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": one}})
        for one in pieces
    ]  # fmt: skip
    return [
        event("message_start", start),
        event("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *deltas,
        event("content_block_stop", {"type": "content_block_stop", "index": 0}),
        event("message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        event("message_stop", {"type": "message_stop"}),
    ]  # fmt: skip


def gemini_events(pieces: list[str]) -> list[bytes]:
    chunks = [{"candidates": [{"content": {"parts": [{"text": one}], "role": "model"}, "index": 0}]} for one in pieces]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    return [event("", one) for one in chunks]


NATIVE = {
    "anthropic": (
        "/v1/messages",
        {"model": "c", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": SAID}]}]},
        {"id": "m", "type": "message", "model": "c", "role": "assistant", "content": [{"type": "text", "text": SAID}]},
        anthropic_events(PIECES),
        lambda one: one.get("delta", {}).get("text", ""),
    ),
    "gemini": (
        "/v1beta/models/g:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": SAID}]}]},
        {"candidates": [{"content": {"parts": [{"text": SAID}], "role": "model"}, "finishReason": "STOP"}]},
        gemini_events(PIECES),
        lambda one: "".join(part.get("text", "") for each in one["candidates"] for part in each["content"]["parts"]),
    ),
}


@pytest.fixture
def upstream():
    with threaded() as server:
        yield server


@pytest.fixture
def house(gateway, tmp_path, upstream):
    def start(**guardrail: object) -> Gateway:
        (tmp_path / "policies").mkdir()
        guard = {
            "kind": "Guardrail", "name": "mails", "phases": ["input", "output", "toolCalls"], "action": "mask",
            "detect": [{"pii": ["EMAIL_ADDRESS"]}], **guardrail,
        }  # fmt: skip
        passed = {"kind": "PassThrough", "name": "native", "path": "/native", "target": upstream.base}
        (tmp_path / "policies" / "p.yaml").write_text(yaml.safe_dump_all([guard, passed]))
        running = gateway(CONFIG, "--policies", str(tmp_path / "policies"))
        assert running.process.poll() is None, running.log
        return running

    return start


def texts(body: bytes, read) -> str:
    return "".join(read(json.loads(line[6:])) for line in body.decode().splitlines() if line.startswith("data: {"))


def streaming(frames: list[bytes]):
    """Answer with events, each in a write of its own."""

    async def handler(exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for frame in frames:
            await exchange.send(frame)
        exchange.close()

    return handler


@pytest.mark.parametrize("name", NATIVE)
def test_native_bodies_are_looked_through_where_their_texts_stand(house, upstream, name):
    path, asked, answer, _, _ = NATIVE[name]
    seen = []

    async def handler(exchange) -> None:
        seen.append(json.loads(exchange.body))
        await exchange.json(answer)

    upstream.handler = handler
    found = house().post(f"/native{path}", asked)
    assert found.status == 200, found.body
    assert json.dumps(seen) == json.dumps([asked]).replace(MAIL, "<EMAIL_ADDRESS>")
    assert found.json() == json.loads(json.dumps(answer).replace(MAIL, "<EMAIL_ADDRESS>"))


@pytest.mark.parametrize("name", NATIVE)
def test_native_streams_say_what_the_whole_answer_would(house, upstream, name):
    path, asked, _, frames, read = NATIVE[name]
    upstream.handler = streaming(frames)
    streamed = path.replace(":generateContent", ":streamGenerateContent")
    found = house(phases=["output"]).post(f"/native{streamed}", {**asked, "stream": True})
    assert found.status == 200, found.body
    assert texts(found.body, read) == CLEAN
    assert found.headers["x-litellm-applied-guardrails"] == "mails"


@pytest.mark.parametrize("name", NATIVE)
def test_a_native_stream_that_must_not_pass_ends_in_its_own_words(house, upstream, name):
    path, asked, _, frames, read = NATIVE[name]
    upstream.handler = streaming(frames)
    running = house(phases=["output"], action="block")
    found = running.post(f"/native{path.replace(':generate', ':streamGenerate')}", {**asked, "stream": True})
    assert MAIL[:8] not in texts(found.body, read)
    assert b": guardrail `mails` found `EMAIL_ADDRESS`" in found.body
    assert b'"refusal"' in found.body or b'"SAFETY"' in found.body
    (record,) = running.records(1)
    assert "EMAIL_ADDRESS" in json.dumps(record["rules"])


def test_a_known_path_is_spoken_as_what_it_is_wherever_it_leads(house, upstream):
    """OpenAI's path on a passage whose host speaks another dialect by itself."""
    seen = []

    async def handler(exchange) -> None:
        seen.append(json.loads(exchange.body))
        await exchange.json({"choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}}]})

    upstream.handler = handler
    found = house().post("/native/v1/chat/completions", {"messages": [{"role": "user", "content": SAID}]})
    assert found.json()["choices"][0]["message"]["content"] == CLEAN
    assert seen[0]["messages"][0]["content"] == CLEAN


def test_an_answer_that_is_nothing_but_a_text_is_looked_at(house, upstream):
    async def handler(exchange) -> None:
        await exchange.json(SAID)

    upstream.handler = handler
    assert house().post("/native/other", {"a": "b"}).json() == CLEAN


def test_of_bodies_that_nobody_knows_every_text_is_looked_at(house, upstream):
    async def handler(exchange) -> None:
        await exchange.json({"deep": [{"note": SAID}], "said": json.loads(exchange.body)})

    upstream.handler = handler
    found = house().post("/native/other", {"a": {"b": [SAID]}})
    assert found.json() == {"deep": [{"note": CLEAN}], "said": {"a": {"b": [CLEAN]}}}


@pytest.mark.parametrize("failure", ["Fail", "Ignore"])
def test_what_nobody_can_look_through_passes_only_where_that_is_written(house, upstream, failure):
    what = ""

    async def handler(exchange) -> None:
        if what == "an array of pieces":
            await exchange.json([{"candidates": [{"content": {"parts": [{"text": one}]}}]} for one in PIECES])
        elif what == "not JSON":
            await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n{,}")
        else:
            kind = b"application/octet-stream" if what == "bytes" else b"text/event-stream"
            await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: 9\r\n\r\ndata: 1\n\n" % kind)

    upstream.handler = handler
    running = house(phases=["output"], failurePolicy=failure)
    for what in ("events of an unknown form", "an array of pieces", "bytes", "not JSON"):
        path = "/v1beta/models/g:streamGenerateContent" if what == "an array of pieces" else "/other"
        found = running.post(f"/native{path}", {"contents": []})
        assert found.status == (400 if failure == "Fail" else 200), (what, found.body)
        assert failure == "Ignore" or "looked through" in found.json()["error"]["message"]


def test_a_passage_asks_for_guardrails_and_says_where_its_texts_stand(gateway, upstream):
    async def handler(exchange) -> None:
        await exchange.json({"said": json.loads(exchange.body), "results": [{"snippet": SAID, "from": MAIL}]})

    upstream.handler = handler
    entry = {
        "path": "/search", "target": upstream.base,
        "guardrails": {"mails": {"request_fields": ["query", "documents[*].text"], "response_fields": ["$.results[*].snippet"]}},
    }  # fmt: skip
    pattern = {"pattern_type": "prebuilt", "pattern_name": "email", "action": "MASK"}
    params = {"guardrail": "litellm_content_filter", "mode": ["pre_call", "post_call"], "patterns": [pattern]}
    config = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
        "general_settings": {"master_key": MASTER, "pass_through_endpoints": [entry, {**entry, "path": "/free", "guardrails": None}]},
        "guardrails": [{"guardrail_name": "mails", "litellm_params": params}],
    }  # fmt: skip
    running = gateway(yaml.safe_dump(config))
    assert running.process.poll() is None, running.log
    asked = {"query": SAID, "documents": [{"text": MAIL, "id": MAIL}]}
    found = running.post("/search", asked).json()
    assert found["said"] == {"query": CLEAN, "documents": [{"text": "<EMAIL_ADDRESS>", "id": MAIL}]}
    assert found["results"] == [{"snippet": CLEAN, "from": MAIL}]
    assert running.post("/free", asked).json()["said"] == asked


def test_a_passage_that_asks_for_a_guardrail_that_nobody_has_is_an_error(gateway, tmp_path):
    (tmp_path / "policies").mkdir()
    wrong = [
        {"kind": "PassThrough", "name": "a", "path": "/a", "target": "http://127.0.0.1:1", "guardrails": ["nix"]},
        {
            "kind": "PassThrough",
            "name": "b",
            "path": "/b",
            "target": "http://127.0.0.1:1",
            "texts": {"request": ["$.x[*]"]},
        },
    ]
    for document, said in zip(wrong, ("asks for the guardrail `nix`", "is no path of texts"), strict=True):
        (tmp_path / "policies" / "p.yaml").write_text(yaml.safe_dump(document))
        running = gateway(CONFIG, "--policies", str(tmp_path / "policies"))
        assert running.stop() == 2
        assert said in running.log
