"""Figures from samples: paired ratios, slopes, confidence, regressions."""

import copy
import json
import sys

import pytest

import bench.__main__ as command
from bench.__main__ import share
from bench.histogram import Histogram
from bench.load import Result
from bench.summary import block_costs, block_rounds, interval, ratios, regressions, slope


def result(requests, cpu_us, frames=0):
    cpu = {"gateway": requests * cpu_us * 1_000, "upstream": 1, "load": 1}
    return Result(requests, frames, 0.03, 0, cpu, {}, Histogram(), Histogram(), Histogram())


def test_noise_that_hits_both_rows_leaves_the_ratio_alone():
    noise = [1, 2, 5, 1, 3] * 40
    mine = [result(100, 50 * factor) for factor in noise]
    bare = [result(100, 100 * factor) for factor in noise]
    found = ratios(block_costs(mine, "1k", 17), block_costs(bare, "1k", 17))
    assert len(found) > 5
    assert found == pytest.approx([0.5] * len(found))


def test_work_put_off_is_charged_to_its_block():
    samples = [result(100, 50) for _ in range(170)]
    for late in samples[::10]:
        late.cpu_ns["gateway"] += 1_000_000
    costs = block_costs(samples, "1k", 17)
    assert sum(costs) / len(costs) == pytest.approx(51, rel=0.01)


def test_every_sample_is_in_exactly_one_block_even_if_few():
    assert block_costs([result(1, 7)], "1k", 17) == [7]
    assert len(block_costs([result(1, 7)] * 35, "1k", 17)) == 2
    assert block_costs([], "1k", 17) == [None]


def test_the_interval_of_the_median_narrows_with_more_values():
    assert interval([1, 2, 3]) == (1, 3)
    assert interval(range(100)) == (40, 59)


def test_slope_is_bytes_a_request_and_needs_enough_of_both():
    line = [(number * 10_000, 50_000_000 + number * 20_000) for number in range(20)]
    assert slope(line) == pytest.approx(2)
    assert slope(line[:3]) is None
    assert slope([(number, 1) for number in range(20)]) is None


BASE = {
    "missing": {},
    "cells": {"1k": {"direct": {"ratio": None}, "bare": {"ratio": 1.0}, "interlock": {"ratio": 0.5}}},
}


def test_growth_within_the_threshold_is_no_regression():
    now = copy.deepcopy(BASE)
    now["cells"]["1k"]["interlock"]["ratio"] = 0.54
    assert regressions(BASE, now, share("10%")) == []
    assert regressions(BASE, now, share("0.05")) == ["1k interlock: CPU ratio 0.500 -> 0.540 (+8%)"]


def test_a_row_that_no_longer_starts_is_a_regression_and_one_left_out_is_not():
    now = copy.deepcopy(BASE)
    del now["cells"]["1k"]["interlock"]
    assert regressions(BASE, now, 0.1) == []
    now["missing"]["interlock"] = {"reason": "not run: exited with status 1", "stderr": ""}
    assert regressions(BASE, now, 0.1) == ["1k interlock: not run: exited with status 1"]
    now["missing"]["interlock"]["reason"] = "left out: not installed"
    assert regressions(BASE, now, 0.1) == []


def test_blocks_of_rows_that_seldom_have_a_turn_cover_the_same_rounds():
    assert block_rounds("1k", [1, 1]) == 17
    assert block_rounds("1k", [1, 1, 1, 1, 2, 8]) == 8
    assert block_rounds("stream", [1, 8]) == 8
    noise = [1, 5, 2, 3] * 40
    bare = [result(100, 100 * factor) for factor in noise for _ in range(8)]
    slow = [result(10, 5_000 * factor) for factor in noise]
    rounds = block_rounds("1k", [1, 1, 8])
    found = ratios(block_costs(slow, "1k", rounds // 8), block_costs(bare, "1k", rounds))
    assert found == pytest.approx([50] * len(found))


@pytest.mark.parametrize(("ratio", "status"), [(0.5, 0), (0.56, 1)])
def test_the_command_fails_on_a_regression_against_its_base(ratio, status, tmp_path, monkeypatch, capsys):
    now = copy.deepcopy(BASE)
    now["cells"]["1k"]["interlock"]["ratio"] = ratio
    base, out = tmp_path / "base.json", tmp_path / "out" / "now.json"
    base.write_text(json.dumps(BASE))
    options = ["--quick", "--compare", str(base), "--threshold", "10%", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    monkeypatch.setattr(command.Bench, "run", lambda _: None)
    monkeypatch.setattr(command, "document", lambda *_: now)
    monkeypatch.setattr(command, "table", lambda _: "the table")
    monkeypatch.setattr(command.plots, "draw", lambda *_: [])
    assert command.main() == status
    assert json.loads(out.read_text()) == now
    assert ("regression: 1k interlock: CPU ratio 0.500 -> 0.560 (+12%)" in capsys.readouterr().err) == bool(status)
