"""Running quantiles against exact ones; what is learned of models stays bounded and can be merged."""

from __future__ import annotations

import time
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.learning import AGED, LARGEST, UNKNOWN_OUTPUT, Learned, Quantile

VALUES = st.lists(
    st.one_of(st.integers(0, 200), st.integers(0, 40_000), st.integers(0, LARGEST)), min_size=1, max_size=300
)


def exact(values: list[int], percent: int) -> int:
    return sorted(values)[-(-len(values) * percent // 100) - 1]


def learned(values: list[int], percent: int) -> Quantile:
    found = Quantile(percent)
    for value in values:
        found.add(value)
    return found


@given(VALUES, st.sampled_from([50, 95, 99]))
def test_a_read_is_never_below_the_exact_quantile_and_at_most_a_32nd_above(values, percent):
    read, wanted = learned(values, percent).read(), exact(values, percent)
    assert wanted <= read <= wanted + wanted // 32


@given(VALUES, VALUES, st.sampled_from([95, 99]))
def test_merged_halves_read_as_the_whole_in_any_order(left, right, percent):
    one, other = learned(left, percent), learned(right, percent)
    both = deepcopy(one)
    both.merge(other)
    other.merge(one)
    whole = learned([*right, *left], percent)
    assert both.read() == other.read() == whole.read()
    both.add(7)
    whole.add(7)
    assert both.read() == whole.read()


def test_nothing_merges_with_nothing():
    one = Quantile(95)
    one.merge(Quantile(95))
    assert (one.read(), one.samples) == (0, 0)


@given(st.integers())
def test_any_number_is_taken(value):
    assert learned([value], 95).read() >= min(max(value, 0), LARGEST)


def test_old_samples_fade():
    found = learned([10] * (AGED - 1), 95)
    assert found.read() == 10
    for _ in range(AGED):
        found.add(1_000)
    assert found.samples < AGED
    assert 1_000 <= found.read() <= 1_031


def test_outputs_are_learned_by_key_then_by_model():
    found = Learned()
    for _ in range(19):
        found.answered("m", "k", 40)
    assert found.output("m", "k") == UNKNOWN_OUTPUT
    found.answered("m", "other", 60)
    assert (found.output("m", "k"), found.output("m"), found.output("n")) == (40, 40, UNKNOWN_OUTPUT)
    for _ in range(20):
        found.answered("m", "other", 60)
    assert (found.output("m", "other"), found.output("m", "k"), found.output("m")) == (60, 60, 60)


def test_the_margin_is_a_quarter_until_a_hundred_samples():
    found = Learned()
    for _ in range(99):
        found.counted("m", 1_000, 1_010)
    assert (found.margin("m"), found.bound("m", 1_000), found.bound("m", 3)) == (2_500, 1_250, 4)
    found.counted("m", 1_000, 500)
    assert 100 <= found.margin("m") <= 103
    assert found.bound("m", 1_000) == 1_011
    found.counted("m", 0, 10)
    assert found.bound("m", 0) == 0


def test_no_more_than_so_many_are_kept_and_the_least_recent_go():
    found = Learned(most=8)
    for number in range(1_000):
        for _ in range(20):
            found.answered("kept", "", 5)
        found.answered(f"m{number}", f"k{number}", 9)
        found.counted(f"m{number}", 1, 1)
        assert len(found) <= 16
    assert found.output("kept") == 5


def test_what_other_processes_learned_counts_too():
    one, other = Learned(), Learned()
    for _ in range(10):
        one.answered("m", "k", 30)
        other.answered("m", "k", 30)
    for _ in range(100):
        other.counted("m", 100, 100)
    one.merge(other)
    assert (one.output("m", "k"), one.margin("m"), other.output("m")) == (30, 0, UNKNOWN_OUTPUT)


def test_an_update_is_cheap():
    found, values = Learned(), [(number * 7_919) % 3_000 for number in range(20_000)]
    best = 1e9
    for _ in range(3):
        begun = time.perf_counter()
        for value in values:
            found.counted("m", 1_000, value)
        best = min(best, time.perf_counter() - begun)
    print(f"an update {best / len(values) * 1e6:.2f} µs")
    assert best / len(values) < 50e-6, "an order of magnitude above what it takes"


@pytest.mark.parametrize("extremes", [(0, LARGEST), (LARGEST, 0)])
def test_values_far_apart_stay_right(extremes):
    found = Quantile(50)
    for _ in range(50):
        for value in extremes:
            found.add(value)
    assert found.read() == 0
