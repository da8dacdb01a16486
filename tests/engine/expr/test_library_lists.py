"""Lists and sets, optionals, base64."""

from __future__ import annotations

import base64
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.expr.library import FUNCTIONS
from engine.expr.values import (
    MAX_ITEMS,
    MAX_TEXT,
    NONE,
    Duration,
    EvaluationError,
    LimitError,
    Optional,
    Timestamp,
    Uint,
)


def call(name, *arguments):
    return FUNCTIONS[name].call(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "made"),
    [
        ("size", ({"a": 1},), 1),
        ("size", (b"\xc3\xb1",), 2),
        ("reverse", ([1, 2],), [2, 1]),
        ("slice", ([1, 2, 3], 1, 3), [2, 3]),
        ("slice", ([1], 1, 1), []),
        ("flatten", ([1, [2, [3]], []],), [1, 2, [3]]),
        ("flatten", ([1, [2, [3, [4]]]], 2), [1, 2, 3, [4]]),
        ("flatten", ([[1]], 0), [[1]]),
        ("flatten", ([[[1]]], 10**9), [1]),
        ("lists.range", (3,), [0, 1, 2]),
        ("lists.range", (-1,), []),
        ("sort", ([2.5, -1.0],), [-1.0, 2.5]),
        ("sort", (["b", "a"],), ["a", "b"]),
        ("sort", ([],), []),
        ("distinct", ([1, True, 1.0, Uint(1), "1", [1], [1.0]],), [1, True, "1", [1]]),
        ("distinct", ([2.0**53, 2**53 + 1],), [2.0**53]),
        ("sets.contains", ([1, 2.0, [3]], [Uint(2), [3.0]]), True),
        ("sets.contains", ([1], [True]), False),
        ("sets.contains", ([], []), True),
        ("sets.equivalent", ([1, 1], [1.0]), True),
        ("sets.equivalent", ([1], [1, 2]), False),
        ("sets.intersects", ([1, {"a": 1}], [{"a": 1.0}]), True),
        ("sets.intersects", ([], [1]), False),
        ("sets.intersects", ([math.nan], [math.nan]), False),
        ("hasValue", (Optional(None),), True),
        ("value", (Optional([1]),), [1]),
        ("orValue", (NONE, 1), 1),
        ("orValue", (Optional(2), 1), 2),
        ("or", (NONE, NONE), NONE),
        ("optional.none", (), NONE),
        ("optional.unwrap", ([Optional(1), NONE, Optional(None)],), [1, None]),
        ("unwrapOpt", ([],), []),
        ("base64.encode", (b"\xff\xef",), "/+8="),
        ("base64.decode", ("/+8",), b"\xff\xef"),
        ("base64.decode", ("",), b""),
    ],
)
def test_calls(name, arguments, made):
    assert call(name, *arguments) == made


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("slice", ([1], 0, 2)),
        ("slice", ([1], -1, 1)),
        ("slice", ([1, 2], 2, 1)),
        ("flatten", ([], -1)),
        ("sort", ([1, "a"],)),
        ("sort", ([1, 1.0],)),
        ("sort", ([[1]],)),
        ("sort", ([None, None],)),
        ("value", (NONE,)),
        ("optional.unwrap", ([1],)),
        ("base64.decode", ("a",)),
        ("base64.decode", ("aGVsbG8==",)),
        ("base64.decode", ("aGVs bG8=",)),
        ("base64.decode", ("_-8=",)),
        ("base64.decode", ("=",)),
        ("base64.decode", ("é",)),
    ],
)
def test_calls_that_fail(name, arguments):
    with pytest.raises(EvaluationError):
        call(name, *arguments)


def test_what_would_grow_beyond_its_limit_is_refused():
    wide = [[0] * 1000] * 200
    doubled = [0]
    for _ in range(60):
        doubled = [doubled, doubled]
    different = [[number] for number in range(1000)]
    for name, arguments in [
        ("lists.range", (MAX_ITEMS + 1,)),
        ("flatten", (wide,)),
        *((name, ([0] * (MAX_ITEMS + 1),)) for name in ("reverse", "sort", "distinct")),
        ("slice", ([0] * (MAX_ITEMS + 2), 1, MAX_ITEMS + 2)),
        ("flatten", (doubled, 100)),
        ("distinct", (different,)),
        ("sets.contains", (different, different)),
        ("base64.encode", (b"x" * MAX_TEXT,)),
    ]:
        with pytest.raises(LimitError):
            call(name, *arguments)
    assert call("sets.equivalent", list(range(MAX_ITEMS)), list(range(MAX_ITEMS)))


@pytest.mark.parametrize(
    "zero", [None, False, 0, Uint(0), 0.0, -0.0, "", b"", [], {}, Timestamp(0), Duration(0)], ids=repr
)
def test_zero_values_make_no_optional(zero):
    assert call("optional.ofNonZeroValue", zero) is NONE
    assert call("optional.of", zero).value is zero


@pytest.mark.parametrize("value", [True, 1, math.nan, "0", [0], NONE])
def test_other_values_make_one(value):
    assert call("optional.ofNonZeroValue", value).value is value


@pytest.mark.parametrize(("name", "at"), [("first", 0), ("last", -1)])
def test_the_ends_of_a_list_are_optional(name, at):
    assert call(name, [1, 2]).value == [1, 2][at]
    assert call(name, []) is NONE


@given(st.binary(max_size=40))
def test_base64_comes_back(data):
    text = call("base64.encode", data)
    assert text == base64.b64encode(data).decode()
    assert call("base64.decode", text) == call("base64.decode", text.rstrip("=")) == data
