"""Rules find the same in a text and in its pieces; no automaton that runs out of memory opens the gate."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import scanning
from engine.detecting import Hit
from engine.scanning import AROUND, Rule, Scanner, Sieve

PATTERNS = [
    r"ab{2,3}c\b", r"\bfoo", r"(?i)a(?:b|cd)*e", r"[a-c]{2,}x?", r"a|bc", r"(a?b?)c", r"\b\d{3}-\d{4}\b", r"[^\]a]+b", r"a.*b", r"a[^b]*b|bb",
    r"\Bab\B", r"ab(?:cde)?", r"(?m)^a b$", r"\Aab", r"c\z", "中.{1,2}b", r"(?:\A|[^\pL])(foo)(?:\z|[^\pL])",
]  # fmt: skip
TEXTS = st.text("aabbcde ]x\n-1234foo中é", max_size=90)


@st.composite
def scanners(draw: st.DrawFn) -> Scanner:
    """Make a scanner of a few rules, some with a check, cut short so that what is long occurs."""
    rules = []
    for number in range(draw(st.integers(1, 4))):
        pattern = draw(st.sampled_from(PATTERNS))
        check = draw(st.sampled_from([None, lambda found, before: float((len(found) + len(before)) % 2)]))
        rules.append(Rule(f"T{number}", pattern, check, "(foo)" in pattern, longest=draw(st.sampled_from([3, 5, 8]))))
    return Scanner(rules)


def in_pieces(scanner: Scanner, text: str, cuts: list[int]) -> list[Hit]:
    """Find in a text that grows, keeping of it no more than the port allows for."""
    found, kept, base, start, last = [], "", 0, 0, 0
    for cut in [*cuts, len(text)]:
        kept, last = kept + text[last:cut], cut
        settled = scanner.pending(kept, start - base) + base
        for hit in scanner.find(kept, start - base):
            if hit.start + base < settled:
                assert hit.end + base <= settled
                found.append(hit._replace(start=hit.start + base, end=hit.end + base))
        start = settled
        gone = max(0, start - base - AROUND)
        kept, base = kept[gone:], base + gone
    return [
        *found,
        *(hit._replace(start=hit.start + base, end=hit.end + base) for hit in scanner.find(kept, start - base)),
    ]


@given(st.data(), scanners(), TEXTS)
@settings(deadline=None, max_examples=400)
def test_pieces_are_found_as_the_whole(data: Any, scanner: Scanner, text: str):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    assert in_pieces(scanner, text, cuts) == list(scanner.find(text))


@given(TEXTS, st.sampled_from(PATTERNS[:8]))
@settings(deadline=None, max_examples=200)
def test_the_first_hit_is_the_patterns_own(text, pattern):
    """The search is RE2's: where no bound cuts it, its first match is the first hit."""
    expected = scanning.compiled(pattern).search(text)
    hits = Scanner([Rule("T", pattern)]).find(text)
    assert [(hit.start, hit.end) for hit in hits[:1]] == ([expected.span()] if expected else [])


def test_a_match_without_a_bound_is_cut_and_goes_on():
    scanner = Scanner([Rule("X", "x{3,}", longest=10)])
    assert [(hit.start, hit.end) for hit in scanner.find("x" * 25)] == [(0, 10), (10, 20), (20, 25)]
    assert scanner.pending("x" * 25) == 20
    assert scanner.longest == 10


def test_what_one_rule_hits_hides_nothing_from_another():
    """A short hit that comes first must not let the rest of a longer one go."""
    scanner = Scanner(
        [
            Rule("NAMED", r"key=(\w{4})", group=1),
            Rule("KEY", r"\b[a-z]{2}\d{6}"),
            Rule("CHECKED", r"\d+", lambda *_: 0.0),
        ]
    )
    assert scanner.find("key=ab123456") == [Hit(4, 8, "NAMED", 1.0), Hit(4, 12, "KEY", 1.0)]


def test_a_check_sees_what_stands_before():
    seen = []
    Scanner([Rule("T", "x", lambda found, before: float(bool(seen.append((found, before)) or 1)))]).find(
        "é" * 60 + "abx"
    )
    ((found, before),) = seen
    assert (found, before) == ("x", "é" * 31 + "ab")


def test_characters_that_are_none_are_scanned_without_an_error():
    scanner = Scanner([Rule("T", "b+")])
    assert scanner.find("\ud800é\udfffbb中b") == [Hit(3, 5, "T", 1.0), Hit(6, 7, "T", 1.0)]
    assert scanner.pending("\ud800b") == 1


@pytest.mark.parametrize("answer", [None, [0], []])
def test_a_set_without_its_canary_lets_every_rule_search(monkeypatch, answer):
    """RE2 says `no match` where a set's automaton has no room left; the gate must not open."""

    class Exhausted:
        Add = Compile = staticmethod(lambda *_: None)
        Match = staticmethod(lambda _: answer)

    monkeypatch.setattr(scanning.re2.Set, "SearchSet", lambda *_: Exhausted())
    assert Sieve(["a", "b", "c"]).passed(b"xxc") == [0, 1, 2]


def test_more_rules_than_one_set_holds_are_all_asked():
    shard = scanning.SHARD
    rules = [Rule(f"T{number}", rf"\bkey{number}\b") for number in range(3 * shard)]
    places = [0, shard - 1, shard, 3 * shard - 1]
    text = " ".join(f"key{place}" for place in (*places, 3 * shard))
    assert [hit.type for hit in Scanner(rules).find(text)] == [f"T{place}" for place in places]


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "ab" * 50_000, "a" * 600 + "b", ("a" * 600 + "b") * 150, "b" * 100_000]
)
def test_no_text_makes_a_search_slow(text):
    scanner = Scanner([Rule("T", "a.*b"), Rule("U", r"(?:a+)+\$"), Rule("V", "a[^b]*c")])
    began = time.perf_counter()
    scanner.find(text)
    scanner.pending(text)
    assert time.perf_counter() - began < 5
