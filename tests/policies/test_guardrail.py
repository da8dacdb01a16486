"""`Guardrail` documents: what they come to, and what is said of those that are wrong."""

from __future__ import annotations

import pickle

import pytest

from engine.config.problems import Mark
from engine.documents import load_documents
from engine.extensions import kind
from policies.guardrail import Guardrail

GOOD = {"kind": "Guardrail", "name": "g", "phases": ["input"], "detect": [{"secrets": "all"}]}


def loaded(**fields):
    document = {name: value for name, value in {**GOOD, **fields}.items() if value is not None}
    return load_documents([(document, Mark("p.yaml", 1, 1))], kind)


def test_what_is_written_is_what_is_looked_for():
    found = loaded(
        phases=["input", "output", "toolCalls"], action="mask", maskWith="***", restore=True, optional=True, message="ask",
        status=403, timeout="500ms",
        detect=[{"pii": ["EMAIL_ADDRESS"]}, {"pattern": "P-\\d+", "name": "project", "maxLength": 1000, "action": "block"}, {"keywords": ["x"], "name": "words", "maskWith": ""}],
    )  # fmt: skip
    assert found.problems == ()
    (policy,) = found.policies
    assert isinstance(policy, Guardrail)
    watch = policy.watch()
    assert watch.phases == {"input", "output", "toolCalls"}
    assert [(one.detector, one.said, one.name, one.action, one.mask_with) for one in watch.detects] == [
        ("pii", ["EMAIL_ADDRESS"], "pii", "mask", "***"),
        ("pattern", {"pattern": "P-\\d+", "name": "project", "maxLength": 1000}, "project", "block", "***"),
        ("keywords", {"words": ["x"], "name": "words"}, "words", "mask", ""),
    ]
    assert (watch.optional, watch.restore, watch.message, watch.status, watch.timeout) == (
        True,
        True,
        "ask",
        403,
        0.5,
    )
    assert pickle.loads(pickle.dumps(policy)).watch() == watch  # noqa: S301 - our own bytes


def test_without_more_it_blocks_in_every_call():
    (policy,) = loaded().policies
    watch = policy.watch()
    assert [one.action for one in watch.detects] == ["block"]
    assert (watch.optional, watch.restore, watch.status, watch.timeout) == (False, False, 400, 2.0)


def test_a_detector_says_what_takes_a_hits_place_and_how_much_of_a_stream_it_sees():
    detect = [{"pii": "all", "action": "mask", "replace": "type"}, {"language": ["en"], "window": 400}]
    (policy,) = loaded(detect=detect).policies
    assert [(one.replace, one.window) for one in policy.watch().detects] == [("type", 0), ("", 400)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"phases": None}, "needs `phases`"),
        ({"phases": ["inputs"]}, "`inputs` is no phase"),
        ({"detect": None}, "needs `detect`"),
        ({"detect": [{"secrets": "all", "pii": "all"}]}, "is one detector"),
        ({"detect": [{"action": "mask"}]}, "is one detector"),
        ({"action": "redact"}, "`redact` is not known"),
        ({"restore": True}, "means nothing where nothing is masked"),
        ({"timeout": "soon"}, "is a time such as `2s`"),
        ({"timeout": "2h"}, "is a time such as `2s`"),
        ({"timeout": 100}, "a minute at most"),
        ({"status": 200}, "must be at least 400"),
        ({"failurePolicy": "Local"}, "`Local` is not known"),
        ({"detectors": []}, "unknown field"),
        ({"detect": [{"pii": "all", "replace": "type"}]}, "is for what a detector masks here"),
        ({"detect": [{"length": {"max": 5}, "window": 5}]}, "must be at least 64"),
    ],
)
def test_what_is_wrong_is_said(fields, said):
    found = loaded(**fields)
    assert found.policies == ()
    assert any(said in problem.message for problem in found.problems), found.problems
