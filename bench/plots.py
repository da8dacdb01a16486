"""Plots as SVG, where matplotlib is installed."""

import importlib
from collections import Counter
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
    cells = document["cells"]
    rows = list(dict.fromkeys(row for shape in cells.values() for row, cell in shape.items() if cell["ratio"]))
    size = (max(6.0, 1.5 + 3 * len(cells)), 1.5 + 0.35 * len(rows))
    figure, panels = pyplot.subplots(
        1, len(cells), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (shape, measured) in zip(panels[0], cells.items(), strict=True):
        known = {row: measured[row]["ratio"] for row in rows if measured.get(row, {}).get("ratio")}
        _panel(axes, rows, known)
        axes.set_title(shape, fontsize=10)
    every = [cell["ratio"] for shape in cells.values() for cell in shape.values() if cell["ratio"]]
    # Room for the figures at both ends; given once: the axes are shared.
    panels[0][0].set_xlim(min(every, default=1) / 4, max(every, default=1) * 4)
    panels[0][0].set_yticks(range(len(rows)), rows)
    panels[0][0].invert_yaxis()
    figure.suptitle("CPU per request (per frame for streams), less is better")
    figure.supxlabel(f"times the CPU of the {YARDSTICK} aiohttp proxy", fontsize=10)
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
    return path


def _panel(axes: Any, rows: list[str], known: dict[str, float]) -> None:
    """Draw bars that start at 1, to the right for what costs more: on a logarithmic axis twice and half look alike."""
    axes.set_xscale("log")
    for at, row in enumerate(rows):
        if row not in known:
            continue
        ratio = known[row]
        axes.barh(at, ratio - 1, left=1, height=0.7, color=f"C{at % 10}")
        more = ratio >= 1
        axes.annotate(
            f"{ratio:.3g}",
            (ratio, at),
            xytext=(4 if more else -4, 0),
            textcoords="offset points",
            ha="left" if more else "right",
            va="center",
            fontsize=8,
        )
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.grid(axis="x", alpha=0.3)


def _latency(pyplot: Any, shape: str, rows: dict[str, Any], path: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(8, 4))
    rate = shared_rate(rows)
    for row, cell in rows.items():
        steps = {step["rate"]: step["latency_points"] for step in cell["paced"] if step["latency_points"]}
        if not steps:
            continue
        at = rate if rate in steps else min(steps)
        values, shares = zip(*steps[at], strict=True)
        style = ":" if row == DIRECT else "-"
        label = row if at == rate else f"{row}, at {at:g}/s"
        axes.step([value / 1e6 for value in values], shares, style, where="post", label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("latency in ms, from the intended start")
    axes.set_ylabel("share of requests")
    axes.set_title(f"{shape} at {rate:g} requests a second")
    axes.legend(loc="upper left")
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
    return path


def shared_rate(rows: dict[str, Any]) -> float:
    """Return the lowest of the rates at which the most rows were asked."""
    asked = Counter(step["rate"] for cell in rows.values() for step in cell["paced"])
    return max(sorted(asked), key=lambda rate: asked[rate], default=0.0)
