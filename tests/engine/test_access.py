"""Who may call what: LiteLLM's rules case by case, and listed exactly when callable over random configurations."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.access import REMEMBERED, allowed, callable_by, check_model, visible
from engine.call import Caller
from engine.errors import ClientError, PolicyError
from engine.extensions import kind
from engine.grants import grant
from engine.routing import route
from engine.snapshot import Snapshot
from tests.engine.building import PRICES, call_of, compiled, config


def grouped(model: str, *groups: str) -> dict[str, object]:
    return {"litellm_params": {"model": model}, "model_info": {"access_groups": list(groups)}}


MODELS = {
    "gpt-4o": grouped("echo/gpt-4o", "fast"),
    "claude": "echo/claude",
    "openai/*": grouped("openai/*", "default-models"),
    "openai/o1-*": grouped("openai/o1-*", "restricted-models"),
    "bedrock/*": "echo/*",
}
HOUSE = compiled(config(MODELS, router_settings={"model_group_alias": {"four": "gpt-4o", "dark": {"model": "claude", "hidden": True}}})).snapshot  # fmt: skip


def caller(*models: str, team: tuple[str, ...] = (), role: str = "internal_user", **aliases: str) -> Caller:
    made = Caller("hash", role)
    made.models, made.team_models, made.aliases = models, team, aliases
    return grant(made, kind)


def passes(who: Caller, snapshot: Snapshot, name: str) -> bool:
    """Take the request path's own two steps."""
    call = call_of(snapshot, who, name)
    try:
        route(call)
        check_model(call)
    except (ClientError, PolicyError):
        return False
    return True


@pytest.mark.parametrize(
    ("models", "name", "may"),
    [
        ((), "gpt-4o", True),
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "claude", False),
        (("GPT-4o",), "gpt-4o", False),
        (("gpt-4",), "gpt-4o", False),
        (("gpt-4o",), "four", True),
        (("four",), "four", True),
        (("four",), "gpt-4o", False),
        (("claude",), "dark", True),
        (("fast",), "gpt-4o", True),
        (("fast",), "four", True),
        (("fast",), "claude", False),
        (("*",), "claude", True),
        (("all-proxy-models",), "openai/o1-mini", True),
        (("no-default-models",), "claude", False),
        (("no-default-models", "claude"), "claude", True),
        (("bedrock/*",), "bedrock/anthropic.claude", True),
        (("bedrock/anthropic.*",), "bedrock/anthropic.claude", True),
        (("bedrock/anthropic.*",), "bedrock/meta.llama", False),
        (("*/anthropic.claude",), "bedrock/anthropic.claude", True),
        (("bedrock/anthropic.claude",), "bedrock/anthropic.claude", True),
        (("bedrock",), "bedrock/anthropic.claude", False),
    ],
)
def test_a_key_may_call_what_it_lists(models, name, may):
    assert passes(caller(*models), HOUSE, name) is may


@pytest.mark.parametrize(
    ("group", "name", "may"),
    [
        ("default-models", "openai/gpt-4o", True),
        ("default-models", "openai/o1-mini", False),
        ("restricted-models", "openai/o1-mini", True),
        ("restricted-models", "openai/gpt-4o", False),
    ],
)
def test_access_groups_come_from_the_most_specific_wildcard(group, name, may):
    assert passes(caller(group), HOUSE, name) is may


@pytest.mark.parametrize(
    ("key", "team", "name", "may"),
    [
        ((), ("claude",), "claude", True),
        ((), ("claude",), "gpt-4o", False),
        (("gpt-4o",), ("claude",), "gpt-4o", False),
        (("gpt-4o", "claude"), ("claude",), "claude", True),
        (("all-team-models",), ("claude",), "claude", True),
        (("all-team-models",), ("claude",), "gpt-4o", False),
        (("all-team-models",), (), "gpt-4o", True),
        ((), ("all-team-models",), "gpt-4o", False),
        (("all-proxy-models",), ("claude",), "gpt-4o", False),
        (("claude",), ("all-proxy-models",), "claude", True),
        (("claude",), ("fast",), "claude", False),
    ],
)
def test_both_key_and_team_must_allow(key, team, name, may):
    assert passes(caller(*key, team=team), HOUSE, name) is may


def test_a_refusal_says_whose_and_lists_what_is_allowed():
    call = call_of(HOUSE, caller("gpt-4o", "fast"), "claude")
    route(call)
    with pytest.raises(PolicyError) as refused:
        check_model(call)
    error = refused.value
    assert (error.status, error.type, error.param) == (403, "key_model_access_denied", "model")
    assert error.message == "this key may not call model `claude`; it may call: `gpt-4o`, `fast`"
    call = call_of(HOUSE, caller("claude", team=("gpt-4o",)), "claude")
    route(call)
    with pytest.raises(PolicyError) as refused:
        check_model(call)
    assert refused.value.type == "team_model_access_denied"
    assert refused.value.message == "this team may not call model `claude`; it may call: `gpt-4o`"


def test_the_master_key_may_call_everything():
    assert passes(caller("nothing", role="proxy_admin"), HOUSE, "claude")


def test_answers_are_remembered_for_one_revision_and_within_a_bound():
    who = caller("bedrock/*")
    for number in range(REMEMBERED + 10):
        assert passes(who, HOUSE, f"bedrock/{number}")
    assert len(who.granted) <= REMEMBERED
    later = compiled(config({"bedrock/*": "echo/*", "claude": "echo/claude"}), revision=2).snapshot
    who = caller("fast")
    assert passes(who, HOUSE, "gpt-4o")
    group = later.find("claude")
    assert group is not None
    assert not allowed(who, later, "claude", group)
    assert {revision for revision, _ in who.granted} == {1, 2}


def listed(who: Caller, snapshot: Snapshot, *, wildcards: bool = False) -> list[str]:
    return list(visible(who, snapshot, PRICES.names, wildcards=wildcards))


def test_hidden_aliases_are_called_and_not_listed():
    names = listed(caller(), HOUSE)
    assert "four" in names
    assert "dark" not in names
    assert passes(caller(), HOUSE, "dark")


def test_wildcards_are_listed_as_the_models_they_reach():
    names = listed(caller(), HOUSE)
    assert "openai/gpt-4o" in names
    assert "openai/o1-pro" in names
    assert not [name for name in names if "o1-o1" in name or "*" in name]
    assert len(names) == len(set(names))
    assert {"openai/*", "openai/o1-*", "bedrock/*"} <= set(listed(caller(), HOUSE, wildcards=True))
    assert "openai/o1-pro" not in listed(caller("default-models"), HOUSE)


def test_a_wildcard_over_one_model_lists_nothing_it_would_misname():
    snapshot = compiled(config({"any/*": "openai/gpt-4o"})).snapshot
    assert listed(caller(), snapshot) == []
    assert passes(caller(), snapshot, "any/thing")


def test_the_callers_aliases_are_listed_as_they_are_called():
    who = caller("claude", quick="gpt-4o", best="claude", **{"gpt-4o": "claude"})
    assert listed(who, HOUSE) == ["gpt-4o", "claude", "best"]
    assert callable_by(who, HOUSE, "best")
    assert not callable_by(who, HOUSE, "quick")
    assert not callable_by(who, HOUSE, "unknown")


@pytest.mark.parametrize("name", ["bedrock/a\r\nb", "bedrock/" + "x" * 300, "bedrock/\x00", ""])
def test_what_is_no_name_is_no_model(name):
    assert HOUSE.find(name) is None
    assert not callable_by(caller(), HOUSE, name)


NAMES = ["a", "b", "a/x", "a/y", "a/x-1", "c", "zz"]
PATTERNS = ["a/*", "a/x*", "*", "*-1", "a/*1"]
GROUPS = ["g1", "g2"]
WORDS = ["all-proxy-models", "all-team-models", "no-default-models"]
ENTRIES = st.lists(st.sampled_from(NAMES + PATTERNS + GROUPS + WORDS), max_size=3)
ALIASES = st.dictionaries(
    st.sampled_from(["al", "a", "b", "c"]), st.sampled_from(["a", "b", "a/x", "none"]), max_size=2
)
CONFIGS = st.fixed_dictionaries(
    {
        "models": st.dictionaries(
            st.sampled_from(NAMES + PATTERNS), st.lists(st.sampled_from(GROUPS), max_size=2), min_size=1, max_size=5
        ),
        "hidden": st.booleans(),
        "router": st.sampled_from(["a", "b", "a/x", "al2"]),
    }
)


def known(provider: str) -> list[str]:
    """Stand for a price list of a few models."""
    return ["x", "y", "x-1", "q"] if provider == "echo" else []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS, ENTRIES, ENTRIES, ALIASES)
def test_listed_exactly_when_callable(drawn, key, team, aliases):
    """A model is in `/v1/models` if and only if a call to it passes, whatever the configuration."""
    models = {
        name: grouped("echo/*" if "*" in name else f"echo/{name}", *groups) for name, groups in drawn["models"].items()
    }
    target = next(iter(drawn["models"]))
    alias = {} if "*" in target else {"alias": {"model": target, "hidden": drawn["hidden"]}}
    snapshot = compiled(config(models, router_settings={"model_group_alias": alias})).snapshot
    who = caller(*key, team=tuple(team), **aliases)
    found = set(visible(who, snapshot, known))
    for name in found:
        assert passes(who, snapshot, name), name
    expanded = {w.prefix + model + w.suffix for w, model in itertools.product(snapshot.wildcards, known("echo"))}
    for name in {*snapshot.names, *expanded, *aliases} - snapshot.hidden:
        assert passes(who, snapshot, name) is (name in found), name
    for name in {*NAMES, "al2", "other/q"}:
        assert callable_by(who, snapshot, name) is passes(who, snapshot, name)


@pytest.mark.parametrize(
    ("field", "kind_of", "owner"), [("user_models", "user", "user"), ("org_models", "org", "organization")]
)
def test_the_lists_of_user_and_organization_hold_too(field, kind_of, owner):
    made = Caller("hash")
    setattr(made, field, ("claude",))
    grant(made, kind)
    assert passes(made, HOUSE, "claude")
    call = call_of(HOUSE, made, "gpt-4o")
    route(call)
    with pytest.raises(PolicyError) as error:
        check_model(call)
    assert error.value.type == f"{kind_of}_model_access_denied"
    assert error.value.message == f"this {owner} may not call model `gpt-4o`; it may call: `claude`"
