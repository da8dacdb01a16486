"""A pattern of one's own, and what is refused of it."""

from __future__ import annotations

import pytest

from adapters.detectors.pattern import Pattern
from engine.detecting import MOST, Hit


def test_matches_are_hits_of_its_name():
    assert Pattern({"pattern": r"PROJ-\d{6}", "name": "PROJECT"}).find("see PROJ-123456.") == [
        Hit(4, 15, "PROJECT", 1.0)
    ]
    assert Pattern(r"PROJ-\d{6}").types == ("PATTERN",)


def test_it_knows_the_most_characters_of_a_match():
    assert Pattern(r"PROJ-\d{6}").longest == 11
    assert Pattern(r"PROJ-\d+").longest == MOST
    assert Pattern({"pattern": r"x+", "maxLength": 64}).longest == 64


def test_the_end_of_a_text_that_could_become_a_match_is_pending():
    pattern = Pattern(r"PROJ-\d{6}")
    assert pattern.pending("a PROJ-12") == 2
    assert pattern.pending("a PROJ-12 ") == 10
    assert pattern.pending("a PROJ-123456") == 13


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (r"(a)\1", "no back-references"), (r"a{4,2000}", "at most 1000"), ("(?=a)b", "no look-around"), ("[a", "missing"), ("a*", "matches the empty text"),
        ({"pattern": "a", "nmae": "x"}, "unknown field `nmae`"), ({}, "write a regular expression"), (7, "write a regular expression"),
        ({"pattern": "a", "name": 3}, "`name` is a text"), ({"pattern": "a", "maxLength": 0}, "`maxLength` is a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(said, error):
    with pytest.raises(ValueError, match=error):
        Pattern(said)
