"""`python -m bench`: one command, a table, JSON and plots."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import machine, plots
from bench.measure import Bench, Plan
from bench.report import table
from bench.rows import ROWS
from bench.shapes import SHAPES
from bench.summary import document, regressions

_OUT = Path("bench/out/latest.json")
_FLAT_FULL = 200_000
_DEPTHS = {
    "quick": Plan((), (), closed_seconds=4, paced_seconds=2.4, paced_rounds=3),
    "default": Plan((), (), closed_seconds=15, paced_seconds=10, paced_rounds=5),
    "full": Plan((), (), closed_seconds=45, paced_seconds=15, paced_rounds=5, ladder=True, flat=_FLAT_FULL),
}


def _names(known: dict[str, Any]) -> Any:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(text.split(",")))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown `{unknown[0]}`, choose from {', '.join(known)}")
        return names

    return parse


def share(text: str) -> float:
    """Return `10%` or `0.1` as 0.1."""
    return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure gateways beside a bare aiohttp proxy."
    )
    parser.add_argument("--rows", type=_names(ROWS), default=("bare", "interlock", "nginx"), help=",".join(ROWS))
    parser.add_argument("--shapes", type=_names(SHAPES), default=("1k", "100k", "stream"), help=",".join(SHAPES))
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--quick", dest="depth", action="store_const", const="quick", help="about a minute")
    depth.add_argument(
        "--full", dest="depth", action="store_const", const="full", help="a ladder of rates, flat memory"
    )
    parser.add_argument("--repeat", type=_positive, default=1, metavar="N", help="N times as many rounds")
    parser.add_argument("--flat", type=_positive, metavar="N", help="memory over N requests")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals and of the order of rows")
    parser.add_argument("--out", type=Path, default=_OUT, metavar="FILE", help="where the JSON goes")
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="exit 1 if a CPU ratio got worse than in this JSON"
    )
    parser.add_argument("--threshold", type=share, default=0.1, metavar="10%", help="how much worse is still fine")
    return parser.parse_args()


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = replace(
        _DEPTHS[arguments.depth or "default"], rows=arguments.rows, shapes=arguments.shapes, seed=arguments.seed
    )
    return replace(plan, repeat=arguments.repeat, flat=arguments.flat or plan.flat)


def main() -> int:
    """Measure, report, compare; 1 means a regression."""
    arguments = _arguments()
    # Read before the run: a base that cannot be read must not cost the run, nor be the file the run overwrites.
    base = json.loads(arguments.compare.read_text(encoding="utf-8")) if arguments.compare else None
    plan = _plan(arguments)
    facts = machine.facts()
    made = document(Bench(plan).run(), plan, facts)
    print(table(made))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    drawn = plots.draw(made, arguments.out)
    print(f"\nwritten: {', '.join(map(str, (arguments.out, *drawn)))}")
    if not drawn:
        print("no plots: matplotlib is not installed (extra `bench`)")
    found = regressions(base, made, arguments.threshold) if base else []
    for line in found:
        print(f"regression: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
