"""Guardrails at work in a gateway: what is asked, what is answered, on streams too, and what nobody can look at."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import yaml

from tests.end_to_end.wires import threaded
from tests.running import MASTER, Gateway

MAIL, CARD = "ada.lovelace@example.com", "4111 1111 1111 1111"
KEY, OTHER = "sk-guarded-0123456789abcdef", "sk-named-0123456789abcdef"
CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo, echo_chunk_chars: 1, input_cost_per_token: 0.001, output_cost_per_token: 0.001}}}}
general_settings: {{master_key: {MASTER}}}
litellm_settings:
  virtual_keys:
  - {{api_key: {KEY}, key_alias: guarded, max_budget: 1000}}
"""


def guardrail(name: str, *phases: str, detect: object, **more: object) -> dict[str, object]:
    return {"kind": "Guardrail", "name": name, "phases": [*phases], "detect": detect, **more}


MASKS = guardrail(
    "mails", "input", "output", "toolCalls", "toolResults", detect=[{"pii": ["EMAIL_ADDRESS"]}], action="mask"
)
CARDS = guardrail("cards", "input", detect=[{"pii": ["CREDIT_CARD"]}], optional=True, message="use a token")


@pytest.fixture
def upstream():
    with threaded() as server:
        yield server


@pytest.fixture
def guarded(gateway, tmp_path):
    def start(*policies: object, config: str = CONFIG) -> Gateway:
        (tmp_path / "policies").mkdir(exist_ok=True)
        if policies:
            (tmp_path / "policies" / "p.yaml").write_text(yaml.safe_dump_all(policies))
        running = gateway(config, "--policies", str(tmp_path / "policies"))
        assert running.process.poll() is None, running.log
        return running

    return start


def said(answer) -> str:
    return answer.json()["choices"][0]["message"]["content"]


def frames(answer) -> list[dict]:
    return [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]


def streamed(answer) -> str:
    return "".join(choice["delta"].get("content") or "" for frame in frames(answer) for choice in frame["choices"])


def test_what_is_asked_is_masked_before_it_leaves(guarded):
    running = guarded(MASKS)
    answer = running.chat(f"write to {MAIL} please")
    assert said(answer) == "write to <EMAIL_ADDRESS> please"
    assert answer.headers["x-litellm-applied-guardrails"] == "mails"
    assert answer.headers["x-interlock-rule"] == "mails"
    assert MAIL not in running.log
    (record,) = running.records(1)
    assert MAIL not in json.dumps(record)
    assert "mails" in json.dumps(record["rules"])


def test_what_is_answered_is_masked_on_streams_too(guarded):
    running = guarded({**MASKS, "phases": ["output"]})
    text = f"write to {MAIL}, or to {MAIL}"
    wanted = "write to <EMAIL_ADDRESS>, or to <EMAIL_ADDRESS>"
    assert said(running.chat(text)) == wanted
    answer = running.chat(text, stream=True)
    assert streamed(answer) == wanted
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert MAIL.encode() not in answer.body
    assert running.chat("nothing to see").json()["choices"][0]["message"]["content"] == "nothing to see"


def test_what_must_not_pass_is_refused_and_uses_up_nothing(guarded):
    running = guarded(guardrail("cards", "input", detect=[{"pii": ["CREDIT_CARD"]}], message="use a token"))
    answer = running.chat(f"charge {CARD}", key=KEY)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "content_policy_violation")
    assert (
        answer.json()["error"]["message"] == "guardrail `cards` found `CREDIT_CARD`, which must not pass: use a token"
    )
    assert CARD.encode() not in answer.body
    assert running.get("/key/info", key=KEY).json()["info"]["spend"] == 0
    assert running.chat("charge 4111 1111 1111 1112", key=KEY).status == 200, "its checksum is wrong"


def test_an_answer_that_must_not_pass_ends_its_stream_cleanly(guarded):
    running = guarded(guardrail("cards", "output", detect=[{"pii": ["CREDIT_CARD"]}]))
    answer = running.chat(f"the number is {CARD} and more", stream=True)
    assert answer.status == 200
    assert streamed(answer).startswith("the number is ")
    assert "4111" not in streamed(answer)
    assert frames(answer)[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert b": guardrail `cards` found `CREDIT_CARD`" in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")
    whole = running.chat(f"the number is {CARD}")
    assert (whole.status, whole.json()["error"]["type"]) == (400, "content_policy_violation")


def test_a_guardrail_that_is_optional_looks_where_it_is_named(guarded):
    running = guarded(CARDS, config=CONFIG + f"  - {{api_key: {OTHER}, key_alias: named, guardrails: [cards]}}\n")
    assert running.chat(f"charge {CARD}").status == 200
    assert running.chat(f"charge {CARD}", guardrails=["cards"]).status == 400
    assert running.chat(f"charge {CARD}", guardrails=[{"cards": {"extra_body": {}}}]).status == 400
    assert running.chat(f"charge {CARD}", key=OTHER).status == 400, "the key names it"
    made = running.post("/key/generate", {"guardrails": ["cards"]})
    assert running.chat(f"charge {CARD}", key=made.json()["key"]).status == 400
    unknown = running.chat("hello", guardrails=["nobody"])
    assert unknown.status == 400
    assert "there is no guardrail `nobody` here" in unknown.json()["error"]["message"]


def test_a_key_that_asks_for_a_guardrail_that_nobody_has_is_refused(guarded):
    running = guarded(MASKS)
    made = running.post("/key/generate", {"guardrails": ["nobody"]})
    answer = running.chat("hello", key=made.json()["key"])
    assert (answer.status, answer.json()["error"]["type"]) == (403, "policy_denied")
    assert "there is no guardrail `nobody` here, which this key asks for" in answer.json()["error"]["message"]


def test_what_was_masked_is_put_back_into_the_answer(guarded):
    running = guarded({**MASKS, "phases": ["input"], "restore": True})
    text = f"from {MAIL} to bob@example.org"
    assert said(running.chat(text)) == text
    assert streamed(running.chat(text, stream=True)) == text


def test_tokens_hide_nothing(guarded):
    running = guarded(MASKS)
    answer = running.post("/v1/embeddings", {"model": "echo", "input": [1, 2, 3]})
    assert answer.status == 400
    assert "`input` holds tokens" in answer.json()["error"]["message"]
    assert running.post("/v1/embeddings", {"model": "echo", "input": "text"}).status == 200


def test_arguments_of_tools_are_looked_through_as_what_they_say(guarded, upstream):
    sent = json.dumps({"to": MAIL})
    hidden = sent.replace("@", "\\u0040")

    async def answer(exchange) -> None:
        function = {"name": "mail", "arguments": hidden}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        }
        await exchange.json({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})

    upstream.handler = answer
    config = CONFIG.replace(
        "model: echo/echo, echo_chunk_chars: 1", f"model: openai/x, api_base: '{upstream.base}/v1', api_key: k"
    )
    running = guarded({**MASKS, "phases": ["toolCalls"]}, config=config)
    found = running.chat("hello").json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(found) == {"to": "<EMAIL_ADDRESS>"}


def test_what_goes_on_as_it_came_is_looked_through_too(guarded, upstream):
    async def answer(exchange) -> None:
        await exchange.json({"you_said": json.loads(exchange.body)})

    upstream.handler = answer
    passed = {"kind": "PassThrough", "name": "other", "path": "/other", "target": upstream.base}
    running = guarded({**MASKS, "phases": ["input"]}, passed)
    found = running.post("/other", {"deep": [{"note": f"to {MAIL}"}]})
    assert found.json() == {"you_said": {"deep": [{"note": "to <EMAIL_ADDRESS>"}]}}
    assert running.post("/other", b"\x00\x01", key=MASTER).status == 400


def test_litellm_guardrails_run_as_they_are_written(guarded):
    section = """
guardrails:
- guardrail_name: filter
  litellm_params:
    guardrail: litellm_content_filter
    mode: pre_call
    default_on: true
    patterns:
    - {pattern_type: prebuilt, pattern_name: email, action: MASK}
    - {pattern_type: regex, pattern: "P-[0-9]{6}", name: project, action: BLOCK}
    blocked_words: [{keyword: falcon, action: BLOCK}]
- guardrail_name: secrets
  litellm_params: {guardrail: hide-secrets, mode: pre_call}
"""
    running = guarded(config=CONFIG + section)
    assert said(running.chat(f"mail {MAIL}")) == "mail <EMAIL_ADDRESS>"
    blocked = running.chat("about P-123456")
    assert (blocked.status, blocked.json()["error"]["type"]) == (403, "content_policy_violation")
    assert running.chat("the Falcon project").status == 403
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    assert token in said(running.chat(f"token {token}"))
    listed = running.get("/guardrails/list").json()["guardrails"]
    assert [(one["guardrail_name"], one["litellm_params"]["default_on"]) for one in listed] == [
        ("filter", True),
        ("secrets", False),
    ]


def test_expressions_find_and_replace(guarded):
    said_of = {
        "pii": ["EMAIL_ADDRESS"],
        "action": "mask",
        "replace": 'text.split("@")[0].size() > 3 ? type + "@" + text.split("@")[1] : "?"',
    }
    cel = {"cel": 'text.contains("drop") && text.contains("table")', "name": "sql", "window": 64}
    running = guarded(guardrail("both", "output", detect=[said_of, cel]))
    for stream in (False, True):
        answer = running.chat(f"write to {MAIL} or to me@example.org", stream=stream)
        assert (streamed(answer) if stream else said(answer)) == "write to EMAIL_ADDRESS@example.com or to ?"
    assert "`sql`" in running.chat("please drop the old table").json()["error"]["message"]
    stopped = running.chat("x" * 80 + " drop the table " + "y" * 80, stream=True)
    assert streamed(stopped).startswith("x" * 16)
    assert "table" not in streamed(stopped)


def test_a_list_of_words_is_in_force_as_soon_as_it_is_saved(guarded, tmp_path):
    (tmp_path / "policies").mkdir()
    words = tmp_path / "policies" / "birds.txt"
    words.write_text("falcon\n")
    running = guarded(guardrail("birds", "input", detect=[{"keywords": {"file": "birds.txt"}}]))
    assert (running.chat("a falcon").status, running.chat("a heron").status) == (400, 200)
    words.write_text("heron\n")
    deadline = time.monotonic() + 20
    while running.chat("a heron").status != 400 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (running.chat("a falcon").status, running.chat("a heron").status) == (200, 400)


def test_a_guardrail_is_tried_over_the_api(guarded):
    running = guarded(MASKS, CARDS)
    tried = running.post("/guardrails/apply_guardrail", {"guardrail_name": "mails", "text": f"to {MAIL}"})
    assert tried.json() == {"response_text": "to <EMAIL_ADDRESS>"}
    assert running.post("/guardrails/apply_guardrail", {"guardrail_name": "cards", "text": CARD}).status == 400
    assert running.post("/guardrails/apply_guardrail", {"guardrail_name": "x", "text": "y"}).status == 400
    assert running.post("/guardrails/apply_guardrail", {"guardrail_name": "mails"}).status == 400
    assert running.get("/guardrails/list", key="sk-unknown-0123456789").status == 401


def test_what_is_wrong_with_a_guardrail_keeps_a_gateway_from_starting(gateway, tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(
        yaml.safe_dump(guardrail("g", "input", detect=[{"pattern": "(?<=a)b"}]))
    )
    running = gateway(CONFIG, "--policies", str(tmp_path / "policies"))
    assert running.stop() == 2
    assert "p.yaml:3: error: g.detect[0].pattern" in running.log
    assert "RE2 has no look-around" in running.log


def answering(body: object, delay: float = 0.0):
    """Let a service answer so."""

    async def handler(exchange) -> None:
        await asyncio.sleep(delay)
        await exchange.json(body)

    return handler


SERVICE = {"type": "generic", "api_base": "http://127.0.0.1:1", "api_key": "k"}


def asking(upstream, *phases: str, **more: object) -> dict[str, object]:
    return guardrail(
        "service", *phases, detect=[{"remote": {**SERVICE, "api_base": upstream.base}}], timeout="300ms", **more
    )


@pytest.mark.parametrize("phase", ["input", "output"])
def test_a_service_is_asked(guarded, upstream, phase):
    running = guarded(asking(upstream, phase, action="mask"))
    upstream.handler = answering({"action": "NONE"})
    assert said(running.chat("hello")) == "hello"
    assert streamed(running.chat("hello", stream=True)) == "hello"
    upstream.handler = answering({"action": "BLOCKED", "blocked_reason": "not nice"})
    for stream in (False, True):
        blocked = running.chat("hello", stream=stream)
        assert (blocked.status, blocked.json()["error"]["type"]) == (400, "content_policy_violation")
        assert "not nice" in blocked.json()["error"]["message"]
    upstream.handler = answering({"action": "GUARDRAIL_INTERVENED", "texts": ["bye"]})
    assert said(running.chat("hello")) == "bye"


@pytest.mark.parametrize("how", ["slow", "dead", "nonsense", "500"])
@pytest.mark.parametrize("failure", ["Fail", "Ignore"])
def test_a_service_that_cannot_be_asked_closes_or_opens_as_it_is_written(guarded, upstream, how, failure):
    policy = asking(upstream, "input", failurePolicy=failure)
    if how == "dead":
        policy["detect"][0]["remote"]["api_base"] = "http://127.0.0.1:1"
    running = guarded(policy)

    async def broken(exchange) -> None:
        await exchange.send(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")

    upstream.handler = {"slow": answering({"action": "NONE"}, 5), "nonsense": answering([1, 2]), "500": broken}.get(
        how, broken
    )
    began = time.monotonic()
    answer = running.chat("hello")
    assert time.monotonic() - began < 3.0, "ten times its deadline"
    assert answer.status == (200 if failure == "Ignore" else 503), answer.body
    if failure == "Fail":
        assert answer.json()["error"]["type"] == "content_policy_violation"
    assert "guardrail could not be asked" in running.log
    assert "hello" not in running.log


def test_a_model_asks_for_guardrails_and_keys_may_go_without_those_for_all(guarded):
    section = f"""
  - {{api_key: {OTHER}, key_alias: free, disable_global_guardrails: true}}
guardrails:
- {{guardrail_name: mails, litellm_params: {{guardrail: litellm_content_filter, mode: pre_call, default_on: true,
    patterns: [{{pattern_type: prebuilt, pattern_name: email, action: MASK}}]}}}}
- {{guardrail_name: secrets, litellm_params: {{guardrail: hide-secrets, mode: pre_call}}}}
"""
    model = "- {model_name: quiet, litellm_params: {model: echo/echo, guardrails: [secrets]}}\n"
    law = guardrail("law", "input", detect=[{"pattern": "forbidden"}])
    running = guarded(law, config=CONFIG.replace("model_list:\n", "model_list:\n" + model) + section.lstrip("\n"))
    text = f"{MAIL} AKIAIOSFODNN7EXAMPLE"
    assert said(running.chat(text, key=KEY)) == "<EMAIL_ADDRESS> AKIAIOSFODNN7EXAMPLE"
    assert said(running.chat(text, key=OTHER)) == text
    assert said(running.chat(MAIL, key=OTHER, guardrails=["mails"])) != MAIL, "one that is named looks all the same"
    assert running.chat("forbidden", key=OTHER).status == 400, "what a policy says nobody goes without"
    assert said(running.chat("AKIAIOSFODNN7EXAMPLE", model="quiet", key=OTHER)) == "[REDACTED]"
    made = running.post("/key/generate", {"disable_global_guardrails": True}).json()["key"]
    assert said(running.chat(MAIL, key=made)) == MAIL


def test_a_model_that_asks_for_a_guardrail_that_nobody_has_is_an_error(gateway):
    running = gateway(CONFIG.replace("model: echo/echo,", "model: echo/echo, guardrails: [nix],"))
    assert running.stop() == 2
    assert "model_list[0].litellm_params.guardrails: there is no guardrail `nix`" in running.log
