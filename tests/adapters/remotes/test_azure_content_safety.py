"""Azure's text analysis: severities against thresholds, and blocklists."""

from __future__ import annotations

import re

import pytest

from adapters.remotes.azure_content_safety import MOST, AzureContentSafety
from engine.detecting import DetectorError, Finding, Hit, Question


def answer(blocked=(), **severities):
    severities = {"Hate": 0, "SelfHarm": 0, "Sexual": 0, "Violence": 0, **severities}
    return {
        "blocklistsMatch": [
            {"blocklistName": name, "blocklistItemId": "i", "blocklistItemText": "plover"} for name in blocked
        ],
        "categoriesAnalysis": [{"category": name, "severity": value} for name, value in severities.items()],
    }


def detector(service, deps, **settings):
    return AzureContentSafety({"api_base": service.url, "api_key": "az-1", **settings}, deps)


async def test_what_is_asked_and_what_severity_is_worth(service, deps):
    service.says(answer(Violence=4, Hate=2))
    assert await detector(service, deps).ask(Question("input", ["cruel", ""])) == [
        Finding([Hit(0, 5, "Hate", 2 / 7), Hit(0, 5, "Violence", 4 / 7)], refused="flagged as Hate, Violence"),
        Finding(),
    ]
    assert service.asked == [
        {
            "text": "cruel",
            "categories": ["Hate", "Sexual", "SelfHarm", "Violence"],
            "blocklistNames": [],
            "haltOnBlocklistHit": False,
            "outputType": "FourSeverityLevels",
        }
    ]
    (exchange,) = service.exchanges
    assert exchange.line == "POST /contentsafety/text:analyze?api-version=2024-09-01 HTTP/1.1"
    assert exchange.header("ocp-apim-subscription-key") == "az-1"


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, "flagged as Hate, Violence"),
        ({"severity_threshold": 4}, "flagged as Violence"),
        ({"severity_threshold": 6}, ""),
        ({"severity_threshold_by_category": {"Hate": 2}}, "flagged as Hate"),
        ({"severity_threshold_by_category": {"Hate": 4}}, ""),
        ({"severity_threshold": 4, "severity_threshold_by_category": {"Hate": 2}}, "flagged as Hate, Violence"),
        ({"severity_threshold": 2, "severity_threshold_by_category": {"Hate": 6}}, "flagged as Hate, Violence"),
    ],
)
async def test_the_lower_threshold_decides(service, deps, settings, refused):
    service.says(answer(Violence=4, Hate=2))
    (finding,) = await detector(service, deps, **settings).ask(Question("output", ["cruel"]))
    assert finding.refused == refused


async def test_a_blocklist_refuses_and_what_it_matched_stays_unsaid(service, deps):
    service.says({**answer(blocked=["birds"]), "categoriesAnalysis": []})
    made = detector(service, deps, blocklistNames=["birds"], haltOnBlocklistHit=True)
    (finding,) = await made.ask(Question("input", ["a plover"]))
    assert finding == Finding([Hit(0, 8, "blocklist birds", 1.0)], refused="flagged as blocklist birds")
    assert (service.asked[0]["blocklistNames"], service.asked[0]["haltOnBlocklistHit"]) == (["birds"], True)


async def test_the_worst_piece_of_a_long_text_decides(service, deps):
    service.says(answer(), answer(Hate=6), answer(Hate=2, Violence=2))
    text = "a" * (2 * MOST)
    (finding,) = await detector(service, deps).ask(Question("input", [text]))
    assert finding.hits == [Hit(0, len(text), "Hate", 6 / 7), Hit(0, len(text), "Violence", 2 / 7)]
    assert len(service.asked) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"categoriesAnalysis": []},
        {"categoriesAnalysis": [{"category": "Hate", "severity": 0}]},
        {"categoriesAnalysis": None},
        answer(Hate=None),
        answer(Hate=8),
        answer(Hate=-1),
        answer(Hate="2"),
        {**answer(), "blocklistsMatch": [{}]},
    ],
)
async def test_an_answer_that_is_none_is_an_error(service, deps, wrong):
    service.says(wrong)
    with pytest.raises(DetectorError, match="`azure_content_safety` did not answer as it should"):
        await detector(service, deps).ask(Question("input", ["x"]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_base": None}, "api_base: set it, or AZURE_GUARDRAIL_API_BASE"),
        ({"api_key": None}, "api_key: set it, or AZURE_GUARDRAIL_API_KEY"),
        ({"categories": ["Hatred"]}, "categories: `Hatred` is none of Hate, Sexual, SelfHarm, Violence"),
        ({"severity_threshold": 8}, "severity_threshold: write a number from 0 to 7"),
        ({"severity_threshold_by_category": {"hate": 2}}, "severity_threshold_by_category.hate: it is not among"),
        ({"outputType": "Two"}, "outputType: write FourSeverityLevels or EightSeverityLevels"),
        ({"haltOnBlocklistHit": "yes"}, "haltOnBlocklistHit: write true or false, not a text"),
        ({"severity": 2}, "severity: unknown; did you mean `severity_threshold`?"),
    ],
)
def test_settings_that_are_wrong_are_named(deps, settings, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        AzureContentSafety({"api_base": "https://n", "api_key": "k", **settings}, deps)
