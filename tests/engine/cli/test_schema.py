"""The JSON Schema of config.yaml against the forms that people write."""

import json
import re

import pytest
from click.testing import CliRunner

from engine.cli.schema import command, config_schema
from engine.config.keys import NOT_IN_FORCE
from engine.config.yaml import parse

SCHEMA = config_schema()

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def valid(value, schema):
    """Whether a value fits, by the words of JSON Schema that this schema uses."""
    known = {"type", "anyOf", "oneOf", "allOf", "$ref", "properties", "items", "required", "additionalProperties"}
    known |= {"minimum", "minLength", "pattern", "enum", "patternProperties", "description", "default", "title"}
    assert set(schema) <= known | {"$schema", "$defs"}, schema
    return all(
        (
            "$ref" not in schema or valid(value, pointed(schema["$ref"])),
            "type" not in schema or any(is_a(value, name) for name in listed(schema["type"])),
            "anyOf" not in schema or any(valid(value, option) for option in schema["anyOf"]),
            "oneOf" not in schema or sum(valid(value, option) for option in schema["oneOf"]) == 1,
            all(valid(value, part) for part in schema.get("allOf", ())),
            "enum" not in schema or value in schema["enum"],
            not isinstance(value, (int, float)) or value >= schema.get("minimum", value),
            not isinstance(value, str) or len(value) >= schema.get("minLength", 0),
            not isinstance(value, str) or re.search(schema.get("pattern", ""), value) is not None,
            not isinstance(value, list) or all(valid(item, schema.get("items", {})) for item in value),
            not isinstance(value, dict) or fits(value, schema),
        )
    )


def fits(value, schema):
    rest = schema.get("additionalProperties", True)
    parts = schema.get("properties", {})
    return all(name in value for name in schema.get("required", ())) and all(
        valid(item, parts[name]) if name in parts else (rest is True or (rest is not False and valid(item, rest)))
        for name, item in value.items()
    )


def listed(types):
    return [types] if isinstance(types, str) else types


def is_a(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def pointed(reference):
    place = SCHEMA
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


TUTORIALS = [
    "",
    """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/x, api_base: "https://x", api_key: os.environ/K, rpm: os.environ/RPM, tpm: 5, mode: chat}
    model_info: {id: one, access_groups: [a], description: d, input_cost_per_token: 1.5e-7}
  - {model_name: "*", litellm_params: {model: "*", base_url: x, temperature: 0.5, access_groups: [b], vertex_project: p}}
  - {model_name: q, litellm_params: {model: a/b, extra_body: {x: 1}, tags: [a], drop_params: true, model_info: {mode: chat}}}
""",
    """
litellm_settings:
  virtual_keys: [{api_key: sk-a, tpm: 1, rpm: 2, max_parallel_requests: 3}]
  alerting: ["slack"]
  alerting_params: {slack_webhook_url: os.environ/S}
  success_callback: ["langfuse"]
proxy_settings: {teams: [{team_id: a, max_budget: 100, budget_duration: 30d}]}
rate_limits: [{model: a, rpm: 3}]
""",
    """
rate_limits: {gpt-4o: {rpm: 3, tpm: 5}}
general_settings: {master_key: sk-1234, database_url: os.environ/D, max_request_size_mb: 8}
router_settings: {routing_strategy: simple-shuffle, model_group_alias: {a: b, c: {model: d, hidden: true}}, num_retries: 2}
environment_variables: {A: b}
include: [a.yaml]
keys: [{key: sk-a, tags: {a: b}, expires: 2030-01-01}]
guardrails: [{guardrail_name: a}]
""",
    "model_list:\ngeneral_settings:\nlitellm_settings: ~\n",
]


@pytest.mark.parametrize("text", TUTORIALS, ids=range(len(TUTORIALS)))
def test_the_forms_that_people_write_are_valid(text):
    document = parse(text, "f.yaml")
    assert document.problems == []
    assert valid(document.value, SCHEMA)


WRONG = [
    "model_list: [{model_name: a}]",
    "model_list: [{model_name: a, litellm_params: {api_key: x}}]",
    "model_list: [{model_name: a, litellm_params: {model: a, rpm: -1}}]",
    "model_list: [{model_name: a, litellm_params: {model: a, rpm: many}}]",
    "model_list: {a: b}",
    "keys: [{models: [a]}]",
    "keys: [{key: sk-a, role: king}]",
    "router_settings: {routing_strategy: best}",
    "router_settings: {model_group_alias: {a: 3}}",
    "rate_limits: 3",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_not(text):
    assert not valid(parse(text, "f.yaml").value, SCHEMA)


def test_an_editor_completes_params_with_their_meaning():
    params = SCHEMA["$defs"]["litellm_params"]["properties"]
    assert SCHEMA["$defs"]["deployments"]["properties"]["litellm_params"] == {"$ref": "#/$defs/litellm_params"}
    assert {"model", "api_key", "api_base", "base_url", "rpm", "temperature", "mode", "model_info"} <= set(params)
    assert params["weight"]["description"] == "The share of this deployment among those of its `model_name`."
    assert params["rpm"]["description"] == "Requests a minute."
    assert params["order"]["description"].endswith("(accepted, not in force yet)")
    assert "mark" not in params
    assert "defaults" not in params


def test_every_known_key_is_in_it():
    assert set(NOT_IN_FORCE[""]) <= set(SCHEMA["properties"])
    for section, known in NOT_IN_FORCE.items():
        assert not section or set(known) <= set(SCHEMA["$defs"][section]["properties"])


def test_every_reference_leads_somewhere():
    for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(SCHEMA)):
        assert pointed(reference)


def test_the_command_prints_it():
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert json.loads(result.output) == SCHEMA
