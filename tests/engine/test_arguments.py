"""Arguments are read the same however they are cut, and say what JSON says."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arguments import LONGEST, Arguments, Token, unescaped

PIECES = [
    '"',
    "\\",
    "u",
    "00",
    "41",
    "d8",
    "3d",
    "\\ud83d",
    "\\ude00",
    "\\u0041",
    "a",
    "{",
    "1",
    "23",
    ":",
    ",",
    " ",
    "\\n",
    "中",
]
WRITTEN = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def read(text: str, cuts: list[int]) -> tuple[Arguments, str, str]:
    arguments, came, said, last = Arguments(), "", "", 0
    for cut in cuts:
        pair = arguments.feed(text[last:cut])
        came, said, last = came + pair[0], said + pair[1], cut
    pair = arguments.feed(text[last:], last=True)
    return arguments, came + pair[0], said + pair[1]


@given(WRITTEN, st.lists(st.integers(0, 40), max_size=6))
@settings(deadline=None, max_examples=500)
def test_whatever_the_cutting_it_reads_the_same(text, places):
    whole, came, said = read(text, [])
    cut, came_cut, said_cut = read(text, sorted(min(place, len(text)) for place in places))
    assert came == came_cut == text
    assert said == said_cut
    assert [whole.came(place) for place in range(len(said) + 1)] == [cut.came(place) for place in range(len(said) + 1)]
    edges = [(whole.floor(place), whole.ceiling(place)) for place in range(len(text) + 1)]
    assert edges == [(cut.floor(place), cut.ceiling(place)) for place in range(len(text) + 1)]
    assert list(whole.changed(0, len(text), "m", '"m"')) == list(cut.changed(0, len(text), "m", '"m"'))


@given(st.text(max_size=30).filter(lambda text: text.isprintable()), st.booleans())
@settings(deadline=None, max_examples=300)
def test_a_string_says_what_json_says(text, ascii_):
    _, _, said = read(json.dumps(text, ensure_ascii=ascii_), [])
    assert said == f'"{text}"'
    assert unescaped(json.dumps(text, ensure_ascii=ascii_)[1:-1]) == text


@given(st.text(max_size=20).filter(str.isprintable))
@settings(deadline=None, max_examples=200)
def test_what_is_said_is_found_where_it_came(text):
    written = json.dumps({"k": text})
    arguments, _, said = read(written, [])
    for place, letter in enumerate(said):
        start = arguments.came(place)
        end = arguments.ceiling(start + 1)
        assert letter in {written[start:end], unescaped(written[start:end])}


def test_half_an_escape_waits():
    arguments = Arguments()
    assert arguments.feed('"a\\u00') == ('"a', '"a')
    assert arguments.feed("41\\ud83d") == ("\\u0041", "A")
    assert arguments.feed("\\ude00") == ("\\ud83d\\ude00", "😀")


def test_a_number_may_grow_until_something_ends_it():
    arguments = Arguments()
    arguments.feed("[12")
    assert arguments.open == Token(1, 3, string=False)
    arguments.feed("3,")
    assert arguments.open is None
    arguments.feed("4" * 3 * LONGEST)
    assert arguments.open is None
