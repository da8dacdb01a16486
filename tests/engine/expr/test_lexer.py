"""Tokens and literals."""

from __future__ import annotations

import pytest

from engine.expr.lexer import END, NAME, QUOTED, SYMBOL, VALUE, tokens_of
from engine.expr.problems import FaultAt
from engine.expr.values import Uint


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("0", 0),
        ("0xFf", 255),
        ("12u", Uint(12)),
        ("0x10U", Uint(16)),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("2.5E-1", 0.25),
        ("'it'", "it"),
        ('"it\'s"', "it's"),
        ("'''it's\nlong'''", "it's\nlong"),
        (r'"""a \""" b"""', 'a """ b'),
        (r"r'\d+\''"[:6] + "'", r"\d+" + "\\"),
        (r"R'''\n'''", r"\n"),
        (r"'\x41\101\u0041\U00000041\a\?\`'", "AAAA\a?`"),
        (r"b'\xff\377é'", b"\xff\xff\xc3\xa9"),
        (r"bR'\xff'", rb"\xff"),
        (r"'\377'", "\xff"),
        ("'😀'", "😀"),
    ],
)
def test_literals_mean_what_is_written(source, value):
    token, end = tokens_of(source)
    assert (token.kind, token.value, type(token.value)) == (VALUE, value, type(value))
    assert (end.kind, end.at) == (END, len(source))


def test_words_symbols_and_comments():
    tokens = tokens_of("a.?b[? `x-y` // rest, 'not read\n&&\t!c")
    assert [(one.kind, one.text) for one in tokens] == [
        (NAME, "a"),
        (SYMBOL, "."),
        (SYMBOL, "?"),
        (NAME, "b"),
        (SYMBOL, "["),
        (SYMBOL, "?"),
        (QUOTED, "x-y"),
        (SYMBOL, "&&"),
        (SYMBOL, "!"),
        (NAME, "c"),
        (END, ""),
    ]


@pytest.mark.parametrize(
    ("source", "at", "part"),
    [
        ("a = b", 2, "`==`"),
        ("a & b", 2, "`&&`"),
        ("a | b", 2, "`||`"),
        ("1 + 'abc", 4, "not closed on this line"),
        ("'a\nb'", 0, "triple quotes"),
        ('"""abc"', 0, "not closed"),
        (r"'a\qb'", 2, r"unknown escape `\q`"),
        (r"'\ud800'", 1, "not a character"),
        (r"'\U00110000'", 1, "not a character"),
        (r"b'\u0041'", 2, "is a character"),
        ("`a\nb`", 0, "field name"),
        ("18446744073709551616u", 0, "uint"),
        ("99999999999999999999999999", 0, "64 bits"),
        ("a @ b", 2, "no sign of the language"),
        ("a \x00", 2, r"'\x00'"),
        ("é", 0, "quotes"),
    ],
)
def test_what_cannot_be_read_is_named_at_its_place(source, at, part):
    with pytest.raises(FaultAt) as error:
        tokens_of(source)
    assert error.value.at == at
    assert part in error.value.message
