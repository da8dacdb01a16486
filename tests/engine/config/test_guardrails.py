"""LiteLLM's `guardrails:` section as the policies that it means."""

from __future__ import annotations

import pytest

from engine.config.guardrails import NotOursError, document, legacy
from engine.config.problems import Mark
from engine.documents import load_documents
from engine.extensions import kind


def made(name="g", **params):
    written = document({"guardrail_name": name, "litellm_params": params})
    found = load_documents([(written, Mark("config.yaml", 1, 1))], kind)
    assert found.problems == (), found.problems
    return found.policies[0].watch()


def test_a_content_filter():
    watch = made(
        guardrail="litellm_content_filter", mode="pre_call", default_on=True,
        patterns=[
            {"pattern_type": "prebuilt", "pattern_name": "us_ssn", "action": "BLOCK"},
            {"pattern_type": "prebuilt", "pattern_name": "email", "action": "MASK"},
            {"pattern_type": "regex", "pattern": "P-\\d{6}", "name": "project", "action": "MASK"},
        ],
        blocked_words=[{"keyword": "falcon", "action": "BLOCK"}, {"keyword": "eagle", "action": "MASK"}, {"keyword": "hawk"}],
        categories=[{"category": "harmful_self_harm", "enabled": True, "action": "BLOCK"}, {"category": "bias_gender", "enabled": False}],
    )  # fmt: skip
    assert not watch.optional
    assert watch.status == 403
    assert watch.phases == {"input", "toolCalls", "toolResults"}
    assert [(one.detector, one.action) for one in watch.detects] == [
        ("pii", "block"), ("pii", "mask"), ("pattern", "mask"), ("keywords", "block"), ("keywords", "mask"), ("categories", "block"),
    ]  # fmt: skip
    assert watch.detects[3].said == ["falcon", "hawk"]


@pytest.mark.parametrize(
    ("mode", "phases"),
    [
        ("pre_call", {"input", "toolCalls", "toolResults"}),
        ("post_call", {"output", "toolCalls"}),
        (["pre_call", "post_call"], {"input", "output", "toolCalls", "toolResults"}),
        ({"tags": {"a": "post_call"}, "default": "pre_call"}, {"input", "output", "toolCalls", "toolResults"}),
        (None, {"input", "toolCalls", "toolResults"}),
    ],
)
def test_when_it_looks(mode, phases):
    watch = made(guardrail="hide-secrets", mode=mode)
    assert watch.phases == phases
    assert watch.optional, "without `default_on` it looks where it is named"
    assert [(one.detector, one.said, one.action) for one in watch.detects] == [("secrets", "all", "mask")]


def test_a_service_is_asked_with_its_own_settings():
    watch = made(
        guardrail="presidio", mode="pre_call", presidio_analyzer_api_base="http://127.0.0.1:5002", output_parse_pii=True,
        pii_entities_config={"PERSON": "MASK"},
    )  # fmt: skip
    (one,) = watch.detects
    assert one.detector == "remote"
    assert one.said == {
        "type": "presidio", "presidio_analyzer_api_base": "http://127.0.0.1:5002", "output_parse_pii": True,
        "pii_entities_config": {"PERSON": "MASK"},
    }  # fmt: skip
    assert (watch.restore, one.action) == (True, "mask")


def test_prompt_injection():
    assert [one.detector for one in made(guardrail="detect_prompt_injection", mode="pre_call").detects] == [
        "promptInjection"
    ]


def test_what_is_not_to_be_had_says_what_is():
    with pytest.raises(NotOursError, match=r"`aporia` is not to be had here; there are .*presidio"):
        document({"guardrail_name": "a", "litellm_params": {"guardrail": "aporia", "mode": "pre_call"}})
    with pytest.raises(ValueError, match="mode `sometimes` is not known"):
        document({"guardrail_name": "a", "litellm_params": {"guardrail": "hide-secrets", "mode": "sometimes"}})
    with pytest.raises(ValueError, match="needs `patterns`"):
        document({"guardrail_name": "a", "litellm_params": {"guardrail": "litellm_content_filter", "mode": "pre_call"}})


@pytest.mark.parametrize(
    "params",
    [
        {"guardrail": "hide-secrets", "mode": "logging_only"},
        {"guardrail": "presidio", "mode": "pre_call", "logging_only": True, "output_parse_pii": True},
        {
            "guardrail": "litellm_content_filter",
            "mode": ["logging_only"],
            "blocked_words": [{"keyword": "x", "action": "MASK"}],
        },
    ],
)
def test_what_is_only_for_the_log_changes_nothing(params):
    watch = made(**params)
    assert watch.phases == {"input", "output", "toolCalls", "toolResults"}
    assert (watch.observes, watch.restore) == (True, False)


def test_during_the_call_a_service_is_asked_beside_it_and_can_only_block():
    watch = made(guardrail="presidio", mode="during_call", output_parse_pii=True)
    assert (watch.parallel, watch.restore, watch.phases) == (True, False, {"input", "toolCalls", "toolResults"})
    assert [one.action for one in watch.detects] == ["block"]
    assert not made(guardrail="hide-secrets", mode="during_call").parallel, "what needs nobody is done before"


def test_callbacks_that_are_guardrails_look_at_every_call():
    documents = list(legacy(["prometheus", "detect_prompt_injection", "hide_secrets"]))
    assert [(one["name"], one["optional"]) for one in documents] == [
        ("detect_prompt_injection", False), ("hide_secrets", False),
    ]  # fmt: skip
    assert list(legacy(None)) == []
