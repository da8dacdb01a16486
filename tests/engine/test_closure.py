"""What could still become a match: nothing that could is missed, and what is refused is refused in words."""

from __future__ import annotations

import itertools

import pytest

from engine.closure import closed, compiled

PATTERNS = [
    r"ab{2,3}c\b", r"\bab", r"(?i)a(?:b|cd)*b", r"[a-c]{2,3}b?", r"a|bc", r"(a?b?)c", r"a{2}-b{2}$", r"[^\]a]b", r"\Qa.\E+b",
    r"ab(?:ca)?", r"(?m)^ab", r"\Aab", r"c\z", r"(?:a|ab)(?:c|bc)", r"(?s)a.b", r"(?:ab?){2,3}c", r"(a(b(c)?)?)?b", r"\x61b|a\x{62}c", r"(?P<x>a)b*c",
]  # fmt: skip
LETTERS = "abc-A."


def matches(pattern: str, longest: int = 5) -> set[str]:
    """List by brute force what a pattern matches, standing alone."""
    regexp = compiled(pattern)
    texts = ("".join(letters) for size in range(1, longest + 1) for letters in itertools.product(LETTERS, repeat=size))
    return {text for text in texts if regexp.fullmatch(text.encode())}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_beginning_of_a_match_is_missed(pattern):
    closure = closed(pattern)
    begun = {text[:end] for text in matches(pattern) for end in range(1, len(text))}
    regexp = compiled(rf"(?:{closure.pattern})\z") if closure.pattern is not None else None
    missed = {text for text in begun if regexp is None or regexp.match(text.encode()) is None}
    assert missed == set()


@pytest.mark.parametrize("pattern", [one for one in PATTERNS if "[^" not in one])
def test_what_begins_nothing_is_not_held(pattern):
    assert not held(pattern, b"aab-zzz")


def held(pattern: str, text: bytes) -> bool:
    return compiled(rf"(?:{closed(pattern).pattern})\z").search(text) is not None


def test_edges_at_the_end_are_open_until_more_comes():
    assert held(r"foo\b", b"a foo")
    assert not held("foo", b"a foo")


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [("abc", 3), ("a|bcd", 3), ("a{2,5}", 5), ("a+", None), (r"\ba\b", 1), ("(?:ab){3}c?", 7), (r"\pL{4}[一-九]", 5), ("a{0,0}b", 1)],
)  # fmt: skip
def test_the_most_characters_of_a_match_are_known(pattern, longest):
    assert closed(pattern).longest == longest


def test_optional_parts_do_not_double_the_pattern():
    assert len(closed("a?b?c?d?e?f?g?h?i?j?k?l?m?n?o?p?q").pattern) < 2_000


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        (r"(a)\1", "no back-references"), (r"(?P<n>a)(?P=n)", "no back-references"), (r"(?=a)b", "no look-around"), (r"(?<!a)b", "no look-around"),
        (r"a{4,2000}", "at most 1000"), (r"a++", "leave the second"), (r"(?>a)", "no atomic groups"), (r"a\Z", r"`\z`"), (r"\u4e2d", r"\x{4e2d}"),
        (r"a*", "matches the empty text"), (r"\b", "matches the empty text"), (r"\C", "half characters"), (r"[a", "missing ]"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_to_write(pattern, advice):
    with pytest.raises(ValueError, match=r"is refused|matches the empty|half characters") as refused:
        closed(pattern)
    assert advice in str(refused.value)


def test_a_refused_pattern_writes_nothing_on_standard_error(capfd):
    with pytest.raises(ValueError, match="refused"):
        compiled("(secret")
    assert capfd.readouterr().err == ""
