"""A trial is a call as the gateway carries it, to an upstream that says what it is told."""

from __future__ import annotations

import json

import pytest

from engine.authoring.stage import StageError
from engine.authoring.trial import Asked, tried
from engine.authoring.upstream import SAID, Canned
from tests.engine.authoring.staging import CONFIG, NOON, asks, stage_of

RULES = """
kind: ModelAccess
name: p
rules:
  - {name: short, deny: 'llm.params.?max_tokens.orValue(0) > 9', message: too long}
  - {name: monday, require: now.getDayOfWeek() == 1}
"""


def test_what_passes_is_sent_and_answered(tmp_path):
    trial = asks(stage_of(tmp_path, RULES), max_tokens=9)
    assert (trial.status, trial.refused, trial.message) == (200, False, "")
    assert trial.sent == {"model": "a", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    assert json.loads(trial.body)["choices"][0]["message"]["content"] == SAID
    assert trial.headers["x-litellm-model-id"] == "one"


def test_what_is_refused_reaches_nobody(tmp_path):
    trial = asks(stage_of(tmp_path, RULES), max_tokens=10)
    assert (trial.status, trial.refused, trial.message, trial.sent) == (403, True, "too long", None)
    assert trial.headers["x-interlock-rule"] == "p/short"
    assert trial.decision.determining == ["p/short"]


def test_every_trial_is_as_if_it_were_the_first(tmp_path):
    stage = stage_of(tmp_path, RULES)
    told = [asks(stage, max_tokens=number).status for number in (1, 1, 1, 10, 1)]
    assert told == [200, 200, 200, 403, 200]


@pytest.mark.parametrize(
    ("target", "members"),
    [
        ("/v1/chat/completions", {"stream": True}),
        ("/v1/completions", {"prompt": "hi"}),
        ("/v1/completions", {"prompt": "hi", "stream": True}),
        ("/v1/embeddings", {"input": "hi"}),
        ("/v1/responses", {"input": "hi"}),
        ("/v1/responses", {"input": "hi", "stream": True}),
    ],
)
def test_every_route_is_answered_in_its_shape_with_usage(tmp_path, target, members):
    trial = asks(stage_of(tmp_path), target=target, **members)
    assert trial.status == 200, trial.body
    assert trial.call.usage.input == 10
    assert trial.body.startswith((b"data:", b"event:") if members.get("stream") else b"{")


def test_an_upstream_says_what_it_is_told(tmp_path):
    stage = stage_of(tmp_path)
    body = json.dumps({"model": "a"}).encode()
    headers = {"authorization": f"Bearer {stage.key('app')}"}
    canned = Canned(429, {"retry-after": "7"}, {"error": {"message": "slow down"}})
    trial = tried(stage, Asked("/v1/chat/completions", headers, body, NOON, upstream=canned))
    assert (trial.status, trial.headers["retry-after"], trial.refused) == (429, "7", False)
    assert json.loads(trial.body)["error"]["message"] == "slow down"


def test_nothing_is_called_and_no_secret_needed(tmp_path):
    stage = stage_of(tmp_path)
    assert stage.made_up == ("UNSET_KEY", "UNSET_MASTER")
    assert asks(stage, "narrow", model="b").status == 200


def test_only_what_is_needed_is_made_up(tmp_path):
    text = CONFIG.replace(
        "model: echo/a}", "model: echo/a, rpm: os.environ/UNSET_RPM, api_base: os.environ/UNSET_BASE}"
    )
    stage = stage_of(tmp_path, config=text)
    assert stage.made_up == ("UNSET_BASE", "UNSET_KEY", "UNSET_MASTER")
    assert {deployment.params.rpm for deployment in stage.spec.deployments} == {None}


def test_a_key_that_may_not_is_refused_as_ever(tmp_path):
    trial = asks(stage_of(tmp_path), "narrow")
    assert (trial.status, trial.error.type) == (403, "key_model_access_denied")
    assert trial.headers["x-interlock-rule"] == "key-models/models"


def test_an_unknown_key_and_a_path_that_is_none(tmp_path):
    stage = stage_of(tmp_path)
    assert tried(stage, Asked("/v1/chat/completions", {}, b"{}", NOON)).status == 401
    assert tried(stage, Asked("/v2/nothing", {}, b"{}", NOON)).call is None


def test_a_caller_made_up_has_what_its_team_gives(tmp_path):
    stage = stage_of(tmp_path)
    key, caller = stage.caller({"key_alias": "x", "team_id": "web", "metadata": {"plan": "free"}})
    assert (caller.alias, dict(caller.metadata)) == ("x", {"tier": "gold", "plan": "free"})
    body = json.dumps({"model": "a"}).encode()
    asked = Asked("/v1/chat/completions", {"authorization": f"Bearer {key}"}, body, NOON, caller=caller)
    assert tried(stage, asked).call.caller is caller


def test_without_a_configuration_every_model_answers(tmp_path):
    stage = stage_of(tmp_path, RULES, config=None)
    assert asks(stage, "master key", model="anything").status == 200


def test_a_configuration_with_errors_is_not_staged(tmp_path):
    with pytest.raises(StageError) as found:
        stage_of(tmp_path, "kind: Nothing\nname: x\n")
    assert "unknown kind `Nothing`" in str(found.value)
    assert str(found.value).startswith(str(tmp_path / "policies" / "p0.yaml:1"))
