"""Containers: equality all the way down, membership, positions and keys."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.expr import operators as op
from engine.expr.values import (
    MAX_INT,
    MAX_UINT,
    MIN_INT,
    NONE,
    EvaluationError,
    Map,
    Optional,
    Timestamp,
    TypeValue,
    Uint,
)

numbers = st.one_of(st.integers(MIN_INT, MAX_INT), st.integers(0, MAX_UINT).map(Uint), st.floats(allow_nan=False))
keys = st.one_of(st.text(max_size=3), st.booleans(), st.integers(MIN_INT, MAX_INT), st.integers(0, MAX_UINT).map(Uint))
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=4), st.binary(max_size=4))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.lists(st.tuples(keys, inner), max_size=3).map(Map),
        inner.map(Optional),
    ),
    max_leaves=8,
)


def copied(value):
    """Return the same value, made of other objects."""
    if isinstance(value, list):
        return [copied(one) for one in value]
    if isinstance(value, dict):
        return type(value)((key, copied(one)) for key, one in reversed(list(value.items())))
    return Optional(copied(value.value)) if isinstance(value, Optional) and value.present else value


@given(values)
def test_a_value_equals_its_copy(value):
    assert op.equal(value, copied(value))
    assert op.contains_in(value, ["x", copied(value)])


@given(values, values)
def test_equality_is_symmetric(left, right):
    assert op.equal(left, right) is op.equal(right, left)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ([1, 2], [Uint(1), 2.0], True),
        ([1], [True], False),
        ([1], [1, 1], False),
        ({"a": [1]}, {"a": [1.0]}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": None}, {"b": None}, False),
        (Map([(1, 1.0), (Uint(2), 3)]), Map([(2, 3), (Uint(1), 1)]), True),
        (Map([(True, 1)]), Map([(1, 1)]), False),
        (Map([("a", 1)]), {"a": 1}, True),
        ({}, [], False),
        ([Timestamp(1)], [1], False),
        ([TypeValue("int")], ["int"], False),
        (Optional(1), Optional(1.0), True),
        (Optional(None), NONE, False),
        (NONE, Optional(present=False), True),
        ([Optional([1])], [Optional([2])], False),
    ],
)
def test_equality_goes_all_the_way_down(left, right, same):
    assert op.equal(left, right) is same
    assert op.equal(right, left) is same


def test_deep_values_are_compared_without_recursion():
    left, right = [1], [1]
    for _ in range(100_000):
        left, right = [left], [right]
    assert op.equal(left, right)
    while isinstance(left, list):  # else taking them apart recurses
        left, right = left[0], right[0]


@pytest.mark.parametrize(
    ("element", "container", "there"),
    [
        ("b", ["a", "b"], True),
        ("int", [TypeValue("int")], False),
        ("int", [TypeValue("int"), "int"], True),
        (1, [True], False),
        (1, [True, 1.0], True),
        (True, [1], False),
        (True, [1, True], True),
        (1.0, [Uint(1)], True),
        (2**53 + 1, [2.0**53], True),
        (None, [0, None], True),
        ([1], [[1.0]], True),
        ("a", {"a": 1}, True),
        (1, {"1": 1}, False),
        (1.0, Map([(1, "x")]), True),
        (1.5, Map([(1, "x")]), False),
        (True, Map([(1, "x")]), False),
        (True, Map([(True, "x")]), True),
    ],
)
def test_membership(element, container, there):
    assert op.contains_in(element, container) is there


@pytest.mark.parametrize("element", [None, b"a", [1], Timestamp(1), TypeValue("a"), Optional("a")])
def test_what_no_map_has_for_a_key_is_not_sought_in_one(element):
    for call in (op.contains_in, lambda key, container: op.index(container, key)):
        for container in ({"a": 1}, Map([(1, 1)])):
            with pytest.raises(EvaluationError, match="no such overload"):
                call(element, container)


@pytest.mark.parametrize(
    ("container", "key", "found"),
    [
        ([7, 8], 1, 8),
        ([7, 8], Uint(1), 8),
        ([7, 8], 1.0, 8),
        ({"a": 1}, "a", 1),
        (Map([(1, "x"), (True, "y"), ("z", "w")]), Uint(1), "x"),
        (Map([(1, "x"), (True, "y"), ("z", "w")]), 1.0, "x"),
        (Map([(1, "x"), (True, "y"), ("z", "w")]), True, "y"),
        (Map([(1, "x"), (True, "y"), ("z", "w")]), "z", "w"),
    ],
)
def test_index(container, key, found):
    assert op.index(container, key) == found
    assert op.find(container, key).value == found
    assert op.find(Optional(container), key).value == found
    assert op.index(Optional(container), key).value == found
    assert op.find(NONE, key) is NONE


@pytest.mark.parametrize(
    ("container", "key", "reason"),
    [
        ([7, 8], 2, "index out of range"),
        ([7, 8], -1, "index out of range"),
        ([7, 8], math.inf, "invalid argument"),
        ([7, 8], 0.5, "invalid argument"),
        ([7, 8], True, r"no such overload: list\[bool\]"),
        ([7, 8], "0", r"no such overload: list\[string\]"),
        ({"a": 1}, "b", "no such key"),
        ({"a": 1}, 1, "no such key"),
        (Map([(1, 1)]), True, "no such key"),
        (Map([(True, 1)]), False, "no such key"),
        (Map([(True, 1)]), 1, "no such key"),
        (Map([(1, 1)]), 1.5, "no such key"),
        ("text", 0, r"no such overload: string\[int\]"),
        (None, "a", r"no such overload: null_type\[string\]"),
    ],
)
def test_what_is_not_there_is_an_error(container, key, reason):
    with pytest.raises(EvaluationError, match=reason):
        op.index(container, key)
    if "no such overload" not in reason:
        assert op.find(container, key) is NONE


def test_a_map_gives_its_keys_as_they_were_written():
    made = op.new_map([(Uint(1), "a"), (True, "b"), ("c", "d")])
    assert [(key, type(key)) for key in made] == [(1, Uint), (True, bool), ("c", str)]
    assert list(made.items()) == [(1, "a"), (True, "b"), ("c", "d")]
    assert list(made.keys()) == [1, True, "c"]
    assert made.get(True) == made[True] == "b"
    assert made.get(False, "none") == "none"
    assert type(op.new_map([("a", 1)])) is dict


@pytest.mark.parametrize("pairs", [[("a", 1), ("a", 2)], [(1, 1), (Uint(1), 2)], [(None, 1)], [(1.0, 1)], [([], 1)]])
def test_a_map_refuses_keys(pairs):
    with pytest.raises(EvaluationError, match="key"):
        op.new_map(pairs)


def test_values_pickle():
    made = [Map([(True, 1), (1, 2), ("a", 3)]), Uint(1), Timestamp(1), TypeValue("int"), Optional(1), NONE]
    again = pickle.loads(pickle.dumps(made))  # noqa: S301 - written the line before
    assert op.equal(made, again)
    assert list(map(type, again)) == list(map(type, made))
    assert again[0][True] == 1
