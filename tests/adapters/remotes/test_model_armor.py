"""Model Armor: which method is asked, what matches, what was de-identified, and filters that did not run."""

from __future__ import annotations

import os
import re

import pytest

from adapters.remotes.model_armor import ModelArmor
from engine.detecting import DetectorError, Finding, Question
from tests.adapters.remotes.cases import ARMOR, KEY

RAN = {"executionState": "EXECUTION_SUCCESS", "matchState": "NO_MATCH_FOUND"}
MATCHED = {**RAN, "matchState": "MATCH_FOUND"}
TEMPLATE = "/v1/projects/acme/locations/us-central1/templates/strict"


def answer(state="NO_MATCH_FOUND", invocation="SUCCESS", metadata=None, **filters):
    results = {
        "csam": {"csamFilterFilterResult": RAN},
        "malicious_uris": {"maliciousUriFilterResult": RAN},
        "rai": {"raiFilterResult": {**RAN, "raiFilterTypeResults": {"dangerous": {"matchState": "NO_MATCH_FOUND"}}}},
        "pi_and_jailbreak": {"piAndJailbreakFilterResult": RAN},
        "sdp": {"sdpFilterResult": {"inspectResult": RAN}},
        **filters,
    }
    result = {"filterMatchState": state, "invocationResult": invocation, "filterResults": results}
    return {"sanitizationResult": result if metadata is None else {**result, "sanitizationMetadata": metadata}}


def masked(text):
    changed = {**MATCHED, "data": {"text": text}, "transformedBytes": "11", "infoTypes": ["EMAIL_ADDRESS"]}
    return {"sdpFilterResult": {"deidentifyResult": changed}}


DANGEROUS = {
    "raiFilterResult": {
        **MATCHED,
        "raiFilterTypeResults": {
            "dangerous": {"confidenceLevel": "HIGH", "matchState": "MATCH_FOUND"},
            "harassment": {"matchState": "NO_MATCH_FOUND"},
        },
    }
}


def detector(service, deps, **settings):
    return ModelArmor({**ARMOR, "api_endpoint": service.url, **settings}, deps)


async def finding(service, deps, body, text="mail a@b.c"):
    service.says(body)
    (found,) = await detector(service, deps).ask(Question("input", [text]))
    return found


@pytest.mark.parametrize(
    ("phase", "method", "member"),
    [
        ("input", "sanitizeUserPrompt", "userPromptData"),
        ("toolResults", "sanitizeUserPrompt", "userPromptData"),
        ("output", "sanitizeModelResponse", "modelResponseData"),
        ("toolCalls", "sanitizeModelResponse", "modelResponseData"),
    ],
)
async def test_what_is_asked(service, deps, phase, method, member):
    service.says(answer())
    assert await detector(service, deps).ask(Question(phase, ["hello", ""])) == [Finding(), Finding()]
    assert service.asked == [{member: {"text": "hello"}}]
    (exchange,) = service.exchanges
    assert exchange.line == f"POST {TEMPLATE}:{method} HTTP/1.1"
    assert exchange.header("authorization") == f"Bearer {KEY}"


async def test_what_matches_refuses_by_name(service, deps):
    found = await finding(service, deps, answer("MATCH_FOUND", rai=DANGEROUS, sdp=masked("mail x")))
    assert found == Finding(refused="matches rai (dangerous)")
    found = await finding(service, deps, answer("MATCH_FOUND", sdp={"sdpFilterResult": {"inspectResult": MATCHED}}))
    assert found.refused == "matches sdp"
    found = await finding(
        service, deps, answer("MATCH_FOUND", csam={"csamFilterFilterResult": MATCHED}, tomorrow={"x": MATCHED})
    )
    assert found.refused == "matches csam, tomorrow"


async def test_a_match_that_no_filter_owns_up_to_refuses(service, deps):
    assert (await finding(service, deps, answer("MATCH_FOUND"))).refused == "matches a filter"


async def test_a_text_that_was_de_identified_has_that_in_its_place(service, deps):
    assert await finding(service, deps, answer("MATCH_FOUND", sdp=masked("mail [EMAIL]"))) == Finding(
        replacement="mail [EMAIL]"
    )
    assert await finding(service, deps, answer("MATCH_FOUND", sdp=masked("mail a@b.c"))) == Finding()


@pytest.mark.parametrize("invocation", ["PARTIAL", "FAILURE", "INVOCATION_RESULT_UNSPECIFIED"])
async def test_filters_that_did_not_run_are_an_error_unless_something_matched(service, deps, invocation):
    for body in (answer(invocation=invocation), answer("MATCH_FOUND", invocation, sdp=masked("mail x"))):
        with pytest.raises(DetectorError, match="`model_armor` did not run every filter"):
            await finding(service, deps, body)
    assert (await finding(service, deps, answer("MATCH_FOUND", invocation, rai=DANGEROUS))).refused


async def test_a_template_may_ignore_filters_that_did_not_run_but_not_all_of_them(service, deps):
    metadata = {"ignorePartialInvocationFailures": True}
    assert await finding(service, deps, answer(invocation="PARTIAL", metadata=metadata)) == Finding()
    with pytest.raises(DetectorError, match="did not run every filter"):
        await finding(service, deps, answer(invocation="FAILURE", metadata=metadata))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"sanitizationResult": None},
        {"sanitizationResult": {"filterMatchState": "NO_MATCH_FOUND"}},
        {"sanitizationResult": {"invocationResult": "SUCCESS"}},
        answer("FILTER_MATCH_STATE_UNSPECIFIED"),
        answer(rai=7),
        answer("MATCH_FOUND", sdp={"sdpFilterResult": {"deidentifyResult": {**MATCHED, "data": {"text": None}}}}),
    ],
)
async def test_an_answer_that_is_none_is_an_error(service, deps, wrong):
    with pytest.raises(DetectorError, match="`model_armor` did not answer"):
        await finding(service, deps, wrong)


async def test_a_token_in_a_file_is_read_again_when_it_was_renewed(service, deps, tmp_path):
    path = tmp_path / "token"
    service.says(answer())
    made = detector(service, deps, access_token=None, access_token_file=str(path))
    with pytest.raises(DetectorError, match="was not asked: cannot read"):
        await made.ask(Question("input", ["x"]))
    for age, (written, sent) in enumerate([("ya29.one\n", "ya29.one"), ("ya29.two", "ya29.two")]):
        path.write_text(written)
        os.utime(path, ns=(age, age + 1))
        await made.ask(Question("input", ["x"]))
        assert service.exchanges[-1].header("authorization") == f"Bearer {sent}"
    path.write_text("not a token\r\nx: y")
    with pytest.raises(DetectorError, match="holds no access token") as error:
        await made.ask(Question("input", ["x"]))
    assert "not a token" not in str(error.value)


async def test_the_environments_token_goes_to_its_own_address_only(deps):
    environ = deps._replace(environ={"GOOGLE_OAUTH_ACCESS_TOKEN": "ya29.x", "GOOGLE_CLOUD_PROJECT": "acme"})
    ModelArmor({"template_id": "strict"}, environ)
    with pytest.raises(ValueError, match="access_token: set it"):
        ModelArmor({"template_id": "strict", "api_endpoint": "https://elsewhere.example"}, environ)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"template_id": None}, "template_id: set it"),
        ({"template_id": "a/b"}, "template_id: `a/b` is none"),
        ({"project_id": None}, "project_id: set it, or GOOGLE_CLOUD_PROJECT"),
        ({"location": "evil.example/x"}, "location: `evil.example/x` is none"),
        ({"access_token": None}, "access_token: set it, or `access_token_file`"),
        ({"credentials": "{}"}, "credentials: service accounts are not read here"),
        ({"templateid": "x"}, "templateid: unknown; did you mean `template_id`?"),
    ],
)
def test_settings_that_are_wrong_are_named(deps, settings, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        ModelArmor({**ARMOR, **settings}, deps)
