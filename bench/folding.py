"""What it costs to fold the journal into the store: `python -m bench.folding`.

CPU of this process, user and system, from the segment file to the committed row: read, decoded, summed, written, synced. Calls are of
50 keys in 5 teams to 3 models, as the load generator's are; each counts in six counters. The first round begins with an empty store.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import resource
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.stores.sqlite import Sqlite
from engine.folding import Folder
from engine.journal import Journal
from engine.outside import SystemClock
from engine.posting import Held, Part, Released, Row, Settled, Who, encode, packed
from engine.windows import NEVER

KEYS, TEAMS, MODELS = 50, 5, ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash")
TICK = 8
"""Records that are written together."""
chance = random.Random(1)


def _id(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


WHOS = [
    packed(
        Who(
            _id(key),
            f"user-{key}",
            f"team-{key % TEAMS}",
            "organization-1",
            "acompletion",
            model,
            _id(model),
            model,
            "openai",
            "https://api.openai.com/v1",
        )
    )
    for key in range(KEYS)
    for model in MODELS
]


def _parts(who: int, now: float) -> list[Part]:
    """Return what a call counts in: money of key, user and team, requests and tokens of a minute, all it ever spent."""
    minute = (int(now) // 60 + 1) * 60 * 10**9
    day = (int(now) // 86_400 + 1) * 86_400 * 10**9
    ends = [day, NEVER, day, minute, minute, NEVER]
    return [(bytes([who // 3 % 50, number]) * 8, end, chance.randrange(10**6)) for number, end in enumerate(ends)]


def _call() -> tuple[str, list[Part], Row]:
    who, now = chance.randrange(len(WHOS)), time.time()
    name = uuid.UUID(int=chance.getrandbits(128)).hex
    row = Row(
        WHOS[who], f"chatcmpl-{name}", now, now + 1, now + 0.4, "success", chance.randrange(10**7), chance.randrange(3000),
        chance.randrange(800), requester_ip_address="192.0.2.7",
    )  # fmt: skip
    return name, _parts(who, now), row


def settled(count: int) -> Iterator[bytes]:
    """Make settlements, each with its row."""
    for _ in range(count):
        name, parts, row = _call()
        yield encode(Settled(name, 1, parts, row))


def calls(count: int) -> Iterator[bytes]:
    """Make a hold and a settlement of each call, 200 calls apart: so many are open at a time."""
    late: list[bytes] = []
    for _ in range(count // 2):
        name, parts, row = _call()
        yield encode(Held(name, 1, parts, row))
        late.append(encode(Settled(name, 1, parts, row)))
        if len(late) > 200:
            yield late.pop(0)
    yield from late


def released(count: int) -> Iterator[bytes]:
    """Make what comes to nothing: a hold, given back."""
    for _ in range(count // 2):
        name, parts, row = _call()
        yield encode(Held(name, 1, parts, row))
        yield encode(Released(name, 1))


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _rounds(make: Callable[[int], Iterator[bytes]], count: int, rounds: int) -> list[float]:
    """Return µs a record of each round."""
    with tempfile.TemporaryDirectory() as directory:
        store = Sqlite({"path": Path(directory) / "store.sqlite"})
        journal = Journal.open(Path(directory) / "journal")
        folder = Folder(journal, store, SystemClock())
        folder.catch_up()
        costs = []
        for _ in range(rounds):
            for number, payload in enumerate(make(count)):
                journal.append(payload)
                if number % TICK == 0:
                    journal.tick()
            journal.write_now()
            journal.sync()
            begun = _used()
            assert await folder.fold(), folder.reason  # noqa: S101 - a store of ours
            costs.append((_used() - begun) / count * 1e6)
        journal.close()
        store.close()
    return costs


def main() -> None:
    """Print a row for each kind of records."""
    parser = argparse.ArgumentParser(description="Measure what folding the journal costs.")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    print(f"µs of CPU a record, {chosen.records:,} records a round   first   median     best")
    kinds = {
        "settlements with a row": settled,
        "holds and settlements, half with a row": calls,
        "holds given back": released,
    }
    for name, make in kinds.items():
        costs = asyncio.run(_rounds(make, chosen.records, chosen.rounds))
        print(f"  {name:<46} {costs[0]:7.2f}  {statistics.median(costs):7.2f}  {min(costs):7.2f}")


if __name__ == "__main__":
    main()
