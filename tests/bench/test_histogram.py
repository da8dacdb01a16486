"""The histogram keeps eight significant bits and adds up."""

import random

import pytest

from bench.histogram import Histogram


@pytest.mark.parametrize("value", [0, 1, 255, 256, 257, 1_000, 123_456, 10**9, 2**40 + 12_345])
def test_a_value_comes_back_to_within_half_a_percent(value):
    histogram = Histogram()
    histogram.record(value)
    assert histogram.quantile(0.5) == pytest.approx(value, rel=0.004)


def test_quantiles_agree_with_the_sorted_values():
    rng = random.Random(7)
    values = sorted(int(rng.expovariate(1 / 300_000)) for _ in range(5_000))
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        assert histogram.quantile(share) == pytest.approx(values[max(0, round(share * 5_000) - 1)], rel=0.005)


def test_merging_and_json_keep_every_count():
    one, two = Histogram(), Histogram()
    one.record(10, 3)
    two.record(10)
    two.record(-5)
    one.merge(Histogram.from_json(two.to_json()))
    assert one.total == 5
    assert one.points() == [(0, 0.2), (10, 1.0)]


def test_an_empty_histogram_has_no_quantiles():
    assert Histogram().quantile(0.99) is None
