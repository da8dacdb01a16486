"""After a run in which everything goes wrong that can, no key and no prompt is found where it has no business."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bench.ports import free_port
from tests.end_to_end.wires import Wire, chat, eventually, post, threaded
from tests.running import MASTER, Gateway

PROMPT = "my password is Zugspitze-2962"
UPSTREAM_KEY = "sk-upstream-3f9a1c7be2"
KEYS = {
    "good": "sk-good-0a1b2c3d4e", "expired": "sk-expired-5f6a7b8c", "blocked": "sk-blocked-9d8e7f6a", "unknown": "sk-unknown-1a2b3c4d",
}  # fmt: skip
CONFIG = """
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo}}}}
- {{model_name: broken, litellm_params: {{model: echo/echo, echo_status: 500}}}}
- {{model_name: relayed, litellm_params: {{model: openai/x, api_base: "{base}", api_key: {key}, extra_headers: {{x-token: {key}}}}}}}
- {{model_name: dead, litellm_params: {{model: openai/x, api_base: "http://127.0.0.1:{dead}/v1?code={key}", api_key: os.environ/UPSTREAM_KEY}}}}
general_settings: {{master_key: os.environ/THE_MASTER}}
router_settings: {{num_retries: 2}}
keys:
- {{key: {good}, models: [echo, broken, relayed, dead]}}
- {{key: {expired}, expires: "2020-01-01"}}
- {{key: {blocked}, blocked: true}}
"""


@pytest.fixture
def house(tmp_path):
    with threaded() as server:
        config = CONFIG.format(base=server.base, key=UPSTREAM_KEY, dead=free_port(), **KEYS)
        environ = {"THE_MASTER": MASTER, "UPSTREAM_KEY": UPSTREAM_KEY}
        running = Gateway(tmp_path / "gateway", config, ("--detailed_debug",), environ).start()
        running.upstream = server
        yield running
        running.stop()


async def refuse(exchange) -> None:
    """Answer as the wish in the request's `user` says."""
    wish = json.loads(exchange.body).get("user")
    if wish == "html":
        page = b"<html><body><h1>502</h1>no such luck</body></html>"
        await exchange.send(
            b"HTTP/1.1 502 X\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%b" % (len(page), page)
        )
    elif wish == "garbage":
        await exchange.send(b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n")
        exchange.close()
    elif wish == "cut":
        await exchange.stream([b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'], end=False)
        exchange.abort()
    else:
        await exchange.json({"error": {"message": "no", "type": "t", "param": None, "code": "401"}}, 401)


def bad_bodies() -> list[bytes]:
    """Write bodies with a prompt in them, each wrong in its own way."""
    text = json.dumps(chat("echo", PROMPT)).encode()
    return [
        text[:-1],
        text.replace(b'"model"', b'"messages": [], "model"'),
        text.replace(b'"role"', b'"role": "\xff", "role"'),
        text.replace(b'"messages"', b'"api_key": "%b", "messages"' % UPSTREAM_KEY.encode()),
        text.replace(b'"messages"', b'"stream": "%b", "messages"' % PROMPT.encode()),
        text.replace(b'"echo"', b'"%b"' % KEYS["good"].encode()).replace(b"model", b"Model"),
        b"[" + text + b"]",
    ]


def mixed_run(house: Gateway) -> list[str]:
    """Do everything at least once; return every error answer, heads and all."""
    house.upstream.handler = refuse
    answers = [house.chat(PROMPT, key=key) for key in KEYS.values()]
    answers += [house.chat(PROMPT, model=model, key=KEYS["good"], stream=stream) for model in ("broken", "dead", "closed") for stream in (False, True)]  # fmt: skip
    answers += [
        house.chat(PROMPT, model="relayed", user=wish, stream=True) for wish in ("html", "garbage", "cut", "no")
    ]
    answers += [house.post("/v1/chat/completions", body, KEYS["good"]) for body in bad_bodies()]
    answers.append(house.post("/v1/chat/completions", gzip.compress(PROMPT.encode())[:-3], content_encoding="gzip"))
    answers += [house.get(f"/nowhere?key={KEYS['good']}", key=None), house.get("/v1/models", KEYS["expired"])]
    for path in ("/key/generate", "/key/update", "/key/block", "/key/regenerate"):
        answers.append(house.request("POST", path, json.dumps({"key": KEYS["good"]}).encode(), MASTER, {}))
    with Wire(house) as wire:
        answers.append(wire.send(post(chat("echo", PROMPT), f"cookie : {KEYS['good']}")).answer())
    with Wire(house) as wire:
        wire.send(post(chat("echo", PROMPT * 100, stream=True)))
        wire.until(b"data: ")
    for path in ("/metrics", "/health/readiness", "/", "/health/liveliness"):
        answers.append(house.get(path, key=None))
    assert {401, 400, 404, 500, 501, 502} <= {answer.status for answer in answers}
    return [
        f"{answer.headers} {answer.body!r}"
        for answer in answers
        if answer.status != 200 or b"chat.completion" not in answer.body
    ]


def secrets() -> list[str]:
    """List what must not be found, in whole or by its telling half."""
    telling = [PROMPT, "Zugspitze", UPSTREAM_KEY, UPSTREAM_KEY[4:], MASTER, MASTER[4:]]
    return telling + [half for key in KEYS.values() for half in (key, key.rpartition("-")[2])]


def test_no_key_and_no_prompt_is_written_anywhere(house):
    answers = mixed_run(house)
    assert len(answers) > 20
    records = house.folder / "data" / "records.jsonl"
    assert eventually(lambda: records.exists() and len(records.read_text().splitlines()) >= 22)
    house.stop()
    written = {
        str(path): path.read_bytes().decode("latin-1")
        for path in Path(house.folder).rglob("*")
        if path.is_file() and path.name != "config.yaml"
    }
    assert {Path(name).name for name in written} >= {"err", "out", "records.jsonl"}
    assert "call failed" in house.log
    for secret in secrets():
        assert [name for name, text in written.items() if secret in text] == [], secret
        assert [answer for answer in answers if secret in answer] == [], secret


def test_what_the_upstream_is_shown(house):
    """Its own key, none of ours, and none of the client's headers but a few."""
    lines = (
        "cookie: a=b",
        "x-forwarded-for: 1.2.3.4",
        "forwarded: for=1",
        "x-api-key: nothing",
        "openai-beta: assistants=v2",
    )
    with Wire(house) as wire:
        assert wire.send(post(chat("relayed", PROMPT), *lines, key=KEYS["good"])).answer().status == 200
    (seen,) = house.upstream.requests
    head = seen.head.decode().lower()
    assert seen.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert seen.header("openai-beta") == "assistants=v2"
    assert KEYS["good"] not in head
    names = {line.partition(":")[0] for line in head.split("\r\n")[1:] if line}
    assert names == {
        "host", "content-type", "accept", "accept-encoding", "user-agent", "authorization", "x-token", "openai-beta", "content-length",
    }  # fmt: skip
    assert json.loads(seen.body) == {**chat("x", PROMPT)}
