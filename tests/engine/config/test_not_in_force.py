"""What is accepted and does nothing yet is said."""

import pytest

from engine.config.keys import IN_FORCE, NOT_IN_FORCE, PLACES, kind_at

CASES = {
    "router_settings: {fallbacks: [{a: [b]}]}": ["router_settings.fallbacks feature"],
    "router_settings: {routing_strategy: least-busy}": ["router_settings.routing_strategy feature"],
    "router_settings: {routing_strategy: simple-shuffle, cooldown_time: 5}": ["router_settings.cooldown_time feature"],
    "guardrails: [{guardrail_name: a, litellm_params: {guardrail: aporia}}]": [
        "guardrails[0].litellm_params.guardrail guardrail"
    ],
    "users: [{user_id: a, max_budget: 1, user_email: e, sso_user_id: s}]": ["users[0].sso_user_id feature"],
    "keys: [{key: sk-a, tpm: 1, max_budget: 0, policies: [g], allowed_routes: [/x]}]": [
        "keys[0].policies guardrail",
        "keys[0].allowed_routes limit",
    ],
    "litellm_settings: {virtual_keys: [{api_key: sk-a, key_type: llm_api}], max_internal_user_budget: 1, alerting: [slack], alerting_params: {a: b}}": [
        "litellm_settings.virtual_keys[0].key_type limit",
        "litellm_settings.max_internal_user_budget limit",
        "litellm_settings.alerting feature",
        "litellm_settings.alerting_params feature",
    ],
    "proxy_settings: {teams: [{team_id: a, max_budget: 5, budget_duration: 1d, team_member_permissions: [/key/info]}]}": [
        "proxy_settings.teams[0].team_member_permissions feature",
    ],
    "general_settings: {global_max_parallel_requests: 5, database_max_idle_connection_lifetime: 5, alerting: [slack]}": [
        "general_settings.database_max_idle_connection_lifetime feature",
        "general_settings.alerting feature",
    ],
    "model_list: [{model_name: a, litellm_params: {model: a/b, rpm: 1, order: 2, weight: 1}}]": [
        "model_list[0].litellm_params.order feature",
    ],
    # switched off is nothing missing
    "litellm_settings: {cache: false, fallbacks: [], callbacks: }": [],
    "guardrails: []": [],
}


@pytest.mark.parametrize("text", CASES, ids=range(len(CASES)))
def test_what_has_no_effect_is_named(loads, text):
    loaded = loads(text)
    assert loaded.problems == ()
    assert [f"{item.field} {item.kind}" for item in loaded.not_in_force] == CASES[text]


def test_it_is_said_with_its_place(loads):
    (item,) = loads("\nrouter_settings:\n  fallbacks: [{a: [b]}]\n").not_in_force
    assert str(item) == "router_settings.fallbacks, config.yaml:3"


def test_the_table_and_the_sections_agree():
    assert not IN_FORCE & set(NOT_IN_FORCE[""])
    assert set(PLACES.values()) <= set(NOT_IN_FORCE)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (("policies", 0, "api_key"), "guardrail"),
        (("litellm_settings", "priority_reservation", "a"), "limit"),
        (("model_list", 3, "litellm_params", "api_key"), None),
        (("litellm_settings", "virtual_keys", 0, "api_key"), None),
        (("litellm_settings", "cache_params", "password"), "feature"),
    ],
)
def test_what_stands_within_a_thing_without_force_has_none(path, kind):
    assert kind_at(path) == kind
