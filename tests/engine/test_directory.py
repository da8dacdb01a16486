"""Keys by their hashes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.allowances import NOTHING
from engine.call import Caller
from engine.claims import Scope, Subject
from engine.counting import Customer
from engine.directory import Directory, digest, masked
from engine.extensions import kind
from engine.storing import Entity, Kind
from tests.engine.building import compiled, config


def test_keys_are_found_by_what_a_client_sends():
    one, two = Caller(digest("sk-1")), Caller(digest("sk-2"))
    directory = Directory(None, [one, two])
    assert directory.find("sk-1") is one
    assert directory.find("sk-2") is two
    assert directory.find("sk-3") is None
    assert directory.find("") is None
    assert directory.find(digest("sk-1")) is None
    assert len(directory) == 2
    assert not directory.guarded


def test_the_master_key_is_an_administrator_and_stands_before_a_key_of_the_same_text():
    directory = Directory("sk-m", [Caller(digest("sk-m"))])
    master = directory.find("sk-m")
    assert master is not None
    assert (master.admin, master.alias, master.user) == (True, "master key", "default_user_id")
    assert directory.guarded


def test_no_clear_key_is_kept():
    directory = Directory("sk-master-secret", [Caller(digest("sk-secret"))])
    kept = repr(vars(directory)) + repr([(c.key_hash, c.alias, c.masked) for c in directory._callers.values()])
    assert "secret" not in kept
    assert masked("sk-12345678") == "sk-...5678"


@given(st.text(st.characters(), max_size=40))
def test_any_text_has_a_hash(key):
    """Header values hold surrogates for bytes that are no UTF-8."""
    assert digest(key) == hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


CONFIG = config(
    {"a": "echo/a"},
    keys=[{"key": "sk-file", "team_id": "t"}],
    teams=[{"team_id": "t", "models": ["a"], "max_budget": 5}],
    budgets=[{"budget_id": "b", "max_budget": 2}],
)


def layered(text: str = CONFIG) -> Directory:
    directory = Directory("sk-m")
    directory.declare("sk-m", compiled(text).declared, kind)
    return directory


def stored(name: str = "sk-1", **fields: Any) -> Entity:
    document = fields.pop("document", {})
    return Entity(Kind.KEY, digest(name), document=document, **fields)


def test_a_stored_key_is_made_when_it_is_first_used_and_then_kept():
    directory = layered()
    assert directory.find("sk-1") is None
    directory.put(stored(alias="one", team_id="t"))
    caller = directory.find("sk-1")
    assert (caller.alias, caller.team_models) == ("one", ("a",))
    assert directory.find("sk-1") is caller
    assert len(directory) == 2


def test_keys_of_a_team_share_its_allowance():
    directory = layered()
    directory.put(stored("sk-1", team_id="t"))
    directory.put(stored("sk-2", team_id="t"))
    one, two, declared = (directory.find(name).allowances for name in ("sk-1", "sk-2", "sk-file"))
    assert one[0] is two[0] is declared[0]


def test_a_changed_row_is_in_force_for_the_very_next_call():
    directory = layered()
    directory.put(stored(document={"max_budget": 1, "models": ["a"]}))
    directory.find("sk-1")
    directory.put(stored(document={"max_budget": 2, "models": ["b"]}, blocked=True))
    caller = directory.find("sk-1")
    assert (caller.blocked, caller.models) == (True, ("b",))
    assert caller.allowances[0].every[0].limit == 2 * 10**9
    directory.remove(Kind.KEY, [digest("sk-1")])
    assert directory.find("sk-1") is None


@pytest.mark.parametrize("kind_of", [Kind.TEAM, Kind.USER, Kind.ORGANIZATION])
def test_a_change_behind_a_key_is_in_force_at_once_and_touches_no_other_key(kind_of):
    directory = layered()
    directory.put(stored("sk-1", team_id="x", user_id="x", organization_id="x"))
    directory.put(stored("sk-2", team_id="y", user_id="y", organization_id="y"))
    before, other = directory.find("sk-1"), directory.find("sk-2")
    for change in (
        lambda: directory.put(Entity(kind_of, "x", document={"rpm_limit": 3})),
        lambda: directory.remove(kind_of, ["x"]),
    ):
        change()
        after = directory.find("sk-1")
        assert after is not before
        before = after
        assert [one.every[0].limit for one in after.allowances] in ([3], [])
    assert directory.find("sk-2") is other


def test_a_declared_key_heeds_a_stored_team():
    directory = layered(config({"a": "echo/a"}, keys=[{"key": "sk-file", "team_id": "t"}]))
    assert not directory.find("sk-file").team_blocked
    directory.put(Entity(Kind.TEAM, "t", blocked=True))
    assert directory.find("sk-file").team_blocked


def test_what_is_declared_stands_before_what_is_stored():
    directory = layered()
    directory.put(Entity(Kind.TEAM, "t", blocked=True))
    directory.put(stored("sk-file", alias="other"))
    caller = directory.find("sk-file")
    assert (caller.alias, caller.team_blocked) == ("", False)


def test_a_reload_swaps_what_is_declared_and_keeps_what_is_stored_and_unchanged():
    directory = layered()
    directory.put(stored("sk-1", team_id="t"))
    directory.put(stored("sk-2"))
    one, two = directory.find("sk-1"), directory.find("sk-2")
    directory.declare("sk-n", compiled(CONFIG).declared, kind)
    assert directory.find("sk-1") is one
    directory.declare(
        "sk-n", compiled(CONFIG.replace("sk-file", "sk-new").replace("max_budget: 5", "max_budget: 6")).declared, kind
    )
    assert directory.find("sk-file") is None
    assert directory.find("sk-new") is not None
    assert directory.find("sk-1").allowances[0].every[0].limit == 6 * 10**9
    assert directory.find("sk-2") is two
    assert (directory.find("sk-m"), directory.find("sk-n").admin) == (None, True)


def test_other_terms_are_in_force_for_every_key():
    directory = layered()
    directory.put(stored(document={"budget_id": "b"}))
    assert directory.find("sk-1").allowances[0].every[0].limit == 2 * 10**9
    directory.declare("sk-m", compiled(CONFIG.replace("max_budget: 2", "max_budget: 3")).declared, kind)
    assert directory.find("sk-1").allowances[0].every[0].limit == 3 * 10**9


def test_a_stored_key_whose_budget_is_declared_no_more_is_closed():
    directory = layered()
    directory.put(stored(document={"budget_id": "gone"}))
    assert directory.find("sk-1").blocked


def test_what_was_made_of_removed_keys_is_forgotten():
    directory = layered()
    for number in range(50):
        directory.put(stored(f"sk-{number}", team_id="t", user_id="u"))
        directory.find(f"sk-{number}")
        directory.remove(Kind.KEY, [digest(f"sk-{number}")])
    assert not any(directory._behind.values())


def test_end_users_have_their_own_row_or_what_all_have():
    directory = layered()
    assert directory.customer("c") == Customer(blocked=False, allowance=NOTHING)
    directory.put(Entity(Kind.CUSTOMER, "c", blocked=True, document={"budget_id": "b"}))
    blocked, own = directory.customer("c")
    assert (blocked, own.every[0].limit, own.every[0].subject) == (True, 2 * 10**9, Subject(Scope.END_USER, "c"))
    assert directory.customer("c").allowance is own
    directory.remove(Kind.CUSTOMER, ["c"])
    assert directory.customer("c") == (False, NOTHING)


@pytest.mark.parametrize("setting", [{"max_end_user_budget": 0.5}, {"max_end_user_budget_id": "half"}])
def test_end_users_without_a_row_have_the_budget_of_all(setting):
    directory = layered(
        config({"a": "echo/a"}, litellm_settings=setting, budgets=[{"budget_id": "half", "max_budget": 0.5}])
    )
    blocked, own = directory.customer("anybody")
    assert (blocked, own.every[0].limit, own.every[0].subject.id) == (False, 5 * 10**8, "anybody")


def test_the_end_users_kept_are_bounded(monkeypatch):
    monkeypatch.setattr("engine.directory.CUSTOMERS", 10)
    directory = layered(config({"a": "echo/a"}, litellm_settings={"max_end_user_budget": 1}))
    first = directory.customer("c0")
    for number in range(15):
        directory.customer(f"c{number}")
        assert directory.customer("c0") is first
    assert len(directory._customers) == 10
