"""Hold and spend of a budget in memory.

    python examples/counters/budget.py 10.00 3.50 4.00 2.25 1.75

The first amount is the budget of a day in dollars, the others are what calls hold, one after the other; each call
then uses half of what it holds. Counters (`memory`) are a file of adapters/counters and need nothing else of the
gateway.
"""

import asyncio
import sys
import time
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from adapters.counters.memory import Memory  # noqa: E402 - an example also runs where nothing is installed
from engine.claims import Claim, Counter, Hold, HoldId, Unit  # noqa: E402
from engine.windows import budget  # noqa: E402

NANO = 10**9


async def main() -> None:
    """Print what is granted and what is refused while every call is under way, then what was used."""
    limit, *amounts = [int(Decimal(text) * NANO) for text in sys.argv[1:]]
    counters = Memory(time)
    daily = Counter("daily-budget", Unit.USD, budget("1d"), limit, values=("key-1",))
    holds: list[Hold] = []
    for number, amount in enumerate(amounts, 1):
        answer = await counters.reserve(HoldId(f"call-{number}", 0), [Claim(daily, amount)], [])
        if isinstance(answer, Hold):
            holds.append(answer)
            print(f"call {number} holds ${amount / NANO:.2f}")
        else:
            print(f"call {number} is refused: ${answer.held / NANO:.2f} of ${limit / NANO:.2f} are held")
    for hold in holds:
        counters.settle(hold, {daily.id: hold.claims[0].amount // 2})
    count = await counters.count(daily)
    print(f"used ${count.used / NANO:.2f}, held ${count.held / NANO:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
