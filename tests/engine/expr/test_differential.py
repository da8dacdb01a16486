"""Random expressions mean here what they mean to others: Google's C++ runtime, and cel-python where that is right."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.engine.expr.expressions import EVERYWHERE, PRODUCTIONS, Writer
from tests.engine.expr.oracles import Evaluation, cel_python, google, our_answer


def compare(other: Evaluation, seeds: range, productions: dict[str, list[str]]) -> Counter[str]:
    """Evaluate an expression of each seed twice; answers how often which kind of answer came."""
    kinds: Counter[str] = Counter()
    differences = []
    for seed in seeds:
        writer = Writer(seed, productions)
        source, data = writer.expression(), writer.data()
        mine, theirs = our_answer(source, data), other(source, data)
        kinds[mine[0] if mine[0] in {"refused", "error", "limit"} else "value"] += 1
        if mine != theirs and not mine[0] == theirs[0] == "refused":
            differences.append(f"seed {seed}: {source}\n  here: {mine}\n  there: {theirs}")
    shown = "\n".join(differences[:5])
    assert not differences, f"{len(differences)} of {len(seeds)} differ, such as\n{shown}"
    return kinds


def test_expressions_mean_what_they_mean_to_google():
    kinds = compare(google(), range(2_000), PRODUCTIONS)
    assert kinds["value"] > 1_000
    assert kinds["refused"] < 100


@pytest.mark.soak
def test_many_expressions_mean_what_they_mean_to_google():
    kinds = compare(google(), range(1_000_000, 1_050_000), PRODUCTIONS)
    assert kinds["value"] > 25_000
    print(f"50,000 expressions, no difference: {dict(kinds)}")


def test_expressions_mean_what_they_mean_to_cel_python():
    kinds = compare(cel_python(), range(400), EVERYWHERE)
    assert kinds["value"] > 200
    assert kinds["refused"] == 0
