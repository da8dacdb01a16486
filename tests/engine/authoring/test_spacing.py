"""Spaces in order, and everything else as the author wrote it."""

from __future__ import annotations

import pytest

from engine.authoring.spacing import spaced


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a&&b", "a && b"),
        ("( a==1 )||! b", "(a==1) || !b".replace("==", " == ")),
        ("a -1", "a - 1"),
        ("f( - 1 ,b )", "f(-1, b)"),
        ("a ?b:c", "a ? b : c"),
        ("{'k':a?b:c , 'l' : [ ?x ]}", "{'k': a ? b : c, 'l': [?x]}"),
        ("m [ ? 'k' ] . orValue( '' )", "m[?'k'].orValue('')"),
        ("a . ? b", "a.?b"),
        ("x in[1,2]", "x in [1, 2]"),
        ("a==.b", "a == .b"),
        ("a.`x-y`==r'\\d'", "a.`x-y` == r'\\d'"),
        ("a &&\n  b", "a &&\n  b"),
        ("a&& // why\n b", "a && // why\n b"),
        ('\'a  b\'+"""c\n d"""', '\'a  b\' + """c\n d"""'),
    ],
)
def test_spaces(source, text):
    assert spaced(source) == text
    assert spaced(text) == text
