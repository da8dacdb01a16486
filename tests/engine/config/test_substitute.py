"""Values taken from the environment."""

import os

import pytest


def params(text):
    return f"model_list: [{{model_name: a, litellm_params: {{model: echo/a, {text}}}}}]\n"


def test_a_whole_value_and_a_part_of_one_come_from_the_environment(loads):
    text = params('api_key: os.environ/KEY, rpm: os.environ/RPM, extra_headers: {A: "Bearer os.environ/KEY!"}')
    loaded = loads(text, {"KEY": "secret", "RPM": "5"})
    found = loaded.spec.deployments[0].params
    assert (found.api_key, found.rpm, found.extra_headers) == ("secret", 5, {"A": "Bearer secret!"})


def test_declared_variables_serve_references_and_leave_the_process_alone(loads):
    before = dict(os.environ)
    loaded = loads(
        "environment_variables: {A: os.environ/B, C: os.environ/A, PORT: 4000, ON: true, RATE: 1.50}\n"
        + params("api_key: os.environ/C"),
        {"B": "deep", "A": "outer"},
    )
    assert loaded.problems == ()
    assert loaded.spec.environment == {"A": "deep", "C": "deep", "PORT": "4000", "ON": "true", "RATE": "1.50"}
    assert loaded.spec.deployments[0].params.api_key == "deep"
    assert dict(os.environ) == before


def test_references_are_replaced_everywhere(loads):
    text = """
model_list: [{model_name: os.environ/X, litellm_params: {model: echo/a, extra_body: {a: [os.environ/X]}}, model_info: {note: os.environ/X}}]
general_settings: {data_dir: os.environ/X}
litellm_settings: {virtual_keys: [{api_key: sk-os.environ/X, metadata: {x: os.environ/X}}]}
router_settings: {model_group_alias: {b: os.environ/X}}
teams: [{team_id: os.environ/X}]
"""
    spec = loads(text, {"X": "here"}).spec
    assert spec.deployments[0].model_name == "here"
    assert spec.deployments[0].params.defaults == {"extra_body": {"a": ["here"]}}
    assert spec.deployments[0].info.extra == {"note": "here"}
    assert spec.general.data_dir == "here"
    assert (spec.keys[0].key, spec.keys[0].metadata) == ("sk-here", {"x": "here"})
    assert spec.router.model_group_alias == {"b": "here"}
    assert spec.teams[0].team_id == "here"


ERRORS = {
    params("api_key: os.environ/NO"): "model_list[0].litellm_params.api_key",
    params("base_url: os.environ/NO"): "model_list[0].litellm_params.base_url",
    params("api_base: 'http://os.environ/NO/v1'"): "model_list[0].litellm_params.api_base",
    params("organization: 'org-os.environ/NO'"): "model_list[0].litellm_params.organization",
    params("extra_headers: {X: os.environ/NO}"): "model_list[0].litellm_params.extra_headers.X",
    "general_settings: {master_key: os.environ/NO}": "general_settings.master_key",
    "keys: [{api_key: os.environ/NO}]": "keys[0].api_key",
}


@pytest.mark.parametrize("text", ERRORS)
def test_a_missing_variable_that_matters_is_one_error(says, text):
    assert says(text) == [
        f"config.yaml:1: error: {ERRORS[text]}: environment variable `NO` is not set: set it, or remove this line"
    ]


WARNINGS = {
    params("organization: os.environ/NO"): "model_list[0].litellm_params.organization",
    params("tags: os.environ/NO"): "model_list[0].litellm_params.tags",
    "mcp_servers: {a: {api_key: os.environ/NO}}": "mcp_servers.a.api_key",
    "general_settings: {alert_to_webhook_url: 'https://os.environ/NO'}": "general_settings.alert_to_webhook_url",
    "environment_variables: {A: os.environ/NO}": "environment_variables.A",
}


@pytest.mark.parametrize("text", WARNINGS)
def test_a_missing_variable_elsewhere_is_a_warning_and_null(loads, text):
    loaded = loads(text)
    assert [str(problem) for problem in loaded.problems] == [
        (
            f"config.yaml:1: warning: {WARNINGS[text]}: environment variable `NO` is not set, null is used: "
            "set it, or remove this line"
        )
    ]
    assert loaded.spec is not None


def test_wrong_declarations_are_errors(says):
    assert says("environment_variables: {A: [1]}") == [
        "config.yaml:1: error: environment_variables.A: expected text, found a list"
    ]
    assert says("environment_variables: 3") == [
        "config.yaml:1: error: environment_variables: expected a mapping, found a number"
    ]


def test_no_message_shows_a_value_of_the_environment(says):
    text = params(
        "rpm: os.environ/S, timeout: os.environ/S, mode: os.environ/S, model_info: {max_tokens: os.environ/S}"
    )
    text += "router_settings: {routing_strategy: os.environ/S}\nkeys: [{api_key: sk-a, role: os.environ/S, expires: os.environ/S}]\n"
    problems = says(text, {"S": "hunter2hunter2"})
    assert len(problems) == 6
    assert not any("hunter2" in problem for problem in problems)
