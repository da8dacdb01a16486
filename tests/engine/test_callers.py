"""What a caller may use: limits of key, team, user, member and organization, from a file and from the store alike."""

from __future__ import annotations

import pytest

from engine.callers import callers_of
from engine.claims import Unit
from engine.digest import digest
from engine.directory import Directory
from engine.extensions import kind
from engine.storing import Entity, Kind
from tests.engine.building import compiled, config, loaded

FULL = {
    "keys": [{"key": "sk-1", "team_id": "t", "user_id": "u", "max_budget": 1, "rpm_limit": 5, "model_tpm_limit": {"a": 7}}],
    "teams": [
        {
            "team_id": "t", "organization_id": "o", "max_budget": 10, "budget_duration": "1d",
            "members_with_roles": [{"user_id": "u", "role": "user", "max_budget_in_team": 2}, {"user_id": "v", "role": "user"}],
            "team_member_budget": 3, "team_member_budget_duration": "7d", "team_member_rpm_limit": 9,
        }
    ],
    "users": [{"user_id": "u", "max_budget": 4, "tpm_limit": 100, "user_role": "proxy_admin_viewer"}],
    "organizations": [{"organization_id": "o", "max_budget": 50, "models": ["a"]}],
}  # fmt: skip


def limits(caller):
    """List what limits a caller: scope, unit, limit and kind of window."""
    return [(str(c.subject.scope), str(c.unit), c.limit, c.window.kind) for one in caller.allowances for c in one.every]


def only(**sections):
    (caller,) = callers_of(loaded(config({"a": "echo/a"}, **sections)), kind)
    return caller


def test_every_one_behind_a_key_limits_it():
    caller = only(**FULL)
    assert limits(caller) == [
        ("api_key", "usd", 10**9, "total"),
        ("api_key", "requests", 5, "rate:60000000000"),
        ("team", "usd", 10 * 10**9, "budget:days:1:UTC"),
        ("user", "tokens", 100, "rate:60000000000"),
        ("team_member", "usd", 2 * 10**9, "total"),
        ("team_member", "requests", 9, "rate:60000000000"),
        ("organization", "usd", 50 * 10**9, "total"),
    ]
    assert caller.allowances[3].every[0].subject.id == "t:u"
    assert [c.limit for c in caller.allowances[0].by_model["a"]] == [7]
    assert (caller.role, caller.org, caller.org_models) == ("proxy_admin_viewer", "o", ("a",))


def test_a_member_without_limits_of_its_own_has_those_that_the_team_gives_to_each():
    caller = only(**{**FULL, "keys": [{"key": "sk-1", "team_id": "t", "user_id": "v"}]})
    assert [one for one in limits(caller) if one[0] == "team_member"] == [
        ("team_member", "usd", 3 * 10**9, "budget:week:1:UTC"),
        ("team_member", "requests", 9, "rate:60000000000"),
    ]


def test_a_users_budget_counts_for_team_keys_only_if_the_configuration_says_so():
    assert ("user", "usd", 4 * 10**9, "total") not in limits(only(**FULL))
    personal = {**FULL, "keys": [{"key": "sk-1", "user_id": "u"}]}
    assert ("user", "usd", 4 * 10**9, "total") in limits(only(**personal))
    everywhere = {**FULL, "general_settings": {"apply_user_budget_to_team_keys": True}}
    assert ("user", "usd", 4 * 10**9, "total") in limits(only(**everywhere))


def test_the_configuration_says_where_midnight_is_and_which_tokens_count():
    caller = only(
        keys=[{"key": "sk-1", "max_budget": 1, "budget_duration": "1d", "tpm_limit": 5}],
        litellm_settings={"timezone": "Europe/Berlin"}, general_settings={"token_rate_limit_type": "output"},
    )  # fmt: skip
    assert limits(caller) == [
        ("api_key", "usd", 10**9, "budget:days:1:Europe/Berlin"),
        ("api_key", "output_tokens", 5, "rate:60000000000"),
    ]


def test_a_budget_row_gives_what_an_entity_does_not_say_itself():
    budgets = [{"budget_id": "b", "max_budget": 5, "budget_duration": "1d", "rpm_limit": 3}]
    caller = only(keys=[{"key": "sk-1", "budget_id": "b"}], budgets=budgets)
    assert [one[1:] for one in limits(caller)] == [("usd", 5 * 10**9, "budget:days:1:UTC"), ("requests", 3, "rate:60000000000")]  # fmt: skip
    caller = only(keys=[{"key": "sk-1", "budget_id": "b", "max_budget": 1}], budgets=budgets)
    assert [one[1:] for one in limits(caller)] == [("usd", 10**9, "total"), ("requests", 3, "rate:60000000000")]


@pytest.mark.parametrize("section", ["keys", "teams", "users", "organizations"])
def test_a_budget_that_nobody_declares_is_an_error(section):
    name = {"keys": "key", "teams": "team_id", "users": "user_id", "organizations": "organization_id"}[section]
    (problem,) = compiled(config({"a": "echo/a"}, **{section: [{name: "sk-x", "budget_id": "none"}]})).problems
    assert problem.severity == "error"
    assert "there is no budget `none`; name one of `budgets`" in problem.message
    assert problem.mark is not None


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"teams": [{"team_id": "t", "budget_duration": "soon"}]}, "`budget_duration`: `soon` is no duration"),
        ({"teams": [{"team_id": "t", "team_member_budget_duration": "2mo"}]}, "`team_member_budget_duration`: `2mo`"),
        ({"teams": [{"team_id": "t", "members": [{"user_id": "u", "max_budget_in_team": -1}]}]}, "`t:u`: `max_budget`: `-1`"),
        ({"keys": [{"key": "sk-1", "model_max_budget": {"a": {"budget_limit": "x"}}}]}, "`model_max_budget` of `a`"),
        ({"budgets": [{"budget_id": "b", "max_budget": 1, "budget_duration": "x"}]}, "`budget_duration`: `x`"),
        ({"litellm_settings": {"max_end_user_budget_id": "none"}}, "there is no budget `none`"),
    ],
)  # fmt: skip
def test_limits_that_are_none_are_errors_of_the_load(sections, says):
    (problem,) = compiled(config({"a": "echo/a"}, **sections)).problems
    assert problem.severity == "error"
    assert says in problem.message


def test_declared_and_stored_keys_come_to_the_same():
    """One function makes both: fields of the file and of the API have one form."""
    text = config({"a": "echo/a"}, **FULL)
    (declared,) = compiled(text).callers
    bare = compiled(
        config({"a": "echo/a"}, teams=FULL["teams"], users=FULL["users"], organizations=FULL["organizations"])
    )
    directory = Directory(None)
    directory.declare(None, bare.declared, kind)
    said = {name: value for name, value in FULL["keys"][0].items() if name not in {"key", "team_id", "user_id"}}
    directory.put(
        Entity(Kind.KEY, digest("sk-1"), team_id="t", user_id="u", document={**said, "key_name": "sk-...sk-1"})
    )
    stored = directory.find("sk-1")
    assert limits(stored) == limits(declared)
    assert [stored.role, stored.access, stored.org] == [declared.role, declared.access, declared.org]
    assert {c.unit for c in stored.allowances[0].every} == {Unit.USD, Unit.REQUESTS}
