"""What a wrong configuration is told."""

import string

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config.keys import IN_FORCE, NOT_IN_FORCE
from engine.config.litellm import Loaded, load


def deployment(params="model: echo/a", more=""):
    return f"model_list: [{{model_name: a, litellm_params: {{{params}}}{more}}}]\n"


P = "model_list[0].litellm_params"

WRONG = {
    # types
    deployment("model: 3"): f"{P}.model: expected text, found a number `3`: put it in quotes",
    deployment("model: [a]"): f"{P}.model: expected text, found a list",
    deployment("model: a/b, rpm: 1.5"): f"{P}.rpm: expected a whole number, found a number `1.5`",
    deployment("model: a/b, rpm: true"): f"{P}.rpm: expected a whole number, found true or false",
    deployment("model: a/b, timeout: soon"): f"{P}.timeout: expected a number, found text `soon`",
    deployment("model: a/b, timeout: false"): f"{P}.timeout: expected a number, found true or false",
    deployment("model: a/b, drop_params: perhaps"): f"{P}.drop_params: expected true or false, found text `perhaps`",
    deployment("model: a/b, tags: one"): f"{P}.tags: expected a list, found text `one`",
    deployment("model: a/b, tags: [a, 3]"): f"{P}.tags[1]: expected text, found a number `3`: put it in quotes",
    deployment("model: a/b, tags: {a: [b]}"): f"{P}.tags: expected text, found a list",
    deployment("model: a/b, extra_headers: [a]"): f"{P}.extra_headers: expected a mapping, found a list",
    deployment("model: a/b, api_key: 12345678"): f"{P}.api_key: expected text, found a number: put it in quotes",
    deployment("model: a/b, echo_tool_call: 3"): f"{P}.echo_tool_call: expected text or a mapping, found a number",
    deployment(
        "model: a/b, input_cost_per_token: [1]"
    ): f"{P}.input_cost_per_token: expected a price in USD such as 0.00000015, found a list",
    deployment(
        "model: a/b, input_cost_per_token: cheap"
    ): f"{P}.input_cost_per_token: expected a price in USD such as 0.00000015, found text",
    deployment("model: a/b, access_groups: x"): f"{P}.access_groups: expected a list, found text `x`",
    deployment("model: a/b, model_info: {mode: [a]}"): f"{P}.model_info.mode: expected text, found a list",
    deployment(more=", model_info: [a]"): "model_list[0].model_info: expected a mapping, found a list",
    "model_list: {a: b}": "model_list: expected a list, found a mapping: begin each entry with `- `",
    "model_list: [a]": "model_list[0]: expected a mapping, found text",
    "model_list: [{model_name: a, litellm_params: [a]}]": f"{P}: expected a mapping, found a list",
    "general_settings: [a]": "general_settings: expected a mapping, found a list",
    "proxy_settings: 3": "proxy_settings: expected a mapping, found a number",
    "keys: [{key: sk-a, models: a}]": "keys[0].models: expected a list, found text",
    "keys: [{key: sk-a, expires: soon}]": "keys[0].expires: expected a date such as `2030-01-31` or `2030-01-31T12:00:00Z`",
    "keys: [{key: sk-a, metadata: {tags: 3}}]": "keys[0].tags: expected a list, found a number",
    "rate_limits: {a: 3}": "rate_limits.a: expected a mapping, found a number",
    "router_settings: {model_group_alias: {a: 3}}": "router_settings.model_group_alias.a: expected text or a mapping, found a number",
    "router_settings: {model_group_alias: {a: {hidden: true}}}": "router_settings.model_group_alias.a.model: is required: add it",
    "router_settings: {routing_strategy: least-bussy}": "router_settings.routing_strategy: expected one of `simple-shuffle`, "
    "`least-busy`, `latency-based-routing`, `usage-based-routing`, `usage-based-routing-v2`, `cost-based-routing`, "
    "found `least-bussy`: did you mean `least-busy`?",
    # required and empty
    "model_list: [{litellm_params: {model: a/b}}]": "model_list[0].model_name: is required: add it",
    "model_list: [{model_name: '', litellm_params: {model: a/b}}]": "model_list[0].model_name: must not be empty: write a name",
    "model_list: [{model_name: a}]": f"{P}.model: is required: add it",
    "keys: [{models: [a]}]": "keys[0].key: is required: add it",
    "teams: [{models: [a]}]": "teams[0].team_id: is required: add it",
    "rate_limits: [{rpm: 1}]": "rate_limits[0].model: is required: add it",
    # signs
    deployment("model: a/b, rpm: -1"): f"{P}.rpm: must not be negative: write 0 or more",
    deployment("model: a/b, input_cost_per_token: -1.5e-7"): f"{P}.input_cost_per_token: must not be negative",
    deployment(
        more=", model_info: {output_cost_per_token: -1}"
    ): "model_list[0].model_info.output_cost_per_token: must not be negative",
    "teams: [{team_id: a, max_budget: -0.1}]": "teams[0].max_budget: must not be negative: write 0 or more",
    "keys: [{key: sk-a, tpm: -5}]": "keys[0].tpm: must not be negative: write 0 or more",
    "keys: [{key: sk-a, model_rpm_limit: {m: -5}}]": "keys[0].model_rpm_limit.m: must not be negative: write 0 or more",
    "rate_limits: {a: {tpm: -1}}": "rate_limits.a.tpm: must not be negative: write 0 or more",
    # laws
    "model_list: [{model_name: 'a*b*', litellm_params: {model: a/b}}]": "model_list[0].model_name: more than one `*`: keep one, it takes any text",
    "keys: [{key: abc}]": "keys[0]: its key does not begin with `sk-`: write `sk-` and a random text",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_one_error(loads, text):
    loaded = loads(text)
    errors = [str(problem) for problem in loaded.problems if problem.severity == "error"]
    assert errors == [f"config.yaml:1: error: {WRONG[text]}"]
    assert loaded.spec is None


SLIPS = {
    "modle_list: []": "modle_list: unknown key, ignored: did you mean `model_list`?",
    "qqq: 1": "qqq: unknown key, ignored: check its spelling, or remove it",
    "general_settings: {master_kee: a}": "general_settings.master_kee: unknown key, ignored: did you mean `master_key`?",
    "litellm_settings: {virtual_key: []}": "litellm_settings.virtual_key: unknown key, ignored: did you mean `virtual_keys`?",
    "router_settings: {falbacks: []}": "router_settings.falbacks: unknown key, ignored: did you mean `fallbacks`?",
    "router_settings: {model_group_alias: {a: {model: b, hiden: true}}}": "router_settings.model_group_alias.a.hiden: "
    "unknown key, ignored: did you mean `hidden`?",
    "keys: [{key: sk-a, modles: [a]}]": "keys[0].modles: unknown key, ignored: did you mean `models`?",
    "teams: [{team_id: a, team_alais: b}]": "teams[0].team_alais: unknown key, ignored: did you mean `team_alias`?",
    "users: [{user_id: a, user_mail: b}]": "users[0].user_mail: unknown key, ignored: did you mean `user_email`?",
    "organizations: [{organization_id: a, modles: []}]": "organizations[0].modles: unknown key, ignored: did you mean `models`?",
    "rate_limits: {a: {rpms: 1}}": "rate_limits.a.rpms: unknown key, ignored: did you mean `rpm`?",
    "proxy_settings: {team: []}": "proxy_settings.team: unknown key, ignored: did you mean `teams`?",
    deployment(
        "model: a/b, temprature: 1"
    ): f"{P}.temprature: unknown parameter, sent to the provider as it is: did you mean `temperature`?",
    deployment(
        "model: a/b, api_base: x, base_url: y"
    ): f"{P}.base_url: ignored beside `api_base`: remove one of the two",
    deployment(more=", api_key: x"): "model_list[0].api_key: unknown key, ignored: move it under `litellm_params`",
    deployment(more=", base_model: x"): "model_list[0].base_model: unknown key, ignored: move it under `model_info`",
    deployment(more=", model_inf: {}"): "model_list[0].model_inf: unknown key, ignored: did you mean `model_info`?",
    "general_settings: {master_key: sk-1234}": "general_settings.master_key: is easy to guess, shorter than 16 characters: "
    "make one with `echo sk-$(openssl rand -hex 24)`",
    "general_settings: {master_key: 0a1b2c3d4e5f6a7b8c9d}": "general_settings.master_key: does not begin with `sk-`, as "
    "clients expect: write `sk-` and a random text",
    "keys: [{key: sk-a, duration: 30d}]": "keys[0].duration: counts from the making of a key, which a key in a file has not: "
    "write `expires` with a date",
    "model_list: [{model_name: a, litellm_params: {model: a/b}}, {model_name: a, litellm_params: {model: a/b}}]": "model_list[1]: "
    "says the same as `model_list[0]` (config.yaml:1), ignored: remove one of the two",
}


@pytest.mark.parametrize("text", SLIPS, ids=range(len(SLIPS)))
def test_what_is_doubtful_is_one_warning(loads, text):
    loaded = loads(text)
    assert [str(problem) for problem in loaded.problems] == [f"config.yaml:1: warning: {SLIPS[text]}"]
    assert loaded.spec is not None


def test_an_unknown_parameter_is_kept(loads):
    assert loads(deployment("model: a/b, temprature: 1")).spec.deployments[0].params.defaults == {"temprature": 1}


def test_model_info_and_anchors_are_never_unknown(loads):
    assert loads("x-defaults: {a: 1}\n" + deployment(more=", model_info: {whatever: 1, extra: 2}")).problems == ()


def test_all_problems_are_told_at_once_in_the_order_of_the_file(says):
    text = """
keys: [{key: abc}]
model_list:
  - model_name: a
    litellm_params: {rpm: x}
  - litellm_params: {model: echo/b, tpm: y}
nonsense: 1
"""
    assert [problem.split(": ")[0:3] for problem in says(text)] == [
        ["config.yaml:2", "error", "keys[0]"],
        ["config.yaml:5", "error", "model_list[0].litellm_params.model"],
        ["config.yaml:5", "error", "model_list[0].litellm_params.rpm"],
        ["config.yaml:6", "error", "model_list[1].model_name"],
        ["config.yaml:6", "error", "model_list[1].litellm_params.tpm"],
        ["config.yaml:7", "warning", "nonsense"],
    ]


DOUBLES = {
    """
model_list:
  - {model_name: a, litellm_params: {model: echo/a}, model_info: {id: one}}
  - {model_name: b, litellm_params: {model: echo/b, model_info: {id: one}}}
""": "config.yaml:4: error: model_list[1].litellm_params.model_info.id: is also that of `model_list[0].model_info` "
    "(config.yaml:3): give each its own",
    """
litellm_settings:
  virtual_keys:
    - {api_key: sk-a}
keys:
  - {key: sk-a, rpm: -1}
""": "config.yaml:6: error: keys[0]: has the same key as `litellm_settings.virtual_keys[0]` (config.yaml:4): "
    "remove one of the two",
    """
proxy_settings: {teams: [{team_id: t}]}
teams: [{team_id: t}]
""": "config.yaml:3: error: teams[0].team_id: is also that of `proxy_settings.teams[0]` (config.yaml:2): give each its own",
    """
users:
  - {user_id: u}
  - {user_id: u}
""": "config.yaml:4: error: users[1].user_id: is also that of `users[0]` (config.yaml:3): give each its own",
}


@pytest.mark.parametrize("text", DOUBLES, ids=range(len(DOUBLES)))
def test_what_must_be_unique_names_both_places(says, text):
    assert DOUBLES[text] in says(text)


def test_a_missing_file_cannot_be_checked(tmp_path):
    loaded = load(tmp_path / "none.yaml", {})
    assert (loaded.spec, loaded.readable) == (None, False)
    assert "name a file that exists" in str(loaded.problems[0])


SECTIONS = sorted(IN_FORCE | set(NOT_IN_FORCE[""]))
FIELDS = ["model_name", "litellm_params", "model_info", "model", "rpm", "tags", "key", "api_key", "team_id", "mode"]
FIELDS += ["model_group_alias", "extra_headers", "teams", "virtual_keys", "metadata", "expires", "master_key", "id"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=8)
SCALARS |= st.sampled_from(["os.environ/A", "x os.environ/B", "sk-a", "a*b"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def never_crashes(path, content: bytes) -> None:
    path.write_bytes(content)
    loaded = load(path, {"A": "1"})
    assert isinstance(loaded, Loaded)
    assert (loaded.spec is None) == any(problem.severity == "error" for problem in loaded.problems)
    assert all(str(item) for item in (*loaded.problems, *loaded.not_in_force))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_configuration_or_problems(tmp_path, content):
    never_crashes(tmp_path / "config.yaml", content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(SECTIONS), VALUES, max_size=4))
def test_any_values_are_a_configuration_or_problems(tmp_path, value):
    never_crashes(tmp_path / "config.yaml", yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass"))
