"""The table a person reads."""

from collections.abc import Iterator, Sequence
from typing import Any

from bench.rows import DIRECT

_BOUND_BY_LOAD = 0.9


def _number(value: float | None, digits: int = 0, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign},.{digits}f}"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = zip(row, widths, strict=True)
        first, *others = (cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(cells))
        yield "  " + "  ".join((first, *others)).rstrip()


def _cost(row: str, cell: dict[str, Any], gap: float | None, streamed: bool) -> list[str]:
    spread = "-" if cell["ratio"] is None else f"{cell['ratio_low']:.3f}-{cell['ratio_high']:.3f}"
    bound = "*" if row != DIRECT and (cell["load_side_busy"] or 0) >= _BOUND_BY_LOAD else ""
    throughput = cell["frames_per_second"] if streamed else cell["rps"]
    busy = cell["load_side_busy"]
    return [
        row,
        _number(cell["cpu_us_per_frame"] if streamed else cell["cpu_us"], 1),
        _number(cell["ratio"], 3),
        spread,
        _number(cell["ratio_of_totals"], 3),
        _number(throughput) + bound,
        "-" if busy is None else f"{busy:.0%}",
        _number(cell["upstream_cpu_us"], 1),
        _number(cell["rss_mb"], 1),
        _number(None if cell["rss_kb_per_1000"] is None else cell["rss_kb_per_1000"], 2, "+"),
        "n/a" if gap is None else f"{gap * 1_000:.1f}",
        _errors(cell["errors"]),
    ]


def _errors(errors: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(errors.items())) or "0"


def _cost_table(rows: dict[str, Any], gaps: dict[str, float]) -> Iterator[str]:
    streamed = any(cell["cpu_us_per_frame"] for cell in rows.values())
    unit = "frame" if streamed else "request"
    head = [
        "row",
        f"CPU us/{unit}",
        "ratio",
        "95 % interval",
        "of totals",
        "frames/s" if streamed else "max rps",
        "load side",
        "upstream us",
        "RSS MB",
        "RSS KB/1000 req",
        "loop gap ms",
        "errors",
    ]
    yield from _grid(head, [_cost(row, cell, gaps.get(row), streamed) for row, cell in rows.items()])


def _latency_table(rows: dict[str, Any]) -> Iterator[str]:
    steps = [(row, paced) for row, cell in rows.items() for paced in cell["paced"]]
    if not steps:
        return
    head = ["row", "rate/s", "p50 us", "p99 us", "added p50", "added p99", "TTFT added p50", "TTFT added p99"]
    head += ["frame gap p99", "gap added p99", "errors"]
    names = ("added_p50", "added_p99", "ttft_added_p50", "ttft_added_p99")
    yield ""
    yield from _grid(
        head,
        [
            [
                row,
                f"{paced['rate']:g}",
                _number(paced["p50"]),
                _number(paced["p99"]),
                *("-" if row == DIRECT else _number(paced[name], 0, "+") for name in names),
                _number(paced["gap_p99"]),
                "-" if row == DIRECT else _number(paced["gap_added_p99"], 0, "+"),
                _errors(paced["errors"]),
            ]
            for row, paced in steps
        ],
    )
    rates = {paced["rate"] for _, paced in steps}
    for row, cell in rows.items():
        asked = {paced["rate"] for paced in cell["paced"]}
        if beyond := sorted(rate for rate in rates if asked and rate > max(asked)):
            yield f"  {row}: not asked at {', '.join(f'{rate:g}/s' for rate in beyond)}: more than it has CPU time for"
        if len(cell["paced"]) > 1 and (within := cell["rate_within_ms"]):
            reached = ", ".join(f"{limit} ms up to {rate:g}/s" for limit, rate in within.items())
            yield f"  {row}: added p99 stays within {reached}"


def table(document: dict[str, Any]) -> str:
    """Return the whole report as text."""
    facts = document["machine"]
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}, Linux {facts['kernel']}, {facts['date']}"
    ]
    if facts["cores"] < 2:
        lines.append("only one core: gateway and load share it, and latencies mean little")
    for shape, rows in document["cells"].items():
        lines += ["", shape, *_cost_table(rows, document["loop_gap_seconds"]), *_latency_table(rows)]
    for row, seen in document["flat"].items():
        growth = _number(seen["rss_kb_per_1000"], 2, "+")
        lines += ["", f"flat: {row} after {seen['requests']:,} requests: {seen['rss_mb']:.1f} MB, {growth} KB/1000 req"]
    for row, missing in document["missing"].items():
        lines += ["", f"{row}: {missing['reason']}"]
        lines += [f"  | {line}" for line in missing["stderr"].splitlines()[-12:]]
    if any("*" in line for line in lines):
        lines += ["", "* the load side was the limit, not the gateway"]
    return "\n".join(lines)
