"""One of several processes that want the same: `python -m tests.adapters.counters.burst PORT NAMESPACE NAME UNIT`."""

from __future__ import annotations

import asyncio
import sys

from engine.contracts import Claim, Counter, Hold, HoldId, Unit
from engine.windows import LEASE, TOTAL, Window, rate
from tests.valkey import counting

CALLS, LIMIT = 200, 10
WINDOWS: dict[str, Window] = {"usd": TOTAL, "requests": rate("1h"), "tokens": rate("1h", "sliding"), "parallel": LEASE}


def wanted(unit: str) -> Counter:
    return Counter("burst", Unit(unit), WINDOWS[unit], LIMIT)


async def main(port: str, namespace: str, name: str, unit: str) -> None:
    """Reserve at once, when the others are there too, and print how many were granted."""
    counter = wanted(unit)
    async with counting({"host": "127.0.0.1", "port": int(port), "namespace": namespace}) as counters:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(
            *(counters.reserve(HoldId(f"{name}-{one}", 0), [Claim(counter, 1)], ()) for one in range(CALLS))
        )
        print("granted", sum(isinstance(one, Hold) for one in answers), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
