"""Conversions and mathematics: ranges, roundings, bits."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.expr.library import FUNCTIONS
from engine.expr.network import CidrValue, IpValue
from engine.expr.values import MAX_INT, MAX_UINT, MIN_INT, Duration, EvaluationError, Timestamp, Uint

INF, NAN = math.inf, math.nan


def call(name, *arguments):
    return FUNCTIONS[name].call(*arguments)


def same(made, expected):
    """Whether class, value and sign are the same; NaN is itself here."""
    return type(made) is type(expected) and repr(made) == repr(expected)


@pytest.mark.parametrize(
    ("name", "value", "made"),
    [
        ("int", 7, 7),
        ("int", Uint(MAX_INT), MAX_INT),
        ("int", -1.9, -1),
        ("int", 9223372036854774784.0, 9223372036854774784),
        ("int", "-0042", -42),
        ("int", "+1", 1),
        ("int", str(MIN_INT), MIN_INT),
        ("int", Timestamp(-1), -1),
        ("uint", 7, Uint(7)),
        ("uint", 1.9, Uint(1)),
        ("uint", -0.0, Uint(0)),
        ("uint", str(MAX_UINT), Uint(MAX_UINT)),
        ("double", 2**53 + 1, float(2**53)),
        ("double", Uint(MAX_UINT), 2.0**64),
        ("double", "-1.5E3", -1500.0),
        ("double", ".5", 0.5),
        ("double", "5.", 5.0),
        ("double", "1e-999", 0.0),
        ("double", "-inf", -INF),
        ("double", "+Infinity", INF),
        ("double", "NaN", NAN),
        ("bool", True, True),
        ("bool", "t", True),
        ("bool", "FALSE", False),
        ("bytes", "ñ", b"\xc3\xb1"),
        ("bytes", b"x", b"x"),
        ("bytes", "\ud800", b"?"),
        ("string", MIN_INT, str(MIN_INT)),
        ("string", Uint(7), "7"),
        ("string", True, "true"),
        ("string", "x", "x"),
        ("string", b"\xc3\xb1", "ñ"),
        ("string", 1.0, "1"),
        ("string", -0.0, "-0"),
        ("string", 0.0001, "0.0001"),
        ("string", 0.00001, "1e-05"),
        ("string", 999999.5, "999999.5"),
        ("string", 1000000.0, "1e+06"),
        ("string", -1234567.5, "-1.2345675e+06"),
        ("string", 1e23, "1e+23"),
        ("string", 5e-324, "5e-324"),
        ("string", INF, "Infinity"),
        ("string", NAN, "NaN"),
        ("string", Timestamp(0), "1970-01-01T00:00:00Z"),
        ("string", Duration(1), "0.000000001s"),
        ("string", IpValue(4, 1), "0.0.0.1"),
        ("string", CidrValue(6, 0, 0), "::/0"),
        ("dyn", None, None),
    ],
)
def test_conversions(name, value, made):
    assert same(call(name, value), made)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("int", Uint(MAX_INT + 1)),
        ("int", 2.0**63),
        ("int", -(2.0**63)),
        ("int", NAN),
        ("int", str(MAX_INT + 1)),
        ("int", " 1"),
        ("int", "1_000"),
        ("int", "0x1"),
        ("int", "٣"),
        ("int", ""),
        ("int", "9" * 10_000),
        ("int", True),
        ("int", Duration(1)),
        ("uint", -1),
        ("uint", -0.5),
        ("uint", 2.0**64),
        ("uint", NAN),
        ("uint", "-0"),
        ("uint", str(MAX_UINT + 1)),
        ("uint", True),
        ("double", "1e999"),
        ("double", "1_0.5"),
        ("double", "0x1p-2"),
        ("double", " 1"),
        ("double", "1.5f"),
        ("double", "."),
        ("double", True),
        ("bool", "tRUE"),
        ("bool", "T"),
        ("bool", 1),
        ("bytes", 1),
        ("string", b"\xff"),
        ("string", None),
        ("string", []),
    ],
)
def test_what_does_not_fit_is_an_error(name, value):
    with pytest.raises(EvaluationError):
        call(name, value)


@pytest.mark.parametrize(
    ("name", "arguments", "made"),
    [
        ("math.greatest", (1, 2.5, Uint(2)), 2.5),
        ("math.greatest", (1, 1.0), 1),
        ("math.greatest", (1.0, 1), 1.0),
        ("math.greatest", ([-1, -2],), -1),
        ("math.greatest", (-0.0, 0.0), -0.0),
        ("math.greatest", (NAN, 1.0), NAN),
        ("math.greatest", (1.0, NAN), 1.0),
        ("math.least", (MAX_INT, Uint(MAX_UINT), 1e300), MAX_INT),
        ("math.least", (Uint(1), 1), Uint(1)),
        ("math.least", ([2.5],), 2.5),
        ("math.ceil", (-0.5,), -0.0),
        ("math.ceil", (1.2,), 2.0),
        ("math.ceil", (1e300,), 1e300),
        ("math.floor", (-1.2,), -2.0),
        ("math.floor", (INF,), INF),
        ("math.trunc", (-1.9,), -1.0),
        ("math.round", (0.5,), 1.0),
        ("math.round", (-2.5,), -3.0),
        ("math.round", (-0.4,), -0.0),
        ("math.round", (0.49999999999999994,), 0.0),
        ("math.round", (4503599627370497.5,), 4503599627370498.0),
        ("math.round", (NAN,), NAN),
        ("math.abs", (-0.0,), 0.0),
        ("math.abs", (-7,), 7),
        ("math.abs", (Uint(7),), Uint(7)),
        ("math.sign", (-7,), -1),
        ("math.sign", (-0.0,), 0.0),
        ("math.sign", (NAN,), NAN),
        ("math.sign", (Uint(7),), Uint(1)),
        ("math.isNaN", (NAN,), True),
        ("math.isInf", (-INF,), True),
        ("math.isFinite", (1.0,), True),
        ("math.sqrt", (16,), 4.0),
        ("math.sqrt", (Uint(2),), 2**0.5),
        ("math.sqrt", (-1.0,), NAN),
        ("math.bitAnd", (-3, -5), -7),
        ("math.bitOr", (Uint(1), Uint(6)), Uint(7)),
        ("math.bitXor", (-1, MIN_INT), MAX_INT),
        ("math.bitNot", (Uint(0),), Uint(MAX_UINT)),
        ("math.bitNot", (-1,), 0),
        ("math.bitShiftLeft", (1, 63), MIN_INT),
        ("math.bitShiftLeft", (-1, 64), 0),
        ("math.bitShiftLeft", (Uint(3), 63), Uint(2**63)),
        ("math.bitShiftRight", (-1, 1), MAX_INT),
        ("math.bitShiftRight", (MIN_INT, 63), 1),
        ("math.bitShiftRight", (Uint(8), 2), Uint(2)),
        ("math.bitShiftRight", (8, MAX_INT), 0),
        ("math.bitShiftRight", (-8, 0), -8),
    ],
)
def test_mathematics(name, arguments, made):
    assert same(call(name, *arguments), made)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("math.greatest", ()),
        ("math.greatest", ([],)),
        ("math.greatest", ("1",)),
        ("math.greatest", (1, [2])),
        ("math.least", ([1, None],)),
        ("math.least", (True, 1)),
        ("math.ceil", (1,)),
        ("math.round", (True,)),
        ("math.abs", (MIN_INT,)),
        ("math.sign", (False,)),
        ("math.sqrt", ("4",)),
        ("math.bitAnd", (1, Uint(1))),
        ("math.bitOr", (True, True)),
        ("math.bitNot", (1.0,)),
        ("math.bitShiftLeft", (1, -1)),
        ("math.bitShiftLeft", (1, Uint(1))),
        ("math.bitShiftRight", (Uint(1), -1)),
    ],
)
def test_mathematics_refuse(name, arguments):
    with pytest.raises(EvaluationError):
        call(name, *arguments)


@given(st.integers(MIN_INT, MAX_INT))
def test_an_int_comes_back_from_its_text_and_its_bits(number):
    assert call("int", call("string", number)) == number
    assert call("math.bitNot", call("math.bitNot", number)) == number
    assert call("math.bitXor", call("math.bitOr", number, -1), -1) == 0


@given(st.floats(-1e15, 1e15))
def test_roundings_are_near(number):
    exact = Fraction(number)
    assert 0 <= exact - Fraction(call("math.floor", number)) < 1
    assert 0 <= Fraction(call("math.ceil", number)) - exact < 1
    assert abs(Fraction(call("math.round", number)) - exact) <= Fraction(1, 2)
    assert abs(call("math.trunc", number)) <= abs(number)
