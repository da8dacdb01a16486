"""Changes of request members, on any path, leaving alone what they do not mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from engine.edit import edit
from engine.errors import ClientError
from engine.expr.values import Duration, EvaluationError, Map, Optional, Timestamp, TypeValue, Uint
from engine.policy import REMOVED, Edit


def edited(members: dict, path: str, value) -> dict:
    raw = {name: Raw(json.dumps(one).encode()) for name, one in members.items()}
    edit(raw, Edit(tuple(path.split(".")), value))
    return {name: json.loads(bytes(one)) for name, one in raw.items()}


@pytest.mark.parametrize(
    ("members", "path", "value", "after"),
    [
        ({}, "user", "u", {"user": "u"}),
        ({"user": "v", "n": 1}, "user", "u", {"user": "u", "n": 1}),
        ({}, "a.b", 1, {"a": {"b": 1}}),
        ({}, "a.b.c.d", None, {"a": {"b": {"c": {"d": None}}}}),
        ({"a": None}, "a.b", 1, {"a": {"b": 1}}),
        ({"a": {"b": None}}, "a.b.c", 1, {"a": {"b": {"c": 1}}}),
        ({"a": {"b": 1, "c": 2}}, "a.b", [3], {"a": {"b": [3], "c": 2}}),
        ({"a": {"b.c": 1}}, "a.b.c", 2, {"a": {"b.c": 1, "b": {"c": 2}}}),
        ({"a": 1}, "a", REMOVED, {}),
        ({"b": 1}, "a", REMOVED, {"b": 1}),
        ({"a": {"b": 1, "c": 2}}, "a.b", REMOVED, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, "a.b", REMOVED, {"a": {}}),
        ({"a": {}}, "a.b.c", REMOVED, {"a": {}}),
        ({}, "a.b.c", REMOVED, {}),
        ({"a": "text"}, "a.b", REMOVED, {"a": "text"}),
        ({"a": [1]}, "a.0", REMOVED, {"a": [1]}),
        ({"a": None}, "a.b", REMOVED, {"a": None}),
        ({"a": {"b": 3}}, "a.b.c.d", REMOVED, {"a": {"b": 3}}),
    ],
)
def test_a_change(members, path, value, after):
    assert edited(members, path, value) == after


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"a": "text"}, "a.b"),
        ({"a": [1]}, "a.b"),
        ({"a": 1}, "a.b.c"),
        ({"a": {"b": 3}}, "a.b.c"),
        ({"a": {"b": [{}]}}, "a.b.c.d"),
    ],
)
def test_what_would_have_to_hold_a_member_and_is_no_object_is_the_clients_mistake(members, path):
    with pytest.raises(ClientError, match=f"`{path}` cannot be set: what holds it is not an object") as caught:
        edited(members, path, 1)
    assert (caught.value.status, caught.value.param) == (400, path.split(".")[0])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Uint(7), 7),
        ([Uint(7)], [7]),
        ({"a": 1.5}, {"a": 1.5}),
        (Map([(1, 2)]), {"1": 2}),
        (10**30, 10**30),
        ("ü\n", "ü\n"),
    ],
)
def test_values_are_written_as_json(value, written):
    assert edited({}, "x", value) == {"x": written}


DEEP: list = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        {"a": Timestamp(5)},
        [Duration(5)],
        Optional(1),
        [Optional(1)],
        TypeValue("int"),
        Map([(True, 2)]),
        object(),
        DEEP,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_word_for_is_an_error_of_the_policy(value):
    with pytest.raises(EvaluationError, match="not a JSON value"):
        edited({}, "x", value)


def test_members_that_are_not_meant_keep_their_bytes():
    raw = {"a": Raw(b'{ "b" : 1.50 }'), "c": Raw(b'{ "d" : 1e3 }')}
    for path, value in ((("a", "x"), REMOVED), (("c", "d", "e"), REMOVED), (("n",), 1)):
        edit(raw, Edit(path, value))
    assert {name: bytes(one) for name, one in raw.items()} == {"a": b'{ "b" : 1.50 }', "c": b'{ "d" : 1e3 }', "n": b"1"}


KEYS = st.sampled_from(["a", "b", "c"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def put(value, path, new):
    """Say what a change comes to, by other means; raises ValueError where it cannot be made."""
    if not path:
        return new
    if value is None and new is not REMOVED:
        value = {}
    if not isinstance(value, dict):
        if new is REMOVED:
            return value
        raise ValueError
    inner = put(value.get(path[0]), path[1:], new)
    if new is REMOVED and path[0] not in value:
        return value
    return {
        **{key: one for key, one in value.items() if key != path[0]},
        **({} if inner is REMOVED else {path[0]: inner}),
    }


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=3), st.lists(KEYS, min_size=1, max_size=4), st.just(REMOVED) | JSON)
def test_any_change_of_any_members(members, path, value):
    try:
        expected = put(members, path, value)
    except ValueError:
        with pytest.raises(ClientError):
            edited(members, ".".join(path), value)
        return
    assert edited(members, ".".join(path), value) == expected
