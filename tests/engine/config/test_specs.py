"""What a right configuration becomes."""

import hashlib

import pytest
from pydantic import ValidationError

from engine.config.litellm import load
from engine.config.specs import ConfigSpec, GroupAlias, KeySpec, LitellmParams, RouterSettings

TUTORIAL = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://my-endpoint.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY
      api_version: "2024-10-21"
      weight: 9
      timeout: 30
      temperature: 0.2
      max_tokens: 100
      azure_ad_token: token
      aws_region_name: eu-west-1
      input_cost_per_token: 0.00000015
      output_cost_per_token: 6.00e-7
      mode: chat
      access_groups: [beta]
    model_info:
      id: azure-one
      base_model: azure/gpt-4o
      description: ours
      max_input_tokens: 128000
  - model_name: qwen3-thinking
    litellm_params: {model: hosted_vllm/qwen3, base_url: "http://vllm:8000/v1", extra_body: {chat_template_kwargs: {enable_thinking: true}}}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*", api_key: x, model_info: {access_groups: [default-models]}}
litellm_settings:
  drop_params: yes
  request_timeout: 600
  num_retries: 2
  json_logs: true
  virtual_keys:
    - api_key: sk-tutorial-1
      key_alias: one
      models: [gpt-4o]
      aliases: {mistral: gpt-4o}
      metadata: {tags: [a, b], project: x}
      tags: [b, c]
      expires: "2030-01-31"
      user_role: internal_user
    - {key: sk-tutorial-2, tags: {team: red, beta: true, bare: }, expires: 1900000000, blocked: true, team_id: t1}
router_settings:
  model_group_alias: {gpt-4: gpt-4o, old: {model: gpt-4o, hidden: true}}
  num_retries: 1
  timeout: 20.5
general_settings:
  master_key: sk-0123456789abcdef
  max_request_size_mb: 8
proxy_settings:
  teams: [{team_id: t1, team_alias: T, models: [gpt-4o], model_aliases: {m: gpt-4o}, metadata: {cost_center: 7}}]
teams: [{team_id: t2, blocked: true}]
"""


@pytest.fixture
def spec(loads):
    loaded = loads(TUTORIAL, {"AZURE_API_KEY": "azure-key"})
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.not_in_force == ()
    return loaded.spec


def test_params_are_typed_and_the_rest_is_sorted_by_whose_it_is(spec):
    params = spec.deployments[0].params
    assert (params.model, params.api_key, params.weight, params.timeout) == ("azure/gpt-4o-eu", "azure-key", 9, 30)
    assert params.defaults == {"temperature": 0.2, "max_tokens": 100}
    assert params.provider_params == {"azure_ad_token": "token", "aws_region_name": "eu-west-1"}
    assert spec.deployments[1].params.api_base == "http://vllm:8000/v1"
    assert spec.deployments[1].params.defaults == {"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}}


def test_prices_keep_the_text_that_was_written(spec):
    params = spec.deployments[0].params
    assert (params.input_cost_per_token, params.output_cost_per_token) == ("0.00000015", "6.00e-7")


def test_info_is_found_where_tutorials_write_it(spec):
    info = spec.deployments[0].info
    assert (info.id, info.mode, info.access_groups, info.base_model) == ("azure-one", "chat", ("beta",), "azure/gpt-4o")
    assert (info.max_input_tokens, info.extra) == (128000, {"description": "ours"})
    assert spec.deployments[2].info.access_groups == ("default-models",)
    assert "mode" not in spec.deployments[0].params.defaults


def test_an_id_is_given_or_computed_from_what_the_file_says(spec, loads):
    assert spec.deployments[0].id == "azure-one"
    said = '["a", {"api_key": "os.environ/K", "model": "echo/a"}]'
    text = "model_list: [{model_name: a, litellm_params: {model: echo/a, api_key: os.environ/K}}]"
    first, second = (loads(text, {"K": secret}).spec.deployments[0].id for secret in ("one", "two"))
    assert first == second == hashlib.sha256(said.encode()).hexdigest()


def test_keys(spec):
    first, second = spec.keys
    assert (first.key, first.key_alias, first.models, first.aliases) == (
        "sk-tutorial-1",
        "one",
        ("gpt-4o",),
        {"mistral": "gpt-4o"},
    )
    assert first.tags == ("b", "c", "a")
    assert first.metadata["project"] == "x"
    assert first.expires == 1896048000.0
    assert first.role == "internal_user"
    assert str(first.mark) == "config.yaml:34"
    assert second.tags == ("team:red", "beta:true", "bare")
    assert (second.expires, second.blocked, second.team_id) == (1900000000.0, True, "t1")


def test_teams_come_from_both_places(spec):
    assert [team.team_id for team in spec.teams] == ["t1", "t2"]
    assert spec.teams[0].model_aliases == {"m": "gpt-4o"}
    assert spec.teams[1].blocked


def test_settings(spec):
    assert (spec.litellm.drop_params, spec.litellm.request_timeout, spec.litellm.num_retries) == (True, 600, 2)
    assert spec.router.model_group_alias == {"gpt-4": "gpt-4o", "old": GroupAlias(model="gpt-4o", hidden=True)}
    assert (spec.router.routing_strategy, spec.router.timeout) == ("simple-shuffle", 20.5)
    assert (spec.general.max_request_size_mb, spec.general.allow_client_side_credentials) == (8, False)
    assert spec.files == ("config.yaml",)


def test_no_file_is_an_empty_configuration():
    assert load(None, {}).spec == ConfigSpec()


@pytest.mark.parametrize("text", ["", "model_list:\ngeneral_settings:\nkeys:\nteams: ~\nrouter_settings: {}\n"])
def test_empty_sections_are_as_good_as_none(loads, text):
    loaded = loads(text)
    assert loaded.problems == ()
    assert loaded.spec == ConfigSpec(files=("config.yaml",))


def test_null_is_as_good_as_absent(loads):
    text = "model_list: [{model_name: a, litellm_params: {model: echo/a, rpm: , tags: null, drop_params: ~}, model_info: }]"
    assert loads(text).spec.deployments[0].params == LitellmParams(model="echo/a", defaults={}, provider_params={})


def test_the_wire_cannot_reach_inner_fields(loads):
    text = "model_list: [{model_name: a, id: x, mark: y, litellm_params: {model: echo/a, defaults: {x: 1}, mark: 2}}]"
    (deployment,) = loads(text).spec.deployments
    assert deployment.params.defaults == {"defaults": {"x": 1}, "mark": 2}
    assert deployment.id != "x"


def test_specs_are_frozen():
    with pytest.raises(ValidationError):
        RouterSettings().timeout = 3


def test_rate_limits_are_a_list_or_a_mapping(loads):
    listed = loads("rate_limits: [{model: a, rpm: 1}, {model: b, tpm: 2}]").spec.rate_limits
    mapped = loads("rate_limits: {a: {rpm: 1}, b: {tpm: 2}}").spec.rate_limits
    for limits in (listed, mapped):
        assert [(limit.model, limit.rpm, limit.tpm) for limit in limits] == [("a", 1, None), ("b", None, 2)]


def test_users_and_organizations(loads):
    spec = loads("users: [{user_id: u, user_role: proxy_admin, rpm: 1}]\norganizations: [{organization_id: o}]").spec
    assert (spec.users[0].user_id, spec.users[0].role, spec.users[0].rpm_limit) == ("u", "proxy_admin", 1)
    assert spec.organizations[0].organization_id == "o"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2030-01-31T12:00:00", 1896091200.0),
        ("2030-01-31T12:00:00Z", 1896091200.0),
        ("2030-01-31T12:00:00+08:00", 1896062400.0),
        ("2030-01-31 12:00", 1896091200.0),
        ("1896091200.5", 1896091200.5),
    ],
)
def test_an_end_is_utc_unless_it_says_otherwise(written, seconds):
    assert KeySpec.from_wire({"key": "sk-a", "expires": written}).expires == seconds


@pytest.mark.parametrize("price", ["0", "1", "0.00000015", "1.5E-7", ".5", "-0", 3, 0.25])
def test_prices_are_decimal_text(price):
    assert LitellmParams(model="a", input_cost_per_second=price).input_cost_per_second == str(price)


def test_every_field_of_a_generated_key_is_accepted(loads):
    fields = """
    key_alias: a, key: sk-x, duration: 30d, models: [a], aliases: {a: b}, config: {a: 1}, spend: 0, max_budget: 1,
    soft_budget: 0.5, budget_duration: 1mo, budget_id: b, user_id: u, team_id: t, agent_id: g, organization_id: o,
    project_id: p, max_parallel_requests: 1, tpm_limit: 1, rpm_limit: 1, tpm_limit_type: total, rpm_limit_type: x,
    model_max_budget: {a: 1}, model_rpm_limit: {a: 1}, model_tpm_limit: {a: 1}, metadata: {a: 1}, tags: [a],
    permissions: {a: true}, guardrails: [g], policies: [p], prompts: [p], disable_global_guardrails: true,
    enforced_params: [user], allowed_cache_controls: [no-cache], allowed_routes: [/x], allowed_passthrough_routes: [/y],
    allowed_vector_store_indexes: [{a: 1}], object_permission: {mcp_servers: [m]}, access_group_ids: [a],
    router_settings: {num_retries: 1}, key_type: llm_api, blocked: false, send_invite_email: false, auto_rotate: true,
    rotation_interval: 30d, allowed_tags: [a]
    """
    loaded = loads(f"keys: [{{{' '.join(fields.split())}}}]")
    assert [problem.field for problem in loaded.problems] == ["keys[0].duration"]
    assert loaded.spec.keys[0].object_permission == {"mcp_servers": ["m"]}
