"""Every way in which a LiteLLM configuration limits something is in force, in LiteLLM's words."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.running import MASTER, Gateway

ONE, OTHER = "sk-one-0123456789abcdef", "sk-other-0123456789abcdef"
PRICES = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.002}
CALL = 0.012
"""USD of one call of `ask`: four words in, four out."""


def config(model: dict[str, Any] | None = None, key: dict[str, Any] | None = None, **sections: Any) -> str:
    """Write a configuration of one model and two keys (JSON is YAML)."""
    settings = sections.pop("litellm_settings", {})
    keys = [{"api_key": ONE, "key_alias": "one", **(key or {})}, {"api_key": OTHER, "key_alias": "other"}]
    deployment = {"model_name": "echo", "litellm_params": {"model": "echo/echo", **PRICES, **(model or {})}}
    general = {"master_key": MASTER, **sections.pop("general_settings", {})}
    models = [deployment, *sections.pop("more_models", [])]
    return json.dumps(
        {
            "model_list": models,
            "general_settings": general,
            "litellm_settings": {"virtual_keys": keys, **settings},
            **sections,
        }
    )


def ask(running: Gateway, key: str = ONE, **members: Any):
    return running.chat("hello brave new world", key=key, max_tokens=4, **members)


def statuses(running: Gateway, count: int, key: str = ONE, **members: Any) -> list[int]:
    return [ask(running, key, **members).status for _ in range(count)]


@pytest.mark.parametrize(
    ("limits", "passing", "status"),
    [
        ({"model": {"rpm": 2}}, 2, 429),
        ({"model": {"tpm": 8 * 2}}, 2, 429),
        ({"model": {"max_budget": CALL * 2, "budget_duration": "1d"}}, 2, 429),
        ({"rate_limits": [{"model": "echo", "rpm": 2}]}, 2, 429),
        ({"rate_limits": {"echo": {"tpm": 16}}}, 2, 429),
        ({"router_settings": {"provider_budget_config": {"echo": {"budget_limit": CALL * 2, "time_period": "1d"}}}}, 2, 429),
        ({"litellm_settings": {"max_budget": CALL * 2, "budget_duration": "30d"}}, 2, 400),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_limits_of_all_keys_together(gateway, limits, passing, status):
    running = gateway(config(**limits))
    assert statuses(running, passing) == [200] * passing
    assert statuses(running, 2, OTHER) == [status] * 2


def test_a_deployment_that_is_used_up_leaves_its_calls_to_the_next(gateway):
    second = {"model_name": "echo", "litellm_params": {"model": "echo/second", **PRICES, "weight": 0.000001}}
    running = gateway(config({"rpm": 2, "weight": 1}, more_models=[second]))
    answers = [ask(running).json()["model"] for _ in range(5)]
    assert sorted(answers) == ["echo", "echo", "second", "second", "second"]


@pytest.mark.parametrize(
    ("limits", "who", "kind"),
    [
        ({"rpm_limit": 2}, "api_key", "requests"),
        ({"tpm_limit": 16}, "api_key", "tokens"),
        ({"model_rpm_limit": {"echo": 2}}, "model_per_key", "requests"),
        ({"model_tpm_limit": {"echo": 16}}, "model_per_key", "tokens"),
        ({"rpm": 2}, "api_key", "requests"),
        ({"metadata": {"model_rpm_limit": {"echo": 2}}}, "model_per_key", "requests"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_rates_of_a_key_in_headers_and_refusals(gateway, limits, who, kind):
    running = gateway(config(key=limits))
    limit, one = (2, 1) if kind == "requests" else (16, 8)
    for number in (1, 2):
        answer = ask(running)
        assert answer.headers[f"x-ratelimit-{who}-limit-{kind}"] == str(limit)
        assert answer.headers[f"x-ratelimit-{who}-remaining-{kind}"] == str(limit - number * one)
    refused = ask(running)
    assert (refused.status, refused.headers["rate_limit_type"]) == (429, kind)
    assert 55 <= int(refused.headers["retry-after"]) <= 60
    said = refused.json()["error"]["message"]
    found = re.match(
        rf"Rate limit exceeded for {who}: [0-9a-f]{{64}}( echo)?\. Limit type: {kind}\. Current limit: {limit}, Remaining: 0\. "
        rf"Used: {limit}, Held: 0, Needed: {one}\. Limit resets at: (\S+ \S+) UTC$",
        said,
    )
    assert found, said
    resets = datetime.strptime(found[2], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    assert 50 <= resets - time.time() <= 62
    assert refused.json()["error"]["code"] == "429"
    assert statuses(running, 1, OTHER) == [200]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"key": {"max_budget": CALL * 2}}, "Budget has been exceeded! Current cost: 0.024, Max budget: 0.024. Held: 0.0, Needed: 0.012"),
        ({"key": {"team_id": "t"}, "teams": [{"team_id": "t", "max_budget": CALL * 2, "budget_duration": "1d"}]},
         "Budget has been exceeded! Team=t Current cost: 0.024, Max budget: 0.024. Held: 0.0, Needed: 0.012, Resets at: "),
        ({"key": {"user_id": "u"}, "users": [{"user_id": "u", "max_budget": CALL * 2}]},
         "ExceededBudget: User=u over budget. Spend=0.024, Budget=0.024. "),
        ({"key": {"organization_id": "o"}, "organizations": [{"organization_id": "o", "max_budget": CALL * 2}]},
         "Budget has been exceeded! Organization=o Current cost: 0.024, Max budget: 0.024. "),
        ({"key": {"team_id": "t", "user_id": "u"}, "teams": [{"team_id": "t", "members": [{"user_id": "u", "max_budget_in_team": CALL * 2}]}]},
         "Budget has been exceeded! User=u in Team=t Current cost: 0.024, Max budget: 0.024. "),
        ({"key": {"tags": ["prod"]}, "litellm_settings": {"tag_budget_config": {"prod": {"max_budget": CALL * 2}}}},
         "Budget has been exceeded! Tag=prod Current cost: 0.024, Max budget: 0.024. "),
        ({"key": {"model_max_budget": {"echo": {"budget_limit": CALL * 2, "time_period": "1d"}}}}, "exceeded budget for model=echo. Spend=0.024"),
        ({"key": {"budget_id": "small"}, "budgets": [{"budget_id": "small", "max_budget": CALL * 2}]},
         "Budget has been exceeded! Current cost: 0.024, Max budget: 0.024. "),
    ],
    ids=["key", "team", "user", "organization", "member", "tag", "model of a key", "budget row"],
)  # fmt: skip
def test_budgets_refuse_in_litellms_words(gateway, limits, said):
    running = gateway(config(**limits))
    assert statuses(running, 2) == [200, 200]
    refused = ask(running)
    error = refused.json()["error"]
    assert (refused.status, error["type"], error["code"]) == (400, "budget_exceeded", "400")
    assert said in error["message"]
    assert ("retry-after" in refused.headers) == ("Resets at" in error["message"])
    assert statuses(running, 1, OTHER) == [200]


def test_another_status_for_budgets(gateway):
    running = gateway(config(key={"max_budget": 0}, general_settings={"budget_exceeded_status_code": 422}))
    assert ask(running).status == 422


def test_a_budget_of_nothing_refuses_the_first_call_and_models_without_a_price_pass(gateway):
    free = {"model_name": "free", "litellm_params": {"model": "echo/free"}}
    running = gateway(config(key={"max_budget": 0}, more_models=[free]))
    assert ask(running).status == 400
    assert ask(running, model="free").status == 200


@pytest.mark.parametrize(
    ("members", "headers", "user"),
    [
        ({"user": "anna"}, {}, "anna"),
        ({}, {"x-litellm-customer-id": "anna"}, "anna"),
        ({}, {"x-litellm-end-user-id": "anna"}, "anna"),
        ({"metadata": {"user_id": "anna"}}, {}, "anna"),
        ({"litellm_metadata": {"user": "anna"}}, {}, "anna"),
        ({"safety_identifier": "anna"}, {}, "anna"),
        ({}, {"x-who": "anna"}, "anna"),
    ],
)
@pytest.mark.parametrize("setting", [{"max_end_user_budget": CALL * 2}, {"max_end_user_budget_id": "each"}])
def test_end_users_have_a_budget_each_wherever_they_are_named(gateway, members, headers, user, setting):
    budgets = [{"budget_id": "each", "max_budget": CALL * 2}]
    running = gateway(
        config(litellm_settings=setting, budgets=budgets, general_settings={"user_header_name": "X-Who"})
    )  # fmt: skip
    body = {
        "model": "echo",
        "messages": [{"role": "user", "content": "hello brave new world"}],
        "max_tokens": 4,
        **members,
    }
    answers = [running.post("/v1/chat/completions", body, ONE, **headers) for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 400]
    assert f"ExceededBudget: End User={user} over budget. Spend=0.024" in answers[-1].json()["error"]["message"]
    assert ask(running, user="bert").status == 200
    assert statuses(running, 3) == [200] * 3


def test_spend_and_what_remains_stand_in_the_headers_to_the_unit(gateway):
    running = gateway(config(key={"max_budget": 1, "budget_duration": "1d", "max_parallel_requests": 7}))
    for number in (1, 2, 3):
        answer = ask(running)
        assert float(answer.headers["x-litellm-key-spend"]) == pytest.approx(CALL * number, abs=1e-12)
        assert answer.headers["x-interlock-budget-remaining"] == f"api_key={1 - CALL * number:.6f}"
        assert answer.headers["x-ratelimit-api_key-limit-max_parallel_requests"] == "7"
        assert answer.headers["x-ratelimit-api_key-remaining-max_parallel_requests"] == "7"


def test_a_key_cannot_fill_the_memory_with_end_users(gateway):
    running = gateway(config(litellm_settings={"max_end_user_budget": 1}))
    while time.time() % 60 > 40:  # all of them in one minute
        time.sleep(1)
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    asked = [running.post("/v1/chat/completions", {**body, "user": f"u{number}"}, ONE) for number in range(62)]
    assert [one.status for one in asked] == [200] * 60 + [429] * 2
    assert "more than 60 new end users in a minute" in asked[-1].json()["error"]["message"]
    assert running.post("/v1/chat/completions", {**body, "user": "u1"}, ONE).status == 200
    assert running.post("/v1/chat/completions", {**body, "user": "other"}, OTHER).status == 200
