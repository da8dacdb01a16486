"""The operators: every type with every other, the edges of numbers and times."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.expr import operators as op
from engine.expr.network import CidrValue, IpValue
from engine.expr.values import (
    MAX_INT,
    MAX_ITEMS,
    MAX_TEXT,
    MAX_UINT,
    MIN_INT,
    Duration,
    EvaluationError,
    LimitError,
    Optional,
    Timestamp,
    TypeValue,
    Uint,
)

SAMPLES = {
    "null_type": None,
    "bool": True,
    "int": 1,
    "uint": Uint(1),
    "double": 1.0,
    "string": "int",
    "bytes": b"int",
    "list": [1],
    "map": {"int": 1},
    "google.protobuf.Timestamp": Timestamp(1),
    "google.protobuf.Duration": Duration(1),
    "type": TypeValue("int"),
    "optional_type": Optional(1),
    "net.IP": IpValue(4, 1),
    "net.CIDR": CidrValue(4, 1, 32),
}
NUMBERS = {"int", "uint", "double"}
ARITHMETIC = {
    op.add: ("+", {(name, name) for name in [*NUMBERS, "string", "bytes", "list"]}),
    op.subtract: ("-", {(name, name) for name in NUMBERS}),
    op.multiply: ("*", {(name, name) for name in NUMBERS}),
    op.divide: ("/", {(name, name) for name in NUMBERS}),
    op.modulo: ("%", {("int", "int"), ("uint", "uint")}),
}
TIMES = {
    op.add: {"TimestampDuration", "DurationTimestamp", "DurationDuration"},
    op.subtract: {"TimestampTimestamp", "TimestampDuration", "DurationDuration"},
}
ORDERED = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
]

ints = st.one_of(
    st.integers(MIN_INT, MAX_INT), st.sampled_from([MIN_INT, MIN_INT + 1, -1, 0, 1, 2**53, 2**53 + 1, MAX_INT])
)
uints = st.integers(0, MAX_UINT).map(Uint)
doubles = st.floats(allow_nan=False)
numbers = st.one_of(ints, uints, doubles)


def outcome(call, *arguments):
    try:
        return call(*arguments)
    except EvaluationError:
        return "error"


@pytest.mark.parametrize("call", ARITHMETIC)
def test_arithmetic_takes_one_type_and_names_what_it_refuses(call):
    sign, allowed = ARITHMETIC[call]
    for left, one in SAMPLES.items():
        for right, other in SAMPLES.items():
            times = f"{left}{right}".replace("google.protobuf.", "")
            if (left, right) in allowed or times in TIMES.get(call, ()):
                call(one, other)
                continue
            with pytest.raises(EvaluationError) as error:
                call(one, other)
            assert str(error.value) == f"no such overload: {left} {sign} {right}"


@pytest.mark.parametrize(("call", "sign"), [(op.less, "<"), (op.less_equal, "<="), (op.greater, ">")])
def test_ordering_takes_one_ordered_type_or_numbers(call, sign):
    for left, one in SAMPLES.items():
        for right, other in SAMPLES.items():
            if (left == right and left in ORDERED) or {left, right} <= NUMBERS:
                assert call(one, other) is (sign == "<=")
                continue
            with pytest.raises(EvaluationError) as error:
                call(one, other)
            assert str(error.value) == f"no such overload: {left} {sign} {right}"


def test_equality_tells_all_types_apart_but_numbers():
    for left, one in SAMPLES.items():
        for right, other in SAMPLES.items():
            assert op.equal(one, other) is (left == right or {left, right} <= NUMBERS), (left, right)
            assert op.not_equal(one, other) is not op.equal(one, other)


@pytest.mark.parametrize("call", [op.negate, op.logical_not])
def test_one_sided_operators_take_their_types_only(call):
    allowed = {"int", "double"} if call is op.negate else {"bool"}
    taken = {name for name, value in SAMPLES.items() if outcome(call, value) != "error"}
    assert taken == allowed


@pytest.mark.parametrize(
    ("call", "left", "right"),
    [
        (op.add, MAX_INT, 1),
        (op.add, MIN_INT, -1),
        (op.subtract, MIN_INT, 1),
        (op.subtract, 0, MIN_INT),
        (op.multiply, MIN_INT, -1),
        (op.multiply, 2**32, 2**32),
        (op.divide, MIN_INT, -1),
        (op.modulo, MIN_INT, -1),
        (op.add, Uint(MAX_UINT), Uint(1)),
        (op.subtract, Uint(0), Uint(1)),
        (op.multiply, Uint(2**32), Uint(2**32)),
    ],
)
def test_overflow_is_an_error(call, left, right):
    with pytest.raises(EvaluationError, match="overflow"):
        call(left, right)


@pytest.mark.parametrize("kind", [int, Uint])
def test_integers_are_not_divided_by_zero(kind):
    with pytest.raises(EvaluationError, match="division by zero"):
        op.divide(kind(1), kind(0))
    with pytest.raises(EvaluationError, match="modulus by zero"):
        op.modulo(kind(1), kind(0))


@pytest.mark.parametrize(
    ("left", "right", "quotient"),
    [(1.0, 0.0, math.inf), (-1.0, 0.0, -math.inf), (1.0, -0.0, -math.inf), (math.inf, 0.0, math.inf)],
)
def test_doubles_are_divided_as_ieee_says(left, right, quotient):
    assert op.divide(left, right) == quotient


def test_zero_by_zero_is_no_number():
    assert math.isnan(op.divide(0.0, 0.0))
    assert math.isnan(op.divide(math.nan, -0.0))


@pytest.mark.parametrize(
    ("left", "right", "quotient", "rest"),
    [(7, 2, 3, 1), (-7, 2, -3, -1), (7, -2, -3, 1), (-7, -2, 3, -1), (0, -3, 0, 0)],
)
def test_division_is_truncated(left, right, quotient, rest):
    assert (op.divide(left, right), op.modulo(left, right)) == (quotient, rest)


@given(ints, ints)
def test_quotient_and_rest_make_the_number_again(left, right):
    if right != 0 and (left, right) != (MIN_INT, -1):
        quotient, rest = op.divide(left, right), op.modulo(left, right)
        assert quotient * right + rest == left
        assert abs(rest) < abs(right)
        assert rest == 0 or (rest < 0) == (left < 0)


@given(uints, uints)
def test_unsigned_results_are_unsigned(left, right):
    for call in ARITHMETIC:
        made = outcome(call, left, right)
        assert made == "error" or type(made) is Uint


@given(numbers, numbers)
def test_numbers_stand_on_one_line(left, right):
    """Two of them compare as fractions do, an integer beside a double as the nearest double."""
    mixed = isinstance(left, float) or isinstance(right, float)
    one, other = (float(left), float(right)) if mixed else (left, right)
    if not (math.isinf(one) or math.isinf(other)):
        one, other = Fraction(one), Fraction(other)
    assert op.less(left, right) is (one < other)
    assert op.less_equal(left, right) is (one <= other)
    assert op.greater(left, right) is (one > other)
    assert op.greater_equal(left, right) is (one >= other)
    assert op.equal(left, right) is (one == other)


def test_nan_is_beside_the_line():
    for other in (math.nan, 1, Uint(1), 1.0):
        assert op.equal(math.nan, other) is False
        assert op.less(math.nan, other) is op.greater_equal(math.nan, other) is False
    kept = math.nan
    assert op.equal([kept], [kept]) is op.contains_in(kept, [kept]) is False


@pytest.mark.parametrize(
    ("call", "left", "right"),
    [
        (op.add, Timestamp(op.MAX_TIMESTAMP), Duration(1)),
        (op.add, Duration(1), Timestamp(op.MAX_TIMESTAMP)),
        (op.subtract, Timestamp(op.MIN_TIMESTAMP), Duration(1)),
        (op.subtract, Timestamp(op.MIN_TIMESTAMP), Timestamp(op.MAX_TIMESTAMP)),
        (op.add, Duration(MAX_INT), Duration(1)),
        (op.subtract, Duration(MIN_INT), Duration(1)),
    ],
)
def test_times_have_a_range(call, left, right):
    with pytest.raises(EvaluationError, match="range error"):
        call(left, right)


def test_times_add_up_to_times():
    assert op.add(Timestamp(5), Duration(3)) == 8
    assert type(op.add(Duration(3), Timestamp(5))) is Timestamp
    assert type(op.subtract(Timestamp(5), Timestamp(3))) is Duration
    assert type(op.subtract(Timestamp(5), Duration(3))) is Timestamp


@pytest.mark.parametrize(
    ("part", "whole"),
    [("x" * (MAX_TEXT // 2), "x"), (b"x" * (MAX_TEXT // 2), b"x"), ([0] * (MAX_ITEMS // 2), [0])],
)
def test_what_grows_has_a_limit(part, whole):
    assert len(op.add(part, part)) == len(part) * 2
    with pytest.raises(LimitError):
        op.add(op.add(part, part), whole)


def test_strings_order_by_code_points():
    assert op.less("\uffff", "\U00010000")
    assert op.less("Z", "a")
    assert op.less("", "a")
