"""Strings: positions at their edges, what grows, and formatting."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.expr.formatting import MAX_NESTING, MAX_PRECISION
from engine.expr.library import FUNCTIONS
from engine.expr.values import (
    MAX_ITEMS,
    MAX_TEXT,
    Duration,
    EvaluationError,
    LimitError,
    Map,
    Optional,
    Timestamp,
    TypeValue,
    Uint,
)


def call(name, *arguments):
    return FUNCTIONS[name].call(*arguments)


def formatted(text, *values):
    return call("format", text, list(values))


@pytest.mark.parametrize(
    ("name", "arguments", "made"),
    [
        ("charAt", ("añb", 1), "ñ"),
        ("charAt", ("añb", 3), ""),
        ("indexOf", ("banana", "an"), 1),
        ("indexOf", ("banana", "an", 2), 3),
        ("indexOf", ("banana", "an", 6), -1),
        ("indexOf", ("banana", "", 6), 6),
        ("indexOf", ("", "", 0), 0),
        ("indexOf", ("ab", "abc"), -1),
        ("indexOf", ("🐍x🐍", "x"), 1),
        ("lastIndexOf", ("banana", "an"), 3),
        ("lastIndexOf", ("banana", "an", 3), 3),
        ("lastIndexOf", ("banana", "an", 2), 1),
        ("lastIndexOf", ("banana", "an", 0), -1),
        ("lastIndexOf", ("banana", ""), 6),
        ("lastIndexOf", ("banana", "", 2), 2),
        ("lastIndexOf", ("ab", "abc", 1), -1),
        ("substring", ("banana", 2), "nana"),
        ("substring", ("banana", 6), ""),
        ("substring", ("banana", 2, 4), "na"),
        ("substring", ("banana", 0, 0), ""),
        ("trim", ("\u3000\t x \u2003\x85",), "x"),
        ("trim", ("\x1cx\u200b",), "\x1cx\u200b"),
        ("lowerAscii", ("ÀBC",), "Àbc"),
        ("lowerAscii", ("ABC",), "abc"),
        ("upperAscii", ("àbcß",), "àBCß"),
        ("upperAscii", ("ab1",), "AB1"),
        ("replace", ("aaa", "a", "bb"), "bbbbbb"),
        ("replace", ("aaa", "a", "b", 2), "bba"),
        ("replace", ("aaa", "a", "b", 0), "aaa"),
        ("replace", ("aaa", "a", "b", -7), "bbb"),
        ("replace", ("ab", "", "-"), "-a-b-"),
        ("replace", ("ab", "", "-", 2), "-a-b"),
        ("split", ("a,b,c", ","), ["a", "b", "c"]),
        ("split", ("a,b,c", ",", 2), ["a", "b,c"]),
        ("split", ("a,b,c", ",", 1), ["a,b,c"]),
        ("split", ("a,b,c", ",", 0), []),
        ("split", ("a,b,c", ",", -1), ["a", "b", "c"]),
        ("split", ("a,b", ",", 9), ["a", "b"]),
        ("split", ("añb", ""), ["a", "ñ", "b"]),
        ("split", ("añb", "", 2), ["a", "ñb"]),
        ("split", ("añb", "", 3), ["a", "ñ", "b"]),
        ("split", ("", ","), [""]),
        ("join", (["a", "b"],), "ab"),
        ("join", (["a", "b"], ", "), "a, b"),
        ("join", ([], ", "), ""),
        ("reverse", ("añ🐍",), "🐍ña"),
        ("size", ("añ🐍",), 3),
        ("strings.quote", ('\a\b\f\n\r\t\v\\"x\x00',), '"\\a\\b\\f\\n\\r\\t\\v\\\\\\"x\x00"'),
        ("strings.quote", ("\ud800",), '"\ufffd"'),
        ("contains", ("banana", "nan"), True),
        ("startsWith", ("banana", "nan"), False),
        ("endsWith", ("banana", "ana"), True),
    ],
)
def test_strings(name, arguments, made):
    assert call(name, *arguments) == made


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("charAt", ("ab", 3)),
        ("charAt", ("ab", -1)),
        ("indexOf", ("ab", "a", 3)),
        ("indexOf", ("ab", "a", -1)),
        ("lastIndexOf", ("ab", "a", 3)),
        ("lastIndexOf", ("ab", "a", -1)),
        ("substring", ("ab", 3)),
        ("substring", ("ab", -1)),
        ("substring", ("ab", 0, 3)),
        ("substring", ("ab", -1, 1)),
    ],
)
def test_positions_outside_are_errors(name, arguments):
    with pytest.raises(EvaluationError, match=f"{name}: index out of range: the string has 2 characters"):
        call(name, *arguments)


def test_an_end_before_the_start_is_an_error():
    with pytest.raises(EvaluationError, match="the end is before the start"):
        call("substring", "banana", 3, 2)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("replace", ("x" * 1024, "x", "y" * 1025)),
        ("replace", ("x" * 1024, "", "y" * 1024)),
        ("join", (["x" * 1024] * 1025,)),
        ("join", ([""] * 1026, "x" * 1024)),
        ("split", ("," * MAX_ITEMS, ",")),
        ("split", ("x" * (MAX_ITEMS + 1), "")),
        ("strings.quote", ("x" * MAX_TEXT,)),
        ("strings.quote", ("\n" * (MAX_TEXT // 2),)),
        *((name, ("x" * (MAX_TEXT + 1),)) for name in ("trim", "lowerAscii", "upperAscii", "reverse", "bytes")),
        ("lowerAscii", ("ñ" * (MAX_TEXT + 1),)),
        ("bytes", ("ñ" * (MAX_TEXT // 2 + 1),)),
        ("string", (b"x" * (MAX_TEXT + 1),)),
        ("substring", ("x" * (MAX_TEXT + 3), 2)),
        ("replace", ("x" * (MAX_TEXT + 3), "y", "z")),
        ("base64.decode", ("A" * (MAX_TEXT // 3 * 4 + 8),)),
        ("format", ("%s" * 1025, ["x" * 1024] * 1025)),
        ("format", ("%x", ["x" * (MAX_TEXT // 2 + 1)])),
    ],
)
def test_what_would_exceed_its_limit_is_refused(name, arguments):
    with pytest.raises(LimitError):
        call(name, *arguments)


def test_what_just_fits_is_made():
    assert len(call("replace", "x" * 1024, "x", "y" * 1024)) == MAX_TEXT
    assert len(call("replace", "x" * 1024, "x", "y" * 2048, 3)) == 1021 + 3 * 2048
    assert len(call("split", "," * (MAX_ITEMS - 1), ",")) == MAX_ITEMS
    assert len(call("split", "x" * MAX_TEXT, "", 2)) == 2
    assert call("replace", "x" * MAX_TEXT, "x", "") == ""


@given(st.text(alphabet="ab", max_size=12), st.text(alphabet="ab", max_size=2))
def test_splitting_and_joining_are_inverse(text, separator):
    if separator:
        assert call("join", call("split", text, separator), separator) == text
        assert call("replace", text, separator, "c") == call("join", call("split", text, separator), "c")


@pytest.mark.parametrize(
    ("text", "values", "made"),
    [
        ("%s and %s", ("a", 1), "a and 1"),
        ("100%%", (), "100%"),
        ("%s", (1.0,), "1"),
        ("%s", (1e21,), "1" + "0" * 21),
        ("%s", (1e-7,), "0.0000001"),
        ("%s", (-0.0,), "-0"),
        ("%s", (math.inf,), "Infinity"),
        ("%s", (None,), "null"),
        ("%s", (True,), "true"),
        ("%s", (Uint(7),), "7"),
        ("%s", (b"a\xff\xfe\xffb\xff",), "a\ufffdb\ufffd"),
        ("%s", ("\ufffd\ufffd".encode(),), "\ufffd\ufffd"),
        ("%s", (TypeValue("int"),), "int"),
        ("%s", (Timestamp(1_500_000_000),), "1970-01-01T00:00:01.5Z"),
        ("%s", (Duration(-1_500_000_000),), "-1.5s"),
        ("%s", ([1, "a", [None, 0.5]],), "[1, a, [null, 0.5]]"),
        ("%s", ({"b": [], "a": {}},), "{a: {}, b: []}"),
        ("%s", (Map([(10, "x"), (9, "y"), (True, "z")]),), "{10: x, 9: y, true: z}"),
        ("%d", (-7,), "-7"),
        ("%d", (3.14,), "3.14"),
        ("%d", (math.nan,), "NaN"),
        ("%f", (2,), "2.000000"),
        ("%.2f", (0.125,), "0.12"),
        ("%.0f", (1.5,), "2"),
        ("%f", (-math.inf,), "-Infinity"),
        ("%e", (1234567.0,), "1.234567e+06"),
        ("%.1e", (Uint(0),), "0.0e+00"),
        ("%b %b %b", (-5, True, False), "-101 1 0"),
        ("%o", (-8,), "-10"),
        ("%x %X", (255, Uint(255)), "ff FF"),
        ("%x", ("ñ",), "c3b1"),
        ("%X", (b"\xab\x01",), "AB01"),
        ("%x", (-255,), "-ff"),
        ("unused", (1, 2), "unused"),
        ("%.3s", ("abcdef",), "abcdef"),
    ],
)
def test_format(text, values, made):
    assert formatted(text, *values) == made


@pytest.mark.parametrize(
    ("text", "values", "reason"),
    [
        ("%s", (), "more clauses than the list has values, 0"),
        ("%s %s", (1,), "more clauses than the list has values, 1"),
        ("ab %y", (1,), "no such clause at position 3"),
        ("%", (), "no such clause at position 0"),
        ("%5d", (1,), "no such clause"),
        ("%.f", (1,), "no such clause"),
        (f"%.{MAX_PRECISION + 1}f", (1,), "precision"),
        ("%d", ("1",), "%d does not take value 0 of the list, a string"),
        ("%s%b", (1, 1.5), "%b does not take value 1 of the list, a double"),
        ("%f", (None,), "%f does not take value 0 of the list, a null_type"),
        ("%e", (True,), "%e does not take"),
        ("%o", (1.0,), "%o does not take"),
        ("%x", (1.0,), "%x does not take"),
        ("%X", ([],), "%X does not take"),
        ("%s", (Optional(1),), "optional_type"),
    ],
)
def test_format_refuses(text, values, reason):
    with pytest.raises(EvaluationError, match=reason):
        formatted(text, *values)


def test_format_does_not_follow_endless_values():
    deep = []
    for _ in range(MAX_NESTING):
        deep = [deep]
    with pytest.raises(LimitError):
        formatted("%s", deep)
    many = ["x" * 1000]
    for _ in range(40):
        many = [many, many]
    with pytest.raises(LimitError):
        formatted("%s", many)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back_from_its_digits(number):
    assert float(formatted("%s", number)) == number
    assert float(call("string", number)) == number
    assert "e" not in formatted("%d", number)
