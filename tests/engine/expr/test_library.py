"""What all functions promise: they take what their signatures say, give what those say, and fail in two ways only."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expr.faults import type_name
from engine.expr.library import FUNCTIONS, TYPES
from engine.expr.network import CidrValue, IpValue
from engine.expr.values import (
    MAX_INT,
    MAX_UINT,
    MIN_INT,
    NONE,
    Duration,
    EvaluationError,
    LimitError,
    Map,
    Optional,
    Timestamp,
    TypeValue,
    Uint,
)

SECRET = "opensesame"
"""A value that no message may hold; it is a text of every kind but a number."""

BY_TYPE = {
    "null_type": st.none(),
    "bool": st.booleans(),
    "int": st.one_of(st.integers(MIN_INT, MAX_INT), st.integers(-3, 70)),
    "uint": st.integers(0, MAX_UINT).map(Uint),
    "double": st.floats(),
    "string": st.one_of(
        st.text(max_size=8), st.sampled_from([SECRET, "%s", "1", "10.0.0.0/8", "::1", "1h", "UTC", "("])
    ),
    "bytes": st.binary(max_size=8),
    "list": st.lists(st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=3), st.just([SECRET])), max_size=4),
    "map": st.one_of(st.dictionaries(st.text(max_size=3), st.integers(), max_size=3), st.just(Map([(True, SECRET)]))),
    "google.protobuf.Timestamp": st.integers(-62135596800, 253402300799).map(lambda s: Timestamp(s * 10**9)),
    "google.protobuf.Duration": st.integers(MIN_INT, MAX_INT).map(Duration),
    "type": st.just(TypeValue(SECRET)),
    "optional_type": st.sampled_from([NONE, Optional(SECRET)]),
    "net.IP": st.integers(0, 2**32 - 1).map(lambda number: IpValue(4, number)),
    "net.CIDR": st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda pair: CidrValue(4, *pair)),
}
RUNTIME = {
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
    "optional": "optional_type",
    "ip": "net.IP",
    "cidr": "net.CIDR",
}
anything = st.one_of(*BY_TYPE.values())


def fitting(kind):
    """Return values of a type as a signature writes it."""
    if kind.name == "list" and kind.parameters[0].name not in {"dyn", "$A"}:
        return st.lists(fitting(kind.parameters[0]), max_size=4)
    if kind.name == "optional":
        return st.one_of(st.just(NONE), anything.map(Optional))
    return BY_TYPE.get(RUNTIME.get(kind.name, kind.name), anything)


def fits(value, kind):
    """Whether a value is of a type as a signature writes it."""
    if kind.name == "list" and isinstance(value, list):
        return all(fits(one, kind.parameters[0]) for one in value)
    return kind.name == "dyn" or kind.name.startswith("$") or type_name(value) == RUNTIME.get(kind.name, kind.name)


def outcome(function, arguments):
    """Return what a call makes, or the message of one of the two errors it may raise."""
    try:
        return function.call(*arguments), ""
    except (EvaluationError, LimitError) as error:
        message = str(error)
    assert message
    assert SECRET not in message
    return None, message


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_signatures_are_kept(name, data):
    function = FUNCTIONS[name]
    signature = data.draw(st.sampled_from(function.signatures))
    arguments = [data.draw(fitting(kind)) for kind in signature.params]
    if signature.variadic:
        arguments += data.draw(st.lists(fitting(signature.params[-1]), max_size=3))
    made, message = outcome(function, arguments)
    if message:
        broad = any(kind.name in {"dyn", "list"} for kind in signature.params)
        assert broad or "no such overload" not in message
    else:
        assert fits(made, signature.result)


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whatever_is_given_only_two_errors_come(name, data):
    function = FUNCTIONS[name]
    count = len(data.draw(st.sampled_from(function.signatures)).params)
    arguments = [data.draw(anything) for _ in range(count)]
    outcome(function, arguments)


def test_types_have_the_names_that_values_answer():
    assert {FUNCTIONS["type"].call(one) for one in (1, [], NONE, Timestamp(0), IpValue(4, 0))} == {
        TYPES[name] for name in ("int", "list", "optional_type", "google.protobuf.Timestamp", "net.IP")
    }
    assert FUNCTIONS["type"].call(TYPES["int"]) == TYPES["type"]


def test_every_function_has_its_own_name_and_a_signature():
    assert all(name == function.name and function.signatures for name, function in FUNCTIONS.items())
