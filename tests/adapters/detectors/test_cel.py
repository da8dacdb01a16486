"""A text of which an expression is true is hit whole."""

from __future__ import annotations

import pytest

from adapters.detectors.cel import Cel
from engine.detecting import Hit


@pytest.mark.parametrize(
    ("said", "found", "passed"),
    [
        ('text.contains("drop table")', "please drop table users", "drop the table"),
        ({"expression": "size(text) > 3", "name": "LONG"}, "äöüß", "äöü"),
        ("text.matches('(?i)^sudo ')", "SUDO rm", "pseudo rm"),
        ("int(text) > 5", "seven has no value, and what has none is found", "4"),
    ],
)
def test_what_an_expression_is_true_of_is_hit(said, found, passed):
    detector = Cel(said)
    assert detector.find(found) == [Hit(0, len(found), *detector.types)]
    assert not detector.find(passed)
    assert (detector.whole, detector.pending(found, 2)) == (True, 2)


def test_what_stands_before_is_not_looked_at():
    assert not Cel('text.contains("a")').find("ab", 1)


@pytest.mark.parametrize("said", [{}, 5, None, {"expression": "true", "else": 1}, "text +", "size(text)", "other == 1"])
def test_what_is_wrong_is_said(said):
    with pytest.raises(ValueError, match="cel: "):
        Cel(said)
