"""Presidio's analyzer: what it is asked, and what its spans are worth."""

from __future__ import annotations

import json
import re

import pytest

from adapters.remotes.presidio import Presidio
from engine.detecting import DetectorError, Hit, Question

TEXT = "I am Zoë Müller 😀, zoe@example.org"
MAIL = {"entity_type": "EMAIL_ADDRESS", "start": 19, "end": 34, "score": 1.0, "analysis_explanation": None}
NAME = {"entity_type": "PERSON", "start": 5, "end": 15, "score": 0.85, "analysis_explanation": None}


def detector(service, deps, **settings):
    return Presidio({"presidio_analyzer_api_base": service.url, **settings}, deps)


def asking(*texts, **metadata):
    return Question("input", texts, metadata=metadata)


async def test_spans_count_characters_not_bytes(service, deps):
    service.says([MAIL, NAME])
    (finding,) = await detector(service, deps).ask(asking(TEXT))
    assert finding.hits == [Hit(5, 15, "PERSON", 0.85), Hit(19, 34, "EMAIL_ADDRESS", 1.0)]
    assert [TEXT[hit.start : hit.end] for hit in finding.hits] == ["Zoë Müller", "zoe@example.org"]
    assert (finding.replacement, finding.refused) == (None, "")
    assert service.exchanges[0].line == "POST /analyze HTTP/1.1"
    assert service.asked == [{"text": TEXT, "language": "en"}]


async def test_each_text_is_a_question_and_blank_ones_are_none(service, deps):
    service.says([])
    texts = ["one", "", " \n", "two", *(f"text {number}" for number in range(20))]
    findings = await detector(service, deps).ask(asking(*texts))
    assert [finding.hits for finding in findings] == [[] if text.strip() else () for text in texts]
    assert sorted(asked["text"] for asked in service.asked) == sorted(text for text in texts if text.strip())


async def test_entities_of_the_configuration_are_asked_for_and_blocked_ones_refuse(service, deps):
    service.says([MAIL, NAME])
    made = detector(service, deps, pii_entities_config={"PERSON": "MASK", "EMAIL_ADDRESS": "block"})
    (finding,) = await made.ask(asking(TEXT))
    assert service.asked[0]["entities"] == ["PERSON", "EMAIL_ADDRESS"]
    assert finding.refused == "blocked entity detected: EMAIL_ADDRESS"
    assert [hit.type for hit in finding.hits] == ["PERSON", "EMAIL_ADDRESS"]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"presidio_score_thresholds": {"PERSON": 0.85}}, ["PERSON", "EMAIL_ADDRESS"]),
        ({"presidio_score_thresholds": {"PERSON": 0.9}}, ["EMAIL_ADDRESS"]),
        ({"presidio_score_thresholds": {"ALL": 0.9}}, ["EMAIL_ADDRESS"]),
        ({"presidio_score_thresholds": {"ALL": 0.9, "PERSON": 0.5}}, ["PERSON", "EMAIL_ADDRESS"]),
        ({"presidio_entities_deny_list": ["EMAIL_ADDRESS"]}, ["PERSON"]),
        ({"presidio_entities_deny_list": ["EMAIL_ADDRESS"], "pii_entities_config": {"EMAIL_ADDRESS": "BLOCK"}}, ["PERSON"]),
    ],
)  # fmt: skip
async def test_thresholds_and_the_deny_list_drop_what_was_found(service, deps, settings, found):
    service.says([MAIL, NAME])
    (finding,) = await detector(service, deps, **settings).ask(asking(TEXT))
    assert [hit.type for hit in finding.hits] == found
    assert finding.refused == ""


async def test_ad_hoc_recognizers_come_from_a_file_or_the_settings(service, deps, tmp_path):
    recognizers = [{"name": "Badge", "supported_language": "en", "supported_entity": "BADGE", "deny_list": ["B-1"]}]
    (tmp_path / "recognizers.json").write_text(json.dumps(recognizers))
    service.says([])
    for written in (recognizers, str(tmp_path / "recognizers.json")):
        await detector(service, deps, presidio_ad_hoc_recognizers=written).ask(asking("B-1"))
        assert service.asked[-1]["ad_hoc_recognizers"] == recognizers


async def test_a_client_chooses_the_language_and_nothing_else(service, deps):
    service.says([])
    made = detector(service, deps, presidio_language="fr", pii_entities_config={"PERSON": "BLOCK"})
    await made.ask(asking("Guten Tag", guardrail_config={"language": "de", "entities": []}))
    await made.ask(asking("Bonjour", guardrail_config={"language": "x" * 99}))
    assert [(asked["language"], asked["entities"]) for asked in service.asked] == [
        ("de", ["PERSON"]),
        ("fr", ["PERSON"]),
    ]


async def test_a_long_text_is_several_questions_and_a_hit_at_a_seam_is_one(service, deps):
    async def finds(exchange):
        text = json.loads(exchange.body)["text"]
        place = text.find("zoe@example.org")
        await exchange.json([{**MAIL, "start": place, "end": place + 15}] if place >= 0 else [])

    service.upstream.handler = finds
    made = detector(service, deps, presidio_analyze_chunk_size_bytes=6 * 1_000)
    for place in (0, 490, 499, 500, 501, 985, 986, 2_985):
        text = f"{'ü' * place}zoe@example.org".ljust(3_000, "字")
        (finding,) = await made.ask(asking(text))
        assert finding.hits == [Hit(place, place + 15, "EMAIL_ADDRESS")]
    assert max(len(exchange.body) for exchange in service.exchanges) <= 6_000 + 100
    assert {len(asked["text"]) for asked in service.asked} == {1_000}


@pytest.mark.parametrize(
    "wrong",
    [
        {"error": "No text provided"},
        [{**MAIL, "end": 99}],
        [{**MAIL, "start": -1}],
        [{**MAIL, "start": 34}],
        [{**MAIL, "start": "19"}],
        [{**MAIL, "score": 1.5}],
        [{**MAIL, "entity_type": None}],
        [{"entity_type": "PERSON"}],
        None,
    ],
)
async def test_an_answer_that_is_none_is_an_error(service, deps, wrong):
    service.says(wrong)
    with pytest.raises(DetectorError, match=r"`presidio` did not answer as it should"):
        await detector(service, deps).ask(asking(TEXT))


async def test_one_text_that_fails_fails_all_of_them(service, deps):
    service.says([], {"error": "x"}, [])
    with pytest.raises(DetectorError):
        await detector(service, deps).ask(asking("one", "two", "three"))


async def test_the_address_comes_from_the_environment_too_and_needs_no_scheme(service, deps):
    service.says([])
    bare = service.url.removeprefix("http://")
    made = Presidio({}, deps._replace(environ={"PRESIDIO_ANALYZER_API_BASE": bare}))
    await made.ask(asking("one"))
    await detector(service, deps, presidio_analyzer_api_base=f"{bare}/below/").ask(asking("two"))
    assert [exchange.line for exchange in service.exchanges] == [
        "POST /analyze HTTP/1.1",
        "POST /below/analyze HTTP/1.1",
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"presidio_analyzer_api_base": None}, "presidio_analyzer_api_base: set it, or PRESIDIO_ANALYZER_API_BASE"),
        ({"presidio_analyzer_api_base": "http://"}, "presidio_analyzer_api_base: "),
        ({"presidio_analyzer_api_base": 7}, "presidio_analyzer_api_base: "),
        ({"pii_entities_config": ["PERSON"]}, "pii_entities_config: write names with a value each, not a list"),
        ({"pii_entities_config": {"PERSON": "HIDE"}}, "pii_entities_config.PERSON: write MASK or BLOCK"),
        ({"presidio_score_thresholds": {"PERSON": 7}}, "presidio_score_thresholds.PERSON: write a number from 0 to 1"),
        ({"presidio_score_thresholds": {"PERSON": "0.7"}}, "presidio_score_thresholds.PERSON: write a number, not a text"),
        ({"presidio_entities_deny_list": "PERSON"}, "presidio_entities_deny_list: write a list of texts, not a text"),
        ({"presidio_ad_hoc_recognizers": "/nowhere"}, "presidio_ad_hoc_recognizers: cannot read `/nowhere`"),
        ({"presidio_analyze_chunk_size_bytes": 100}, "presidio_analyze_chunk_size_bytes: write at least 6000"),
        ({"presidio_ad_hoc_recognizers": [1]}, "presidio_ad_hoc_recognizers: write a list of recognizers"),
        ({"presidio_score_threshold": 1}, "presidio_score_threshold: unknown; did you mean `presidio_score_thresholds`?"),
    ],
)  # fmt: skip
def test_settings_that_are_wrong_are_named(deps, settings, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        Presidio({"presidio_analyzer_api_base": "http://localhost:5002", **settings}, deps)
