"""Write the bundled prices from a published price map: `python -m engine.data.build_prices SOURCE`.

SOURCE is the published JSON object `{model: {...}}`, or one object a line with its name as member `model`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from engine.pricing import Prices, decoded

TARGET = Path(__file__).with_name("prices.txt")


def compact(source: bytes) -> str:
    """Return the compact text of a published map in either shape: the same source gives the same text."""
    if not source.startswith(b'{"model":'):
        return Prices.read(source).dump()
    return Prices.of(dict(_row(line) for line in source.splitlines())).dump()


def _row(line: bytes) -> tuple[str, object]:
    row = decoded(line)
    if not isinstance(row, Mapping) or not isinstance(row.get("model"), str):
        raise ValueError(f"a line names no model: `{line[:80]!r}`")  # noqa: TRY004 - bad data, not a bad argument
    return row["model"], row


def main() -> None:
    """Read the file named on the command line and write `prices.txt` beside this script."""
    TARGET.write_text(compact(Path(sys.argv[1]).read_bytes()), encoding="utf-8")


if __name__ == "__main__":
    main()
