"""Whatever a service answers, a detector returns findings that hold or raises DetectorError, and nothing else."""

from __future__ import annotations

import copy
import random

import pytest

from engine.detecting import DetectorError, Question
from engine.extensions import Extensions
from tests.adapters.remotes.cases import CASES, KEY, TEXTS

ROUNDS = 300
STRANGE = [None, True, False, 0, 1, -1, 7, 2**70, 0.5, 1e308, "", "x", TEXTS[0], KEY, [], {}, [[]], [{}], {"x": {}}]
HATE = {"flagged": True, "categories": {"hate": True}, "category_scores": {"hate": 0.9}}
CLEAN = {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.1}}
SPAN = {"start": 13, "end": 19}
MATCHED = {"executionState": "EXECUTION_SUCCESS", "matchState": "MATCH_FOUND"}
MASKED = {**MATCHED, "data": {"text": "my secret is ***"}, "infoTypes": ["BIRD"]}
FOUND = {
    "azure_content_safety": {
        "blocklistsMatch": [{"blocklistName": "birds", "blocklistItemId": "i", "blocklistItemText": "plover"}],
        "categoriesAnalysis": [
            {"category": name, "severity": at} for at, name in enumerate(("Hate", "Sexual", "SelfHarm", "Violence"))
        ],
    },
    "azure_prompt_shield": {
        "userPromptAnalysis": {"attackDetected": True},
        "documentsAnalysis": [{"attackDetected": True}],
    },
    "bedrock": {
        "action": "GUARDRAIL_INTERVENED",
        "outputs": [{"text": "my secret is {BIRD}"}, {"text": TEXTS[1]}],
        "assessments": [
            {
                "sensitiveInformationPolicy": {
                    "piiEntities": [{"type": "BIRD", "match": "plover", "action": "ANONYMIZED"}]
                }
            }
        ],
    },
    "generic": {"action": "GUARDRAIL_INTERVENED", "blocked_reason": "no", "texts": ["my secret is ***", TEXTS[1]]},
    "lakera": {
        "flagged": True,
        "breakdown": [
            {"detector_type": "pii/bird", "detected": True, "message_id": 0},
            {"detector_type": "prompt_attack", "detected": True, "message_id": 1},
        ],
        "payload": [{**SPAN, "text": "plover", "detector_type": "pii/bird", "labels": [], "message_id": 0}],
    },
    "model_armor": {
        "sanitizationResult": {
            "filterMatchState": "MATCH_FOUND",
            "invocationResult": "SUCCESS",
            "filterResults": {"sdp": {"sdpFilterResult": {"deidentifyResult": MASKED}}},
        }
    },
    "openai_moderation": {"results": [HATE, CLEAN]},
    "presidio": [{**SPAN, "entity_type": "BIRD", "score": 0.8, "analysis_explanation": None}],
}
"""For each detector an answer that finds something in the first text."""


def places(node, path=()):
    """List the path of everything within a JSON value, itself first."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(answer, chance):
    """Put something strange in one place of an answer, or leave that place out, or say it twice."""
    answer = copy.deepcopy(answer)
    *path, last = chance.choice([path for path in places(answer) if path] or [(0,)])
    node = answer
    for key in path:
        node = node[key]
    kind = chance.random()
    if kind < 0.2:
        del node[last]
    elif kind < 0.3 and isinstance(node, list):
        node.append(node[last])
    else:
        node[last] = chance.choice(STRANGE)
    return answer


def holds(findings, texts):
    assert len(findings) == len(texts)
    for text, finding in zip(texts, findings, strict=True):
        for hit in finding.hits:
            assert 0 <= hit.start < hit.end <= len(text)
            assert isinstance(hit.type, str)
            assert 0 <= hit.score <= 1
        assert finding.replacement is None or isinstance(finding.replacement, str)
        assert isinstance(finding.refused, str)


@pytest.mark.parametrize("name", sorted(CASES))
async def test_whatever_a_service_answers(service, deps, name):
    detector = Extensions(deps).remote_detector(name, CASES[name].at(service.url))
    phase = "toolResults" if name == "azure_prompt_shield" else "input"
    service.says(FOUND[name])
    findings = await detector.ask(Question(phase, TEXTS))
    assert findings[0].hits or findings[0].replacement or findings[0].refused
    chance, said = random.Random(name), list[str]()
    for _ in range(ROUNDS):
        body = changed(FOUND[name], chance)
        if chance.random() < 0.3 and body:
            body = changed(body, chance)
        service.says(body)
        texts = TEXTS if chance.random() < 0.5 else TEXTS[:1]
        try:
            holds(await detector.ask(Question(phase, texts)), texts)
        except DetectorError as error:
            said.append(str(error))
    assert not [one for one in said for word in (KEY, *TEXTS, "plover") if word in one]
    # Both outcomes are seen: neither does everything pass, nor nothing.
    assert ROUNDS * 0.05 < len(said) < ROUNDS
