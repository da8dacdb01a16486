"""OpenAI's moderation: every text has a result, and thresholds decide where there are any."""

from __future__ import annotations

import re

import pytest

from adapters.remotes.openai_moderation import OpenAIModeration
from engine.detecting import DetectorError, Finding, Hit, Question


def result(flagged=False, **scores):
    scores = {"hate": 0.01, "self-harm/intent": 0.002, **scores}
    return {
        "flagged": flagged,
        "categories": {name: score >= 0.5 for name, score in scores.items()},
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in scores},
    }


def answer(*results):
    return {"id": "modr-1", "model": "omni-moderation-latest", "results": list(results)}


def detector(service, deps, **settings):
    return OpenAIModeration({"api_base": f"{service.url}/v1", "api_key": "sk-mod-1", **settings}, deps)


async def test_all_texts_are_one_question(service, deps):
    service.says(answer(result(), result(True, violence=0.9, hate=0.6), result()))
    findings = await detector(service, deps).ask(Question("input", ["kind", "", "cruel", "kind too"]))
    hits = [Hit(0, 5, "hate", 0.6), Hit(0, 5, "violence", 0.9)]
    assert findings == [Finding([]), Finding(), Finding(hits, refused="flagged as hate, violence"), Finding([])]
    assert service.asked == [{"model": "omni-moderation-latest", "input": ["kind", "cruel", "kind too"]}]
    (exchange,) = service.exchanges
    assert exchange.line == "POST /v1/moderations HTTP/1.1"
    assert exchange.header("authorization") == "Bearer sk-mod-1"


async def test_blank_texts_alone_are_not_asked_for(service, deps):
    assert await detector(service, deps).ask(Question("input", ["", " "])) == [Finding(), Finding()]
    assert service.exchanges == []


@pytest.mark.parametrize(
    ("thresholds", "refused"),
    [
        ({}, "flagged as violence"),
        ({"violence": 0.9}, "flagged as violence"),
        ({"violence": 0.91}, ""),
        ({"violence": 0.95, "hate": 0.01}, "flagged as hate"),
        ({"hate": 0}, "flagged as hate, violence"),
    ],
)
async def test_a_threshold_decides_on_its_category_alone(service, deps, thresholds, refused):
    service.says(answer(result(True, violence=0.9)))
    (finding,) = await detector(service, deps, category_thresholds=thresholds).ask(Question("output", ["cruel"]))
    assert finding.refused == refused


async def test_a_flag_without_a_category_is_still_a_flag(service, deps):
    service.says(answer(result(True)))
    (finding,) = await detector(service, deps).ask(Question("input", ["odd"]))
    assert finding.refused == "flagged"


async def test_a_threshold_for_a_category_that_is_not_scored_is_an_error(service, deps):
    service.says(answer(result()))
    with pytest.raises(DetectorError, match="no score for `hatred`"):
        await detector(service, deps, category_thresholds={"hatred": 0.5}).ask(Question("input", ["x"]))


@pytest.mark.parametrize(
    "wrong",
    [
        answer(),
        answer(result()),
        answer(result(), result(), result()),
        answer(result(), {"flagged": False}),
        answer(result(), {**result(), "flagged": "no"}),
        answer(result(), result(hate=2.0)),
        {"error": {"message": "x"}},
        [],
    ],
)
async def test_an_answer_that_is_none_is_an_error(service, deps, wrong):
    service.says(wrong)
    with pytest.raises(DetectorError, match=r"`openai_moderation` (did not answer as it should|answered . results)"):
        await detector(service, deps).ask(Question("input", ["one", "two"]))


async def test_the_environments_key_goes_to_its_own_address_only(service, deps):
    service.says(answer(result()))
    environ = {"OPENAI_API_KEY": "sk-environment"}
    for settings, more, sent in [
        ({"api_base": service.url}, {}, None),
        ({"api_base": service.url}, {"OPENAI_API_BASE": f"{service.url}/v1"}, "Bearer sk-environment"),
        ({}, {"OPENAI_API_BASE": f"{service.url}/v1"}, "Bearer sk-environment"),
    ]:
        made = OpenAIModeration(settings, deps._replace(environ={**environ, **more}))
        await made.ask(Question("input", ["one"]))
        assert service.exchanges[-1].header("authorization") == sent


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "api_key: set it, or OPENAI_API_KEY in the environment"),
        ({"api_key": "sk-secret\r\nx: y"}, "api_key: it holds characters that no header can"),
        ({"api_key": ["sk-secret"]}, "api_key: write a text, not a list"),
        ({"api_key": "k", "api_base": "ftp://secret"}, "api_base: `ftp://secret` is not an http or https address"),
        ({"api_key": "k", "category_thresholds": {"hate": True}}, "category_thresholds.hate: write a number"),
        ({"api_key": "k", "modle": "x"}, "modle: unknown; did you mean `model`?"),
    ],
)
def test_settings_that_are_wrong_are_named(deps, settings, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}") as error:
        OpenAIModeration(settings, deps)
    assert "sk-secret" not in str(error.value)
