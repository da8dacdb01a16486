"""LiteLLM's `guardrails:` section as the policies that it means."""

from __future__ import annotations

import pytest

from adapters.detectors.secrets import Secrets
from engine.config.guardrails import NotOursError, document, legacy
from engine.config.problems import Mark
from engine.documents import load_documents
from engine.extensions import kind
from engine.sources import Sources, compile_sources


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


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 30.0), (5, 5.0), (0.25, 0.25), (0, 30.0), (600, 30.0), (True, 30.0), ("5", 30.0)]
)
def test_a_class_of_ones_own_is_asked_with_its_own_settings(timeout, seconds):
    watch = made(
        guardrail="custom_guardrail.MyGuard", mode="pre_call", default_on=True, word="owl", timeout=timeout,
        **{"type": "x", "class": "other.Class"},
    )  # fmt: skip
    (one,) = watch.detects
    assert one.said == {
        "type": "custom", "class": "custom_guardrail.MyGuard", "guardrail_name": "g", "mode": "pre_call", "default_on": True,
        "word": "owl", "timeout": timeout,
    }  # fmt: skip
    assert (watch.timeout, one.action, watch.phases) == (seconds, "mask", {"input", "toolCalls", "toolResults"})


@pytest.mark.parametrize(
    "kind", ["aporia", "a/b.C", "s3://bucket/mine.Guard", "mine.", ".Guard", "mine.7", "", "mine Guard"]
)
def test_what_is_no_class_is_no_guardrail(kind):
    with pytest.raises(NotOursError, match="is not to be had here"):
        document({"guardrail_name": "a", "litellm_params": {"guardrail": kind, "mode": "pre_call"}})


def test_a_file_of_a_class_is_one_of_the_configuration(tmp_path):
    section = """
guardrails:
- {guardrail_name: a, litellm_params: {guardrail: mine.A, mode: pre_call}}
- {guardrail_name: b, litellm_params: {guardrail: mine.B, mode: post_call}}
- {guardrail_name: c, litellm_params: {guardrail: guards.deep.C, mode: pre_call}}
- {guardrail_name: d, litellm_params: {guardrail: any.D, mode: pre_call, file: other.py}}
- {guardrail_name: e, litellm_params: {guardrail: hide-secrets, mode: pre_call}}
"""
    policy = "{kind: Guardrail, name: p, phases: [input], detect: [{remote: {type: custom, class: theirs.P}}, {secrets: all}]}"
    path = tmp_path / "config.yaml"
    path.write_text(section)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(policy)
    found = compile_sources(Sources(path, tmp_path / "policies"), {}, kind)
    assert found.loaded.not_in_force == found.problems == ()
    names = ("config.yaml", "theirs.py", "mine.py", "guards/deep.py", "other.py")
    assert found.loaded.spec.files == tuple(str(tmp_path / name) for name in names)
    alone = compile_sources(Sources(None, tmp_path / "policies"), {}, kind)
    assert alone.loaded.spec.files == ()


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


@pytest.mark.parametrize("name", ["aws_access_key", "aws_secret_key", "github_token", "slack_token", "generic_api_key"])
def test_keys_that_the_content_filter_knows_are_known_here(name):
    pattern = {"pattern_type": "prebuilt", "pattern_name": name, "action": "MASK"}
    (one,) = made(guardrail="litellm_content_filter", mode="pre_call", patterns=[pattern]).detects
    assert set(Secrets(one.said).types) == {family.upper() for family in one.said}
