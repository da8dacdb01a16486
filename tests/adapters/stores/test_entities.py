"""Keys, teams and customers in any store: put, found, listed, blocked, deleted."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from engine.storing import (
    Batch,
    ConflictError,
    Entity,
    EntityFilter,
    EntityPage,
    Gone,
    Kind,
    Listing,
    Row,
    SpendRow,
    StoreError,
    row_of,
)

ALL = EntityFilter()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def key(name: str, **fields: object) -> Entity:
    return Entity(Kind.KEY, digest(f"sk-{name}"), alias=name, **fields)


@pytest.mark.parametrize("kind", Kind)
def test_an_entity_comes_back_as_it_was_put(store, kind):
    entity = Entity(
        kind, digest("x"), "alias", "user", "team", "org", True, 12, 10**18, 1.5, 2.5, 3.5, {"models": ["a"], "é": None}
    )
    assert store.get(kind, entity.id) is None
    store.put(entity, new=True)
    assert store.get(kind, entity.id) == entity
    assert type(store.get(kind, entity.id).kind) is Kind
    others = [other for other in Kind if other is not kind]
    assert [store.get(other, entity.id) for other in others] == [None] * len(others)


def test_a_put_replaces_all_but_what_was_spent_and_when_it_was_created(store):
    store.put(key("a", spend=5, created_at=1.0, team_id="old", document={"models": ["x"]}))
    store.put(key("a", spend=0, created_at=9.0, updated_at=9.0, document={"tags": ["y"]}))
    assert store.get(Kind.KEY, digest("sk-a")) == key(
        "a", spend=5, created_at=1.0, updated_at=9.0, document={"tags": ["y"]}
    )


def test_what_is_new_must_not_be_there_and_no_two_keys_share_an_alias(store):
    store.put(Entity(Kind.TEAM, "t", "same"), new=True)
    store.put(Entity(Kind.TEAM, "u", "same"), new=True)
    with pytest.raises(ConflictError, match="there is a team of this id already"):
        store.put(Entity(Kind.TEAM, "t", "other"), new=True)
    assert store.get(Kind.TEAM, "t").alias == "same"
    store.put(key("a"))
    store.put(key("a", blocked=True))
    with pytest.raises(ConflictError, match="another key has the alias `a`"):
        store.put(key("b")._replace(alias="a"))
    assert store.get(Kind.KEY, digest("sk-b")) is None
    for name in "cd":
        store.put(key(name)._replace(alias=""))


def test_block_and_unblock(store):
    store.put(Entity(Kind.CUSTOMER, "c", spend=3, document={"region": "eu"}))
    blocked = store.block(Kind.CUSTOMER, "c", 7.0)
    assert blocked == store.get(Kind.CUSTOMER, "c")
    assert (blocked.blocked, blocked.updated_at, blocked.spend, blocked.document) == (True, 7.0, 3, {"region": "eu"})
    assert store.block(Kind.CUSTOMER, "c", 8.0, blocked=False).blocked is False
    assert store.get(Kind.CUSTOMER, "c").blocked is False
    assert store.block(Kind.CUSTOMER, "nobody", 7.0) is None


def test_delete_tells_what_was_there(store):
    for name in "abc":
        store.put(Entity(Kind.TEAM, name))
    assert store.delete(Kind.TEAM, ["a", "x", "c", "a"]) == ["a", "c"]
    assert store.delete(Kind.KEY, ["b"]) == []
    assert store.list(Kind.TEAM, ALL, EntityPage()) == Listing([Entity(Kind.TEAM, "b")], 1)


def test_folds_add_to_what_entities_have_spent_and_a_reset_sets_it(store):
    ids = {Kind.KEY: digest("k"), Kind.TEAM: "t", Kind.USER: "u", Kind.ORGANIZATION: "o", Kind.CUSTOMER: "c"}
    row = SpendRow("r", 1e9, api_key=ids[Kind.KEY], team_id="t", user="u", organization_id="o", end_user="c", spend=4)
    changes = [Entity(kind, name) for kind, name in ids.items()]
    store.fold(Batch((1, 1), [row, row], changes))
    store.fold(Batch((1, 2), [row._replace(start_time=2e9)]))
    assert {kind: store.get(kind, name).spend for kind, name in ids.items()} == dict.fromkeys(ids, 12)
    assert store.set_spend(Kind.TEAM, "t", 1) == 12
    assert store.get(Kind.TEAM, "t").spend == 1
    assert store.set_spend(Kind.TEAM, "nobody", 1) is None
    store.fold(Batch((1, 3), changes=[Gone(Kind.TEAM, "t"), Entity(Kind.USER, "u", "new name")]))
    assert store.get(Kind.TEAM, "t") is None
    assert (store.get(Kind.USER, "u").alias, store.get(Kind.USER, "u").spend) == ("new name", 12)


def test_lists_are_filtered_sorted_and_paged(store):
    for number in range(25):
        entity = key(
            f"key-{number:02}", user_id=f"u{number % 3}", team_id=f"t{number % 2}", blocked=number % 5 == 0,
            spend=number % 4, created_at=float(number), max_budget=number or None,
        )  # fmt: skip
        store.put(entity)
    store.put(Entity(Kind.TEAM, "t0"))
    first = store.list(Kind.KEY, ALL, EntityPage())
    assert ([one.alias for one in first.entities], first.total) == ([f"key-{n:02}" for n in range(24, 14, -1)], 25)
    for sort_by, descending in itertools.product(["spend", "alias", "id", "max_budget", "expires"], [True, False]):
        pages = [store.list(Kind.KEY, ALL, EntityPage(page, 7, sort_by, descending)).entities for page in range(1, 6)]
        assert [len(page) for page in pages] == [7, 7, 7, 4, 0]
        every = [one for page in pages for one in page]
        assert len({one.id for one in every}) == 25
        order = sorted(every, key=lambda one: (getattr(one, sort_by) or 0, one.id), reverse=descending)
        assert every == order
    some = store.list(Kind.KEY, EntityFilter(user_id="u1", team_id="t0", blocked=False), EntityPage(sort_by="alias"))
    assert [one.alias for one in some.entities] == ["key-22", "key-16", "key-04"]
    assert store.list(Kind.KEY, EntityFilter(alias="key-07"), EntityPage()).total == 1
    assert store.list(Kind.KEY, EntityFilter(id=digest("sk-key-07")), EntityPage()).total == 1
    assert store.list(Kind.KEY, EntityFilter(organization_id="' OR 1 = 1 --"), EntityPage()).total == 0


@pytest.mark.parametrize(
    "page", [EntityPage(0), EntityPage(1, 0), EntityPage(1, 1001), EntityPage(sort_by="id; DROP TABLE entities")]
)
def test_a_page_that_cannot_be_is_an_error(store, page):
    with pytest.raises(StoreError, match="no such page"):
        store.list(Kind.KEY, ALL, page)


def test_half_a_character_is_stored_as_a_question_mark(store):
    store.put(Entity(Kind.TEAM, "t\ud800", "\0'é\udfff", document={"\ud800": "\udfff"}))
    assert store.get(Kind.TEAM, "t\ud800").alias == "\0'é?"
    assert store.get(Kind.TEAM, "t?").document == {"\ud800": "\udfff"}


def test_all_of_a_kind_are_given_as_the_request_path_keeps_them(store):
    put = [key("a", team_id="t", blocked=True, expires=1.5, document={"models": ["é"]}), key("b")]
    for entity in (*put, Entity(Kind.TEAM, "t")):
        store.put(entity)
    found = {row.id: row for row in store.entities(Kind.KEY)}
    assert found == {entity.id: row_of(entity) for entity in put}
    assert list(store.entities(Kind.TEAM)) == [Row("t")]
    assert list(store.entities(Kind.USER)) == []
    store.put(key("c"))
