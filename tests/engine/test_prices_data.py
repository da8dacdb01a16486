"""The bundled prices: the committed file is what its script writes, small, exact and quick to load."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from engine.data.build_prices import TARGET, compact
from engine.pricing import Prices

SOURCE = Path(__file__).parents[3] / "shared" / "pricing" / "model_prices.jsonl"
published = pytest.mark.skipif(not SOURCE.exists(), reason="the published map lies beside the repository")


@published
def test_the_committed_file_is_a_rebuild_of_its_source():
    assert TARGET.read_text(encoding="utf-8") == compact(SOURCE.read_bytes())


@published
def test_both_published_shapes_build_the_same_file():
    rows = SOURCE.read_text(encoding="utf-8").splitlines()
    # Spliced as text: decoding would turn the decimals into floats.
    as_map = ",".join(f"{json.dumps(json.loads(row)['model'])}:{row}" for row in reversed(rows))
    assert compact(f"{{{as_map}}}".encode()) == compact(SOURCE.read_bytes())


def test_a_line_without_a_model_is_refused():
    with pytest.raises(ValueError, match="names no model"):
        compact(b'{"model":"a","mode":"chat"}\n{"mode":"chat"}\n')


def test_the_file_is_small_and_no_float_passed_through_it():
    text = resources.files("engine.data").joinpath("prices.txt").read_text(encoding="utf-8")
    assert len(text.encode()) <= 350_000
    assert Prices.load(text).dump() == text
    rows = (line.split("\t")[0].split(",")[5:] for line in text.splitlines()[2:])
    digits = [item.split("=")[1].split("E")[0] for row in rows for item in row]
    assert all(text.isdecimal() for text in digits)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_bundled_prices_cost_little_memory():
    program = (
        "import re, pathlib; from engine.pricing import Prices\n"
        "rss = lambda: int(re.search(r'VmRSS:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])\n"
        "before = rss(); prices = Prices.bundled(); print(rss() - before, len(prices))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=Path(__file__).parents[2]
    )
    kilobytes, models = map(int, done.stdout.split())
    assert kilobytes < 6_000
    assert models > 4_000
