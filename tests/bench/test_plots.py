"""The pictures: which rate they show, and that far ends fit."""

import pytest

from bench.plots import draw, shared_rate


def cell(ratio, *rates):
    steps = [{"rate": rate, "latency_points": [(1_000_000, 0.5), (2_000_000, 1.0)]} for rate in rates]
    return {"ratio": ratio, "paced": steps}


ROWS = {"direct": cell(None, 20, 300), "bare": cell(1.0, 300), "nginx": cell(0.07, 300), "litellm": cell(300.0, 20)}


def test_the_rate_shown_is_the_lowest_that_most_rows_met():
    assert shared_rate(ROWS) == 300
    assert shared_rate({"direct": cell(None, 100, 300), "bare": cell(1, 100, 300)}) == 100
    assert shared_rate({}) == 0


def test_bars_and_curves_of_rows_far_apart_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    cells = {"1k": ROWS, "stream": {"bare": cell(1.0), "none": cell(None)}}
    made = draw({"cells": cells}, tmp_path / "latest.json")
    assert [path.name for path in made] == ["latest.cpu.svg", "latest.latency.1k.svg"]
    text = made[0].read_text()
    for figure in ("<!-- 0.07 -->", "<!-- 300 -->", "<!-- litellm -->", "<!-- stream -->"):
        assert figure in text
    assert "litellm, at 20/s" in made[1].read_text()
