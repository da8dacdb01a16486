"""What a name means at one revision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.snapshot import CONCRETE, ModelGroup, Settings, Snapshot, Wildcard


def wildcard(pattern: str, target: str = "*") -> Wildcard:
    return Wildcard(pattern, "echo", target, lambda name, captured: ModelGroup(name, (), {captured}, pattern))


def house(*patterns: str, names: tuple[str, ...] = (), **more) -> Snapshot:
    return Snapshot(1, Settings(), [ModelGroup(name, (), ()) for name in names], map(wildcard, patterns), **more)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("openai/gpt", "openai/*"),
        ("openai/o1-x", "openai/o1-*"),
        ("openai/o1-mini", ""),
        ("xai/grok", "*"),
        ("a-tail", "*-tail"),
        ("openai/", "*"),
    ],
)
def test_exact_names_then_the_longest_literal(name, pattern):
    snapshot = house("*", "openai/*", "openai/o1-*", "*-tail", names=("openai/o1-mini",))
    assert snapshot.find(name).pattern == pattern


def test_a_star_takes_at_least_one_character():
    assert house("a/*").find("a/") is None
    assert house("a/*b").find("a/b") is None
    assert house("a/*b").find("a/xb").access_groups == {"x"}


def test_aliases_mean_groups_and_never_hide_one():
    snapshot = house("w/*", names=("a", "b"), aliases={"c": "a", "b": "a", "d": "w/x", "e": "none"})
    assert snapshot.find("c") is snapshot.find("a")
    assert snapshot.find("b").name == "b"
    assert snapshot.find("d").name == "w/x"
    assert snapshot.find("e") is None


def test_what_clients_invent_is_kept_within_a_bound():
    snapshot = house("*")
    first = snapshot.find("same")
    assert snapshot.find("same") is first
    for number in range(CONCRETE + 10):
        assert snapshot.find(f"m{number}") is not None
    assert len(snapshot._concrete) <= CONCRETE


@pytest.mark.parametrize(
    ("pattern", "target", "listed"),
    [
        ("*", "*", ["gpt", "o1-mini", "o1-x"]),
        ("openai/*", "*", ["openai/gpt", "openai/o1-mini", "openai/o1-x"]),
        ("openai/o1-*", "o1-*", ["openai/o1-mini", "openai/o1-x"]),
        ("small/*", "*-mini", ["small/o1"]),
        ("any/*", "gpt", []),
    ],
)
def test_a_wildcard_names_the_models_behind_it(pattern, target, listed):
    assert list(wildcard(pattern, target).names(["gpt", "o1-mini", "o1-x"])) == listed


TEXT = st.text("ab-/", max_size=4)


@given(st.lists(st.builds("{}*{}".format, TEXT, TEXT), max_size=5), st.text("ab-/", min_size=1, max_size=9))
def test_the_chosen_wildcard_matches_and_no_longer_one_does(patterns, name):
    snapshot = house(*patterns)
    found = snapshot.find(name)
    fitting = [pattern for pattern in patterns if wildcard(pattern).matches(name)]
    if found is None:
        assert fitting == []
    else:
        assert found.pattern in fitting
        assert len(found.pattern) == max(map(len, fitting))
        (captured,) = found.access_groups
        assert found.pattern.replace("*", captured, 1) == name
