"""LiteLLM's generic guardrail API: who wrote what in the question, and the three answers."""

from __future__ import annotations

import re

import pytest

from adapters.remotes.generic import Generic
from engine.detecting import DetectorError, Finding, Question, Whole

PATH = "/beta/litellm_basic_guardrail_api"
NONE = {"action": "NONE", "blocked_reason": None, "texts": None, "images": None}


def detector(service, deps, **settings):
    return Generic({"api_base": service.url, **settings}, deps)


async def test_what_is_asked(service, deps):
    service.says(NONE)
    made = detector(
        service,
        deps,
        api_key="k-1",
        headers={"X-Tenant": "blue"},
        additional_provider_specific_params={"threshold": 0.8, "language": "en"},
    )
    messages = [{"role": "user", "content": "hello"}]
    metadata = {
        "user_api_key_alias": "alice",
        "user_api_key_team_id": "research",
        "litellm_call_id": "call-1",
        "extra_body": {"threshold": 0.9, "user_api_key_alias": "mallory"},
        "anything": "else",
    }
    request = {"messages": messages, "tools": [{"type": "function", "function": {"name": "f"}}]}
    question = Question("input", ["hello", ""], "gpt-4o", lambda: Whole(request, request, ()), metadata)
    assert await made.ask(question) == [Finding(), Finding()]
    assert service.asked == [
        {
            "texts": ["hello", ""],
            "images": None,
            "structured_messages": messages,
            "model": "gpt-4o",
            "input_type": "request",
            "request_data": {"user_api_key_alias": "alice", "user_api_key_team_id": "research"},
            "litellm_call_id": "call-1",
            "litellm_trace_id": None,
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "additional_provider_specific_params": {
                "threshold": 0.9,
                "language": "en",
                "user_api_key_alias": "mallory",
            },
        }
    ]
    (exchange,) = service.exchanges
    assert exchange.line == f"POST {PATH} HTTP/1.1"
    assert (exchange.header("x-api-key"), exchange.header("x-tenant")) == ("k-1", "blue")


@pytest.mark.parametrize(
    ("phase", "kind"),
    [("input", "request"), ("toolResults", "request"), ("output", "response"), ("toolCalls", "response")],
)
async def test_phases_are_requests_or_responses(service, deps, phase, kind):
    service.says(NONE)
    await detector(service, deps).ask(Question(phase, ["x"]))
    assert service.asked[0]["input_type"] == kind


async def test_blocked_refuses_every_text_with_the_reason(service, deps):
    service.says({"action": "BLOCKED", "blocked_reason": "prohibited terms"}, {"action": "BLOCKED"})
    made = detector(service, deps)
    assert await made.ask(Question("input", ["a", "b"])) == [Finding(refused="prohibited terms")] * 2
    assert await made.ask(Question("input", ["a"])) == [Finding(refused="content violates policy")]


async def test_intervened_puts_texts_in_the_place_of_those_that_changed(service, deps):
    service.says({"action": "GUARDRAIL_INTERVENED", "texts": ["a", ""]})
    assert await detector(service, deps).ask(Question("output", ["a", "secret"])) == [
        Finding(),
        Finding(replacement=""),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "GUARDRAIL_INTERVENED"},
        {"action": "GUARDRAIL_INTERVENED", "texts": ["a"]},
        {"action": "GUARDRAIL_INTERVENED", "texts": ["a", "b", "c"]},
        {"action": "GUARDRAIL_INTERVENED", "texts": ["a", None]},
        {"action": "none"},
        {"action": None},
        {"texts": ["a", "b"]},
        {},
        "NONE",
    ],
)
async def test_an_answer_that_is_none_is_an_error(service, deps, wrong):
    service.says(wrong)
    with pytest.raises(DetectorError, match=r"`generic` (did not answer|intervened)"):
        await detector(service, deps).ask(Question("input", ["a", "b"]))


async def test_no_texts_are_no_question(service, deps):
    assert await detector(service, deps).ask(Question("input", [])) == ()
    assert service.exchanges == []


async def test_the_address_may_be_the_endpoint_itself_and_come_from_the_environment(service, deps):
    service.says(NONE)
    for base in (f"{service.url}/guard/", f"{service.url}/guard{PATH}"):
        await Generic({}, deps._replace(environ={"GENERIC_GUARDRAIL_API_BASE": base})).ask(Question("input", ["x"]))
        assert service.exchanges[-1].line == f"POST /guard{PATH} HTTP/1.1"


async def test_what_json_cannot_say_is_not_asked(service, deps):
    made = detector(service, deps)
    for question in (Question("input", ["\ud800"]), Question("input", ["x"], metadata={"user_api_key_x": object()})):
        with pytest.raises(DetectorError, match="the question cannot be written as JSON"):
            await made.ask(question)
    assert service.exchanges == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_base": None}, "api_base: set it, or GENERIC_GUARDRAIL_API_BASE in the environment"),
        ({"headers": {"x": ["y"]}}, "headers.x: write a text, not a list"),
        ({"headers": {"x y": "z"}}, "headers: `x y` or its value holds characters that no header can"),
        ({"headers": {"x": "a\nb"}}, "headers: `x` or its value holds characters that no header can"),
        ({"additional_provider_specific_params": "x"}, "additional_provider_specific_params: write names with a value"),
        ({"api_bas": "x"}, "api_bas: unknown; did you mean `api_base`?"),
    ],
)
def test_settings_that_are_wrong_are_named(deps, settings, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        Generic({"api_base": "http://localhost", **settings}, deps)
