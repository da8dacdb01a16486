"""Guardrails of one's own at work in a gateway: a Python file beside the configuration, as LiteLLM's documentation writes it."""

from __future__ import annotations

import concurrent.futures
import json
import time

import openai
import pytest

from tests.running import MASTER

HEAD = """
import asyncio
import time
import litellm
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.proxy._types import UserAPIKeyAuth
from litellm.caching.caching import DualCache
from fastapi import HTTPException
"""
FILE = f'''{HEAD}
class Hides(CustomGuardrail):
    """Masks a word, for those who ask."""

    def __init__(self, word="falcon", **kwargs):
        self.word = word
        super().__init__(**kwargs)

    async def async_pre_call_hook(self, user_api_key_dict: UserAPIKeyAuth, cache: DualCache, data: dict, call_type):
        params = self.get_guardrail_dynamic_request_body_params(request_data=data)
        word = params.get("word", self.word)
        for message in data["messages"]:
            if isinstance(message["content"], str):
                message["content"] = message["content"].replace(word, "<bird>")
        return data


class Refuses(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        if any("forbidden" in str(message["content"]) for message in data["messages"]):
            raise ValueError("this word is forbidden")


class Judges(CustomGuardrail):
    async def async_moderation_hook(self, data, user_api_key_dict, call_type):
        if any("nasty" in str(message["content"]) for message in data["messages"]):
            raise HTTPException(status_code=400, detail={{"error": "not nice"}})


class Answers(CustomGuardrail):
    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        if isinstance(response, litellm.ModelResponse):
            for choice in response.choices:
                if isinstance(choice, litellm.Choices) and choice.message.content:
                    if "coffee" in choice.message.content:
                        raise ValueError("coffee was served")
                    choice.message.content = choice.message.content.replace("cocoa", "tea")


class Sleeps(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        await asyncio.sleep(30)


class Blocks(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        time.sleep(1)
'''
CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo, echo_chunk_chars: 3}}}}
general_settings: {{master_key: {MASTER}}}
guardrails:
- {{guardrail_name: hides, litellm_params: {{guardrail: mine.Hides, mode: pre_call, default_on: true}}}}
- {{guardrail_name: refuses, litellm_params: {{guardrail: mine.Refuses, mode: pre_call, default_on: true}}}}
- {{guardrail_name: judges, litellm_params: {{guardrail: mine.Judges, mode: during_call, default_on: true}}}}
- {{guardrail_name: answers, litellm_params: {{guardrail: mine.Answers, mode: post_call, default_on: true}}}}
"""
SLOW = f"""{CONFIG.partition("guardrails:")[0]}
guardrails:
- {{guardrail_name: sleeps, litellm_params: {{guardrail: mine.Sleeps, mode: pre_call, timeout: 0.2}}}}
- {{guardrail_name: blocks, litellm_params: {{guardrail: mine.Blocks, mode: pre_call}}}}
"""


@pytest.fixture
def beside(gateway, tmp_path):
    """Start a gateway with files beside its configuration."""

    def start(config=CONFIG, *options, files=None, environ=None):
        folder = tmp_path / "conf"
        for name, text in {"config.yaml": config, **(files or {"mine.py": FILE})}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return gateway(None, "--config", str(folder / "config.yaml"), *options, environ=environ)

    return start


def said(answer):
    assert answer.status == 200, answer.body
    return answer.json()["choices"][0]["message"]["content"]


def streamed(answer):
    frames = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for frame in frames for choice in frame["choices"])


def refused(answer, message, status=400):
    assert (answer.status, answer.json()["error"]["type"]) == (status, "content_policy_violation"), answer.body
    return message in answer.json()["error"]["message"]


def test_classes_written_for_litellm_run_as_they_are(beside):
    running = beside()
    assert said(running.chat("the falcon flies")) == "the <bird> flies"
    assert refused(running.chat("a forbidden word"), "this word is forbidden")
    assert refused(running.chat("a nasty word"), "not nice")
    assert refused(running.chat("have some coffee"), "coffee was served")
    assert said(running.chat("have some cocoa")) == "have some tea"
    assert streamed(running.chat("the falcon flies", stream=True)) == "the <bird> flies"
    stopped = running.chat("have some coffee", stream=True)
    assert stopped.status == 400 or "coffee" not in streamed(stopped)
    swapped = running.chat("owl and falcon", guardrails=[{"hides": {"extra_body": {"word": "owl"}}}])
    assert said(swapped) == "<bird> and falcon"
    tried = running.post("/guardrails/apply_guardrail", {"guardrail_name": "hides", "text": "a falcon"})
    assert tried.json() == {"response_text": "a <bird>"}
    assert not [word for word in ("flies", "nasty", "cocoa") if word in running.log]


def test_a_hook_that_takes_too_long_is_given_up_and_one_that_blocks_holds_up_nobody_else(beside):
    running = beside(SLOW)
    began = time.monotonic()
    assert refused(running.chat("hello", guardrails=["sleeps"]), "could not be asked", 503)
    assert time.monotonic() - began < 2.0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(running.chat, "hello", guardrails=["blocks"])
        time.sleep(0.1)
        others = 0
        while not blocked.done():
            began = time.monotonic()
            assert said(running.chat("hello")) == "hello"
            assert time.monotonic() - began < 0.5
            others += 1
        assert said(blocked.result()) == "hello"
        assert others > 5


def test_the_official_client_is_told_why(beside):
    running = beside()
    with openai.OpenAI(api_key=MASTER, base_url=f"{running.url}/v1", max_retries=0) as client:
        messages = [{"role": "user", "content": "a falcon"}]
        answer = client.chat.completions.create(model="echo", messages=messages)
        assert answer.choices[0].message.content == "a <bird>"
        with pytest.raises(openai.BadRequestError, match="this word is forbidden"):
            client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "forbidden"}])


def test_a_file_that_cannot_be_run_keeps_a_gateway_from_starting(beside):
    running = beside(
        files={"mine.py": FILE.replace("class Refuses(CustomGuardrail):", "class Refuses(CustomGuardrail:")}
    )
    assert running.stop() == 2
    line = FILE[: FILE.index("class Refuses")].count("\n") + 1
    assert f"mine.py:{line}: SyntaxError" in running.log
    assert "config.yaml:6: error: hides.detect[0].remote" in running.log


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_file_that_changes_is_loaded_anew_and_one_that_is_wrong_leaves_what_was(beside, tmp_path):
    running = beside()
    path = tmp_path / "conf" / "mine.py"

    def write(text):
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    write(FILE.replace("<bird>", "<fowl>"))
    until(lambda: said(running.chat("the falcon")) == "the <fowl>")
    write(FILE.replace("import litellm\n", "import litellm\nfrom litellm import no_such_thing\n", 1))
    until(lambda: "reload refused" in running.log)
    assert "this gateway has no litellm.no_such_thing" in running.log
    assert said(running.chat("the falcon")) == "the <fowl>"


POLICY = """
kind: Guardrail
name: hides
phases: [input]
detect: [{remote: {type: custom, class: guards.mine.Hides, word: os.environ/WORD}}]
action: mask
---
kind: Guardrail
name: judges
phases: [input]
detect: [{remote: {type: custom, class: guards.mine.Judges}}]
parallel: true
"""


def test_a_policy_asks_a_class_too(beside, tmp_path):
    files = {"guards/mine.py": FILE, "policies/p.yaml": POLICY}
    options = ("--policies", str(tmp_path / "conf" / "policies"))
    running = beside(CONFIG.partition("guardrails:")[0], *options, files=files, environ={"WORD": "owl"})
    assert said(running.chat("owl and falcon")) == "<bird> and falcon"
    assert said(running.chat("owl", guardrails=[{"hides": {"extra_body": {"word": "x"}}}])) == "owl"
    assert refused(running.chat("a nasty word"), "not nice"), "what is asked beside the call stops its answer"
    (tmp_path / "conf" / "guards" / "mine.py").write_text(FILE.replace("<bird>", "<fowl>"))
    until(lambda: said(running.chat("owl")) == "<fowl>")
