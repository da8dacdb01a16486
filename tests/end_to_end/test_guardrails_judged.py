"""A model of the gateway's own judges what is said: its calls are held against the key of who is judged."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.end_to_end.wires import threaded
from tests.running import MASTER

KEY = "sk-judged-0123456789abcdef"
CONFIG = f"""
model_list:
- model_name: talker
  litellm_params: {{{{model: openai/talker, api_base: '{{base}}/v1', api_key: k, input_cost_per_token: 0, output_cost_per_token: 0.001}}}}
- model_name: bench
  litellm_params: {{{{model: openai/bench, api_base: '{{base}}/v1', api_key: k, input_cost_per_token: 0, output_cost_per_token: 0.01}}}}
general_settings: {{{{master_key: {MASTER}}}}}
litellm_settings:
  virtual_keys:
  - {{{{api_key: {KEY}, key_alias: judged, max_budget: 1, models: [talker]}}}}
"""
CRITERIA = [{"name": "polite", "weight": 100, "description": "is polite"}]


def judge(phase: str, **more: object) -> dict[str, object]:
    remote = {"type": "judge", "judge_model": "bench", "criteria": CRITERIA, "overall_threshold": 80, "max_tokens": 20}
    return {"kind": "Guardrail", "name": "manners", "phases": [phase], "detect": [{"remote": remote}], **more}


@pytest.fixture
def upstream():
    with threaded() as server:
        yield server


@pytest.fixture
def court(gateway, tmp_path, upstream):
    asked = []

    async def models(exchange) -> None:
        body = json.loads(exchange.body)
        asked.append(body)
        said = "hi there"
        if body["model"] == "bench":
            rude = "oaf" in exchange.body.decode()
            verdict = {"criterion_name": "polite", "reasoning": "r", "score": 10 if rude else 90}
            said = json.dumps({"verdicts": [verdict]})
        usage = {"prompt_tokens": 1, "completion_tokens": 10, "total_tokens": 11}
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        await exchange.json({"id": f"x{len(asked)}", "choices": [choice], "usage": usage})

    upstream.handler = models

    def start(policy: object):
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "p.yaml").write_text(yaml.safe_dump(policy))
        running = gateway(CONFIG.format(base=upstream.base), "--policies", str(tmp_path / "policies"))
        assert running.process.poll() is None, running.log
        return running, asked

    return start


@pytest.mark.parametrize("more", [{}, {"parallel": True}])
def test_a_judge_refuses_what_it_finds_wanting_and_is_paid_by_who_is_judged(court, more):
    running, asked = court(judge("input", **more))
    assert running.chat("hello", model="talker", key=KEY, max_tokens=20).status == 200
    assert sorted(one["model"] for one in asked) == ["bench", "talker"]
    (bench,) = (one for one in asked if one["model"] == "bench")
    assert "hello" in bench["messages"][1]["content"]
    refused = running.chat("you oaf", model="talker", key=KEY, max_tokens=20)
    assert refused.status == 400
    assert "judged 10 of 100, 80 are enough" in refused.json()["error"]["message"]
    spent = json.loads(running.get(f"/key/info?key={KEY}").body)["info"]["spend"]
    talks = 2 if more else 1
    assert spent == pytest.approx(2 * 0.1 + talks * 0.01), (
        "beside a call, the call it refuses has cost something already"
    )
    records = running.records(4)
    assert sorted(record["model"] for record in records) == ["bench", "bench", "talker", "talker"]


def test_a_judge_sees_what_is_answered_and_what_was_asked(court):
    running, asked = court(judge("output"))
    assert running.chat("say hi", model="talker", key=KEY, max_tokens=20).status == 200
    evidence = json.loads(asked[1]["messages"][1]["content"])
    assert (evidence["speaker"], evidence["texts"]) == ("a model", ["hi there"])
    assert evidence["conversation"] == [{"role": "user", "content": "say hi"}]


def test_who_cannot_pay_a_judge_does_not_pass_unjudged(court):
    running, asked = court(judge("input"))
    answers = [running.chat("hello", model="talker", key=KEY, max_tokens=20) for _ in range(10)]
    assert [one.status for one in answers[:7]] == [200] * 7
    assert answers[-1].status == 503, answers[-1].body
    assert "could not be asked" in answers[-1].json()["error"]["message"]
    assert asked[-1]["model"] == "talker", "the last who was judged passed, and nobody was asked for who could not pay"
