"""From a configuration to groups, deployments and callers."""

from __future__ import annotations

import pytest

from engine.directory import digest
from tests.engine.building import compiled, config


def only(text: str, name: str = "a"):
    (deployment,) = compiled(text).snapshot.find(name).deployments
    return deployment


def params(**members):
    return {"litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-x", **members}}


def problems(text: str) -> list[str]:
    return [str(problem).split(": ", 1)[1] for problem in compiled(text).problems]


def test_entries_of_one_name_are_one_group():
    text = "model_list: [{model_name: a, litellm_params: {model: echo/x}}, {model_name: b, litellm_params: {model: echo/y}}, {model_name: a, litellm_params: {model: echo/z}}]"
    snapshot = compiled(text).snapshot
    assert [group.name for group in snapshot.groups] == ["a", "b"]
    assert [deployment.model for deployment in snapshot.find("a").deployments] == ["x", "z"]
    assert len({d.id for group in snapshot.groups for d in group.deployments}) == 3


@pytest.mark.parametrize(
    ("members", "provider", "model"),
    [
        ({"model": "echo/x/y"}, "echo", "x/y"),
        ({"model": "x", "custom_llm_provider": "echo"}, "echo", "x"),
        ({"model": "echo/x", "custom_llm_provider": "echo"}, "echo", "x"),
        ({"model": "org/x", "custom_llm_provider": "openai"}, "openai", "org/x"),
        ({"model": "gpt-4o"}, "openai", "gpt-4o"),
    ],
)
def test_provider_and_model(members, provider, model):
    deployment = only(config({"a": {"litellm_params": members}}))
    assert (deployment.provider, deployment.model) == (provider, model)
    assert bytes(deployment.raw_model) == f'"{model}"'.encode()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"model": "opnai/gpt-4o"}, "unknown provider `opnai`; did you mean `openai`?"),
        ({"model": "zzz123/x"}, "unknown provider `zzz123`; known are "),
        ({"model": "my-own-model"}, "`my-own-model` names no provider; write `provider/my-own-model`"),
        ({"model": "openai/x", "api_base": "ftp://host"}, "api_base: `ftp://host` is not an http or https address"),
        ({"model": "openai/x", "api_base": "http://u:p@host"}, "put credentials into `api_key`"),
        ({"model": "openai/x", "extra_headers": {"Host": "h"}}, "extra_headers: `Host` is the transport's own"),
        ({"model": "openai/x", "extra_headers": {"x-a": "1\r\nx-b: 2"}}, "the value holds control characters"),
        ({"model": "echo/x", "echo_status": 200000}, "echo_status: must be 200 or an error status"),
    ],
)
def test_what_cannot_be_reached_is_a_problem_with_its_place(members, says):
    built = compiled(config({"ok": "echo/ok", "a": {"litellm_params": members}}))
    (problem,) = built.problems
    assert problem.severity == "error"
    assert problem.field == "model_list[1].litellm_params"
    assert problem.mark is not None
    assert says in problem.message
    assert built.snapshot.find("ok") is not None


def test_every_problem_is_told_at_once():
    text = config({"a": "opnai/x", "b": "nowhere/x"}, router_settings={"model_group_alias": {"c": "none"}})
    found = compiled(text).problems
    assert [problem.severity for problem in found] == ["error", "error", "error"]
    assert "alias of `none`, which is not in `model_list`" in found[-1].message


def test_a_wildcard_takes_what_the_name_had():
    deployment = only(
        config({"mine-*-x": {"litellm_params": {"model": "openai/ft-*:latest", "api_key": "k"}}}), "mine-7-x"
    )
    assert (deployment.name, deployment.model) == ("mine-7-x", "ft-7:latest")
    assert b"x-litellm-model-group: mine-7-x\r\n" in deployment.head


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        ([{"weight": 2}, {"weight": 1}, {}], [2, 1, 0]),
        ([{"rpm": 10}, {"rpm": 30}], [10, 30]),
        ([{"tpm": 10}, {"tpm": 30}], [10, 30]),
        ([{"weight": 1, "rpm": 50}, {"weight": 3, "rpm": 50}], [1, 3]),
        ([{}, {"weight": 5}], [1, 1]),
    ],
)
def test_weights_are_litellms(given, weights):
    """By `weight`, else `rpm`, else `tpm`, when the first deployment has it."""
    entries = ", ".join(
        f"{{model_name: a, litellm_params: {{model: echo/{at}{''.join(f', {k}: {v}' for k, v in one.items())}}}}}"
        for at, one in enumerate(given)
    )
    group = compiled(f"model_list: [{entries}]").snapshot.find("a")
    assert [deployment.weight for deployment in group.deployments] == weights


def test_defaults_yield_to_the_client_and_extra_body_does_not():
    deployment = only(config({"a": params(temperature=0.5, extra_body={"top_k": 4})}))
    assert [(name, bytes(raw)) for name, raw in deployment.defaults] == [("temperature", b"0.5")]
    assert [(name, bytes(raw)) for name, raw in deployment.forced] == [("top_k", b"4")]


@pytest.mark.parametrize(
    ("members", "settings", "dropped"),
    [
        ({}, {}, set()),
        ({"additional_drop_params": ["user"]}, {}, {"user"}),
        ({"model": "openai/o1"}, {}, set()),
        ({"model": "openai/o1", "drop_params": True}, {}, {"temperature", "top_p", "logprobs"}),
        ({"model": "openai/o1"}, {"drop_params": True}, {"temperature", "top_p", "logprobs"}),
        ({"model": "openai/o1", "drop_params": False}, {"drop_params": True}, set()),
        (
            {"model": "openai/o1", "drop_params": True, "allowed_openai_params": ["temperature"]},
            {},
            {"top_p", "logprobs"},
        ),
    ],
)
def test_what_is_dropped(members, settings, dropped):
    drops = only(config({"a": params(**members)}, litellm_settings=settings)).drops
    assert dropped <= drops
    assert bool(dropped) is bool(drops)
    if "temperature" not in dropped:
        assert "temperature" not in drops


def test_mock_response_calls_nobody():
    deployment = only(config({"a": params(mock_response="hi")}))
    assert deployment.api_base == "echo://local"


@pytest.mark.parametrize(
    ("members", "priced"),
    [
        ({}, True),
        ({"model": "openai/unheard-of"}, False),
        ({"model": "openai/unheard-of", "input_cost_per_token": 0.001}, True),
        ({"model": "echo/gpt-4o"}, False),
    ],
)
def test_prices(members, priced):
    assert (only(config({"a": params(**members)})).price is not None) is priced


def test_base_model_prices_what_is_named_freely():
    text = config({"a": {**params(model="openai/my-deployment"), "model_info": {"base_model": "gpt-4o"}}})
    assert only(text).price is not None


def test_no_head_holds_the_key_or_the_query_of_the_upstream():
    deployment = only(config({"a": params(api_base="http://host/v1?code=secret", api_key="sk-secret")}))
    assert b"secret" not in deployment.head
    assert b"x-litellm-model-api-base: http://host/v1\r\n" in deployment.head
    assert "secret" not in repr(deployment)


@pytest.mark.parametrize(
    ("sections", "retries"),
    [
        ({}, 1),
        ({"router_settings": {"num_retries": 3}}, 3),
        ({"litellm_settings": {"num_retries": 2}}, 2),
        ({"router_settings": {"num_retries": 0}, "litellm_settings": {"num_retries": 2}}, 0),
    ],
)
def test_settings(sections, retries):
    settings = compiled(config({"a": "echo/a"}, **sections)).snapshot.settings
    assert settings.retries == retries
    assert settings.max_request_bytes == 32 * 1024 * 1024


def test_header_name_and_size_of_requests():
    general = {"litellm_key_header_name": "X-Company-Key", "max_request_size_mb": 0.5}
    settings = compiled(config({"a": "echo/a"}, general_settings=general)).snapshot.settings
    assert (settings.key_header, settings.max_request_bytes) == ("x-company-key", 512 * 1024)


def test_a_key_with_its_team():
    text = config(
        {"a": "echo/a"},
        keys=[
            {
                "key": "sk-1", "key_alias": "one", "team_id": "t", "user_id": "u", "models": ["a"], "tags": ["k", "both"],
                "aliases": {"x": "a"}, "metadata": {"m": "key", "k": 1}, "expires": "2030-01-31",
            }
        ],
        teams=[
            {
                "team_id": "t", "organization_id": "o", "models": ["a", "b"], "tags": ["both", "team"], "blocked": True,
                "model_aliases": {"x": "b", "y": "a"}, "metadata": {"m": "team", "t": 2},
            }
        ],
    )  # fmt: skip
    (caller,) = compiled(text).callers
    assert caller.key_hash == digest("sk-1")
    assert (caller.alias, caller.user, caller.team, caller.org) == ("one", "u", "t", "o")
    assert (caller.models, caller.team_models) == (("a",), ("a", "b"))
    assert caller.tags == ("k", "both", "team")
    assert caller.aliases == {"x": "a", "y": "a"}
    assert caller.metadata == {"m": "key", "t": 2, "k": 1}
    assert caller.expires == 1_896_048_000
    assert (caller.blocked, caller.team_blocked, caller.role) == (False, True, "internal_user")


def test_a_team_that_nobody_declared_is_a_warning():
    keys = [{"key": "sk-1", "team_id": "missing"}]
    text = config({"a": "echo/a"}, keys=keys, teams=[{"team_id": "t"}])
    (problem,) = compiled(text).problems
    assert problem.severity == "warning"
    assert "team `missing` is not declared" in problem.message
    assert compiled(config({"a": "echo/a"}, keys=keys)).problems == ()
