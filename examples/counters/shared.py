"""One budget that two gateways share, in Redis.

    python examples/counters/shared.py redis://127.0.0.1:6379/0

Both want four dollars of ten at a time, until neither is granted any more; then they settle at half of it. Counters
(`redis`) are a package of adapters/counters: `run` keeps the connection, `reserve` is one round trip, `settle` waits for nobody.
"""

import asyncio
import secrets
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from adapters.counters.redis import Redis  # noqa: E402 - an example also runs where nothing is installed
from engine.claims import Claim, Counter, Hold, HoldId, Unit  # noqa: E402
from engine.supervisor import Supervisor  # noqa: E402
from engine.windows import budget  # noqa: E402

DOLLAR = 10**9


async def main() -> None:
    """Print what each is granted, and what was used in the end."""
    settings = {"url": sys.argv[1], "namespace": f"example-{secrets.token_hex(4)}"}
    gateways = {name: Redis(time, settings) for name in ("north", "south")}
    supervisor = Supervisor()
    for name, counters in gateways.items():
        supervisor.start(name, counters.run)
    while not all(one.client.ready for one in gateways.values()):  # noqa: ASYNC110 - once, at the start
        await asyncio.sleep(0.05)
    daily = Counter("daily-budget", Unit.USD, budget("1d"), 10 * DOLLAR, values=("team-1",))
    for number in range(2):
        for name, counters in gateways.items():
            answer = await counters.reserve(HoldId(f"{name}-{number}", 0), [Claim(daily, 4 * DOLLAR)], [])
            if isinstance(answer, Hold):
                print(f"{name} holds $4.00")
            else:
                print(f"{name} is refused: ${answer.held / DOLLAR:.2f} of $10.00 are held")
    for name, counters in gateways.items():
        counters.settle(Hold(HoldId(f"{name}-0", 0), [Claim(daily, 4 * DOLLAR)]), {daily.id: 2 * DOLLAR})
        await counters.close()
    used, held, _ = await gateways["north"].count(daily)
    print(f"used ${used / DOLLAR:.2f}, held ${held / DOLLAR:.2f}")
    await supervisor.stop()


if __name__ == "__main__":
    asyncio.run(main())
