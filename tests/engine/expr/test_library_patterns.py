"""Patterns: what matches, what is refused with which advice, what is bounded."""

from __future__ import annotations

import pickle

import pytest

from engine.expr import patterns
from engine.expr.library import FUNCTIONS
from engine.expr.patterns import MAX_PROGRAM, MAX_SEARCHED, compile_pattern
from engine.expr.values import EvaluationError, LimitError


def call(name, *arguments):
    return FUNCTIONS[name].call(*arguments)


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [
        ("banana", "an+a", True),
        ("banana", "^an", False),
        ("", "", True),
        ("a\nb", "a.b", False),
        ("a\nb", "(?s)a.b", True),
        ("ÄÖ", "(?i)äö", True),
        ("x\ud800y", "x.y", True),
        ("👍", "^.$", True),
    ],
)
def test_matches(text, pattern, found):
    assert call("matches", text, pattern) is compile_pattern(pattern).search(text) is found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", r"missing \): \("),
        ("a(?=b)", "invalid perl operator.*no look-around"),
        (r"(a)\1", "invalid escape sequence.*no back-references"),
        ("a{1001}", "invalid repetition size.*1,000"),
        ("[z-a]", "invalid character class range: z-a"),
        ("*", "no argument for repetition operator"),
        ("\ud800", "surrogate"),
        ("a" * 2000, f"2,004 instructions, more than {MAX_PROGRAM:,}"),
        (r"(?:\pL\pN?){50}", "instructions"),
        ("a" * 10_000, "8,192 characters"),
    ],
)
def test_patterns_are_refused_with_advice(pattern, reason):
    with pytest.raises(ValueError, match=reason):
        compile_pattern(pattern)


def test_a_bad_pattern_that_is_a_value_is_not_quoted():
    with pytest.raises(EvaluationError, match=r"^invalid regular expression: missing \)$"):
        call("matches", "text", "secret(")


@pytest.mark.parametrize("text", ["x" * (MAX_SEARCHED + 1), "ñ" * (MAX_SEARCHED // 2 + 1)])
def test_long_texts_are_not_searched(text):
    with pytest.raises(LimitError):
        compile_pattern("y").search(text)
    assert compile_pattern("x").search("x" * MAX_SEARCHED)


def test_few_patterns_are_kept():
    for number in range(3 * patterns.KEPT):
        call("matches", "text", f"a{number}")
    assert patterns._kept.cache_info().currsize == patterns.KEPT


def test_a_pattern_pickles():
    pattern = compile_pattern("^a+$")
    again = pickle.loads(pickle.dumps(pattern))  # noqa: S301 - written here
    assert (again.text, again.size) == (pattern.text, pattern.size)
    assert again.search("aaa")
