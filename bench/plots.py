"""Plots as SVG, where matplotlib is installed."""

import importlib
from pathlib import Path
from typing import Any

from bench.rows import DIRECT, YARDSTICK


def draw(document: dict[str, Any], beside: Path) -> list[Path]:
    """Write the plots beside the JSON file and return their paths; none if matplotlib is not installed."""
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        return []
    matplotlib.use("svg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    made = [_ratios(pyplot, document, beside.with_suffix(".cpu.svg"))]
    for shape, rows in document["cells"].items():
        if any(cell["paced"] for cell in rows.values()):
            made.append(_latency(pyplot, shape, rows, beside.with_suffix(f".latency.{shape}.svg")))
    return made


def _ratios(pyplot: Any, document: dict[str, Any], path: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(8, 4))
    cells = document["cells"]
    rows = list(dict.fromkeys(row for shape in cells.values() for row, cell in shape.items() if cell["ratio"]))
    width = 0.8 / max(1, len(rows))
    for at, row in enumerate(rows):
        heights = [shape.get(row, {}).get("ratio") or 0 for shape in cells.values()]
        bars = axes.bar([place + at * width for place in range(len(cells))], heights, width, label=row)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(cells))], list(cells))
    axes.set_ylabel(f"CPU, {YARDSTICK} aiohttp proxy = 1")
    axes.set_title("CPU per request (per frame for streams), less is better")
    axes.legend()
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
    return path


def _latency(pyplot: Any, shape: str, rows: dict[str, Any], path: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(8, 4))
    rate = 0.0
    for row, cell in rows.items():
        if cell["paced"] and cell["paced"][0]["latency_points"]:
            rate = cell["paced"][0]["rate"]
            values, shares = zip(*cell["paced"][0]["latency_points"], strict=True)
            style = ":" if row == DIRECT else "-"
            axes.step([value / 1e6 for value in values], shares, style, where="post", label=row)
    axes.set_xscale("log")
    axes.set_xlabel("latency in ms, from the intended start")
    axes.set_ylabel("share of requests")
    axes.set_title(f"{shape} at {rate:g} requests a second")
    axes.legend()
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
    return path
