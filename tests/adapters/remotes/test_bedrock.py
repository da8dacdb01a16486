"""Bedrock's guardrails: the request is signed as it is sent, masks come back text by text, a block refuses all."""

from __future__ import annotations

import re

import pytest

from adapters.remotes.bedrock import Bedrock
from engine.detecting import DetectorError, Finding, Question
from engine.signing import Request, Scope, signed
from tests.adapters.remotes.cases import AWS, KEY

ARN = "arn:aws:bedrock:us-east-1:123456789012:guardrail/ff6ujrregl1q"
NONE = {"action": "NONE", "outputs": [], "assessments": [{}], "usage": {"topicPolicyUnits": 1}}


class Noon:
    """A clock that stands."""

    def time(self) -> float:
        return 1_440_938_160.5

    def monotonic(self) -> float:
        return 0.0


def intervened(*outputs, **policies):
    return {
        "action": "GUARDRAIL_INTERVENED",
        "outputs": [{"text": text} for text in outputs],
        "assessments": [policies, {"invocationMetrics": {"guardrailProcessingLatency": 120, "usage": {}}}],
    }


MASKED = {"sensitiveInformationPolicy": {"piiEntities": [{"type": "EMAIL", "match": "a@b.c", "action": "ANONYMIZED"}]}}


def detector(service, deps, **settings):
    written = {**AWS, "aws_bedrock_runtime_endpoint": service.url, **settings}
    return Bedrock(written, deps._replace(clock=Noon()))


async def answers(service, deps, body, *texts):
    service.says(body)
    return await detector(service, deps).ask(Question("input", texts))


@pytest.mark.parametrize(
    ("phase", "source"),
    [("input", "INPUT"), ("toolResults", "INPUT"), ("output", "OUTPUT"), ("toolCalls", "OUTPUT")],
)
async def test_what_is_asked(service, deps, phase, source):
    service.says(NONE)
    findings = await detector(service, deps).ask(Question(phase, ["one", "", "two"]))
    assert findings == [Finding()] * 3
    assert service.asked == [{"source": source, "content": [{"text": {"text": "one"}}, {"text": {"text": "two"}}]}]
    assert service.exchanges[0].line == "POST /guardrail/ff6ujrregl1q/version/DRAFT/apply HTTP/1.1"


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("ff6ujrregl1q", "/guardrail/ff6ujrregl1q/version/DRAFT/apply"),
        (ARN, f"/guardrail/{ARN.replace(':', '%3A').replace('/', '%2F')}/version/DRAFT/apply"),
    ],
)
async def test_the_signature_is_of_what_was_sent(service, deps, identifier, path):
    service.says(NONE)
    await detector(service, deps, guardrailIdentifier=identifier, aws_session_token="session-1").ask(
        Question("input", ["Zoë"])
    )
    (exchange,) = service.exchanges
    scope = Scope("AKIDEXAMPLE", KEY, "us-east-1", "bedrock", "session-1")
    request = Request("POST", exchange.header("host"), exchange.line.split()[1], "", exchange.body)
    assert request.path == path
    for name, value in signed(scope, request, Noon().time()).items():
        assert exchange.header(name) == value


async def test_masked_texts_are_put_in_the_place_of_those_that_changed(service, deps):
    findings = await answers(service, deps, intervened("hi", "mail {EMAIL}", **MASKED), "hi", " ", "mail a@b.c")
    assert findings == [Finding(), Finding(), Finding(replacement="mail {EMAIL}")]


async def test_what_blocks_refuses_every_text_and_no_word_of_it_is_said(service, deps):
    body = intervened(
        "Sorry, the model cannot answer this.",
        topicPolicy={"topics": [{"name": "Coffee", "type": "DENY", "action": "BLOCKED"}]},
        contentPolicy={
            "filters": [
                {"type": "HATE", "confidence": "HIGH", "action": "BLOCKED"},
                {"type": "INSULTS", "confidence": "LOW", "action": "NONE"},
            ]
        },
        wordPolicy={"customWords": [{"match": "plover", "action": "BLOCKED"}], "managedWordLists": []},
        **MASKED,
    )
    reason = "blocked by contentPolicy (HATE), topicPolicy (Coffee), wordPolicy"
    assert await answers(service, deps, body, "one", "two") == [Finding(refused=reason)] * 2


async def test_an_intervention_without_outputs_refuses(service, deps):
    assert await answers(service, deps, intervened(), "one") == [Finding(refused="blocked by the guardrail")]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"action": "none"},
        {"action": None},
        intervened("one", **MASKED),
        intervened("one", "two", "three", **MASKED),
        {"action": "GUARDRAIL_INTERVENED", "outputs": [{}, {}]},
        {"action": "GUARDRAIL_INTERVENED", "outputs": ["one", "two"]},
        {"action": "NONE", "assessments": {}},
    ],
)
async def test_an_answer_that_is_none_is_an_error(service, deps, wrong):
    with pytest.raises(DetectorError, match=r"`bedrock` (did not answer|answered . outputs)"):
        await answers(service, deps, wrong, "one", "two")


async def test_a_bedrock_key_goes_instead_of_a_signature(service, deps):
    service.says(NONE)
    await detector(service, deps, api_key="bedrock-key").ask(Question("input", ["x"]))
    (exchange,) = service.exchanges
    assert exchange.header("authorization") == "Bearer bedrock-key"
    assert exchange.header("x-amz-date") is None


async def test_everything_may_come_from_the_environment(service, deps):
    service.says(NONE)
    environ = {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIDENVIRON",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_BEDROCK_RUNTIME_ENDPOINT": service.url,
    }
    settings = {"guardrailIdentifier": "abc", "guardrailVersion": 1}
    await Bedrock(settings, deps._replace(environ=environ)).ask(Question("input", ["x"]))
    (exchange,) = service.exchanges
    assert exchange.line.startswith("POST /guardrail/abc/version/1/apply")
    assert "Credential=AKIDENVIRON/" in exchange.header("authorization")
    assert "/eu-central-1/bedrock/aws4_request" in exchange.header("authorization")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"guardrailIdentifier": None}, "guardrailIdentifier: set it"),
        ({"guardrailIdentifier": "../x"}, "guardrailIdentifier: `../x` is none"),
        ({"guardrailVersion": None}, "guardrailVersion: set it"),
        ({"guardrailVersion": "0"}, "guardrailVersion: `0` is none"),
        ({"aws_region_name": None}, "aws_region_name: set it, or AWS_REGION_NAME or AWS_REGION or AWS_DEFAULT_REGION"),
        ({"aws_region_name": "evil.example/"}, "aws_region_name: `evil.example/` is none"),
        ({"aws_access_key_id": None}, "aws_access_key_id: set it, or AWS_ACCESS_KEY_ID"),
        ({"aws_secret_access_key": None}, "aws_secret_access_key: set it, or AWS_SECRET_ACCESS_KEY"),
        ({"aws_role_name": "r"}, "aws_role_name: roles are not assumed here"),
        ({"guardrailIdentifer": "x"}, "guardrailIdentifer: unknown; did you mean `guardrailIdentifier`?"),
    ],
)
def test_settings_that_are_wrong_are_named(deps, settings, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        Bedrock({**AWS, **settings}, deps)
