"""Fold three calls into a store `sqlite` and print who spent what.

    python examples/stores/report.py DIRECTORY

Running it again prints the same: the calls stand in the store with the position of the journal that they came from.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from adapters.stores.sqlite import Sqlite  # noqa: E402 - an example also runs where nothing is installed
from engine.storing import Batch, Scope, SpendRow, UsageQuery  # noqa: E402

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC
CALLS = [
    SpendRow("call-1", NOON, team_id="search", model="small", spend=1_500_000, prompt_tokens=900, completion_tokens=80),
    SpendRow("call-2", NOON + 60, team_id="search", model="large", spend=42_000_000, prompt_tokens=2100),
    SpendRow("call-3", NOON + 86_400, team_id="support", model="small", status="failure", prompt_tokens=40),
]


def main(directory: Path) -> None:
    """Print the usage of every team and model."""
    store = Sqlite({"path": directory / "store.sqlite"})
    store.fold(Batch((1, 300), CALLS))
    for scope in (Scope.TEAM, Scope.MODEL):
        print(f"{scope:<8} {'requests':>8} {'failed':>6} {'tokens':>6} {'USD':>10}")
        for sums in store.usage(UsageQuery(scope, by="value")):
            tokens = sums.input_tokens + sums.output_tokens
            print(f"{sums.value:<8} {sums.requests:>8} {sums.failed:>6} {tokens:>6} {sums.spend / 10**9:>10.6f}")
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
