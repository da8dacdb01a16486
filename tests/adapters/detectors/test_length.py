"""A text over a bound is hit whole."""

from __future__ import annotations

import pytest

from adapters.detectors.length import Length
from engine.detecting import Hit


@pytest.mark.parametrize(
    ("said", "fits", "over"),
    [
        (3, "abc", "abcd"), ({"max": 3}, "äöü", "äöü!"), ({"maxWords": 2}, "a b", "a b c"), ({"maxTokens": 2}, "12345678", "123456789"), ({"maxTokens": 2}, "中文", "中文字"),
        ({"max": 10, "maxWords": 1}, "abc", "a b"),
    ],
)  # fmt: skip
def test_what_is_over_a_bound_is_hit(said, fits, over):
    assert not Length(said).find(fits)
    assert Length(said).find(over) == [Hit(0, len(over), "LENGTH", 1.0)]


@pytest.mark.parametrize("said", [{}, {"min": 3}, {"max": -1}, {"max": 1.5}, {"max": True}, "long", {1: 2}])
def test_what_is_wrong_is_said(said):
    with pytest.raises(ValueError, match="length"):
        Length(said)
