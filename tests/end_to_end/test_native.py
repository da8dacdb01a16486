"""Providers' own formats, recorded, passed on by a gateway process: byte for byte, with keys, rules, costs and records."""

from __future__ import annotations

import json
import random

import pytest

from tests.end_to_end.native import GOLDEN, ask_all, load, serve, used
from tests.end_to_end.transcripts import replaying

SPLIT = random.choice([3, 7, 64, 333])


@pytest.mark.parametrize("options", [(), ("--chunk-bytes", str(SPLIT))], ids=["whole", "cut"])
def test_recorded_exchanges_pass_byte_for_byte_and_cost_what_is_known(tmp_path, shared, options):
    exchanges = list(load(shared))
    assert len(exchanges) > 70
    with replaying(shared, *options) as upstream:
        running = serve(tmp_path, upstream)
        try:
            answers = ask_all(running, exchanges)
            for one, answer in zip(exchanges, answers, strict=True):
                assert (answer.status, answer.body) == (one.status, one.answer), one.file
            assert used(running, exchanges, answers) == json.loads(GOLDEN.read_text()), SPLIT
        finally:
            running.stop()


def test_golden_counts_are_those_of_the_formats(shared):
    """The formats' own golden file was made without a gateway: what both know, both know alike."""
    formats = json.loads((GOLDEN.parent / "dialects.json").read_text())
    native = json.loads(GOLDEN.read_text())
    common = {name for name, counts in formats.items() if counts and any(counts)} & native.keys()
    assert len(common) > 30
    assert shared
    for name in common:
        assert (native[name]["input"], native[name]["output"]) == tuple(formats[name][:2]), name
