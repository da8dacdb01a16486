"""How a process comes to count in a Redis that does not know it: what its store and its journal have counted is brought in first.

Redis remembers who is in by an epoch: it is gone when Redis is new, or has lost its memory. One process of each store brings in
one snapshot of it; then each brings in what its own journal has beyond that snapshot, and its open holds. Until all who were there
before have done so nothing is granted, a few seconds at most: who never comes back has counted what is in the store.
Parts are staged and count when the last of them is there, so that whoever brings them in may die at any time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from adapters.counters.redis.asking import Asking
from adapters.counters.redis.client import Client
from adapters.counters.redis.holds import Granted
from adapters.counters.redis.reckoning import MOST, many, micros, pack, text
from engine.contracts import CountersError, Past
from engine.windows import Algorithm

log = structlog.get_logger("interlock")

WAIT = 5_000_000
"""Microseconds to wait for members that were there before."""
LOCK = 60_000_000
"""Microseconds after which another process may bring in a store that the first has not finished."""
PART = 1_000
"""Amounts in one script."""
PEERS = 1_000
"""Members that are waited for, at most."""
AGAIN = 0.05
"""Seconds between two looks at what another process does."""
PATIENCE = 120.0
"""Seconds after which it is begun anew."""


class Joining:
    """Brings a process in; `open_holds` are those neither settled nor released, `marked` is called when its journal has the rest."""

    def __init__(self, client: Client, past: Past, asking: Asking) -> None:
        self.open_holds: Callable[[], Iterable[Granted]] = tuple
        self.marked: Callable[[], None] = lambda: None
        self._client = client
        self._past = past
        self._asking = asking
        self._process = text(secrets.token_hex(8).encode())
        """Who holds a lock: a process that begins anew need not wait for its own."""

    def __repr__(self) -> str:
        return f"<Joining {self._past.journal} peers={len(self._asking.peers)}>"

    async def join(self) -> None:
        """Return once this process is in; raises CountersError."""
        self._past.pause()
        try:
            until = asyncio.get_running_loop().time() + PATIENCE
            token = secrets.token_hex(8)
            while await self._step(token):
                if asyncio.get_running_loop().time() > until:
                    raise CountersError("what was counted could not be brought in; it is begun anew")
        finally:
            self._past.resume()

    async def _step(self, token: str) -> bool:
        """Do what is next; False when this process is in."""
        past = self._past
        peers = [text(one.encode()) for one in self._asking.peers[:PEERS] if one != past.journal]
        way, _, epoch, *more = await self._client.ask(
            "join",
            b"\x99" + self._asking.instant() + b"".join(text(one.encode()) for one in (past.journal, past.store, past.journal))
            + many(len(peers)) + b"".join(peers) + pack(WAIT) + text(token.encode()) + pack(LOCK) + self._process,
        )  # fmt: skip
        if way == 0:
            return False
        if way == 1:
            await self._bring_store(epoch, token)
        elif way == 2:
            await asyncio.sleep(AGAIN)
        elif way == 3:
            await self._bring_own(epoch, token, (more[0], more[1]))
        else:
            await self._count(epoch, more[0])
        return True

    async def _bring_store(self, epoch: bytes, token: str) -> None:
        positions, amounts = await asyncio.to_thread(self._past.counted)
        log.info("counters are brought in", store=self._past.store, amounts=len(amounts))
        placed = b"".join(text(one.encode()) + pack(first) + pack(second) for one, (first, second) in positions.items())
        name = b"s:" + self._past.store.encode()
        await self._stage(epoch, name, token, _parts(amounts, ()), many(3 * len(positions)) + placed)
        await self._count(epoch, name)

    async def _bring_own(self, epoch: bytes, token: str, begin: tuple[int, int]) -> None:
        # One instant: what is settled by now is in the journal before the mark, what is settled later finds its hold.
        mark = self._past.mark()
        self.marked()
        holds = [self._hold(one) for one in self.open_holds() if one.away is None]
        amounts = await asyncio.to_thread(self._past.since, begin, mark)
        name = b"j:" + self._past.journal.encode()
        await self._stage(epoch, name, token, _parts(amounts, holds), b"\x90")
        await self._count(epoch, name)

    async def _stage(self, epoch: bytes, name: bytes, token: str, parts: Iterator[bytes], placed: bytes) -> None:
        number, part = 1, next(parts)
        for after in [*parts, b""]:
            last = not after
            await self._client.ask(
                "stage",
                b"\x99" + self._asking.instant() + text(epoch) + text(name) + text(token.encode()) + pack(number)
                + pack(last) + part + (placed if last else b"\x90") + self._process,
            )  # fmt: skip
            number, part = number + 1, after

    async def _count(self, epoch: bytes, name: bytes) -> None:
        while (await self._client.ask("apply", b"\x93" + self._asking.instant() + text(epoch) + text(name)))[0] == 1:
            pass

    def _hold(self, hold: Granted) -> bytes:
        """Pack an open hold: what counts on as used, and its places among calls that run."""
        counted = [
            (one.counter.id, until, one.amount)
            for one, until in zip(hold.claims, hold.until(), strict=True)
            if one.counter.algorithm is not Algorithm.LEASE
        ]
        running = [one for one in hold.claims if one.counter.algorithm is Algorithm.LEASE]
        claims = many(7 * len(running)) + self._asking.reckoning.claims(running)
        return b"\x94" + text(hold.name) + self._asking.lease + _amounts(counted) + claims


def _parts(amounts: Sequence[tuple[bytes, int, int]], holds: Sequence[bytes]) -> Iterator[bytes]:
    """Cut what is brought in, summed up, into parts that one script counts; there is one at least."""
    sums: dict[tuple[bytes, int], int] = {}
    for counter, until, amount in amounts:
        sums[counter, until] = sums.get((counter, until), 0) + amount
    amounts = [(counter, until, amount) for (counter, until), amount in sums.items()]
    for at in range(0, max(1, len(amounts), len(holds)), PART):
        some = holds[at : at + PART]
        yield b"\x92" + _amounts(amounts[at : at + PART]) + many(len(some)) + b"".join(some)


def _amounts(amounts: Sequence[tuple[bytes, int, int]]) -> bytes:
    packed = [text(counter) + pack(micros(until)) + pack(min(amount, MOST)) for counter, until, amount in amounts]
    return many(3 * len(packed)) + b"".join(packed)


class NoPast:
    """The past of a process without a journal: what it was given at its start, if anything."""

    def __init__(self) -> None:
        self.journal = f"process-{secrets.token_hex(8)}"
        self.store = f"store of {self.journal}"
        self.restored: list[tuple[bytes, int, int]] = []

    def __repr__(self) -> str:
        return f"<NoPast {self.journal} amounts={len(self.restored)}>"

    def pause(self) -> None:
        """Do nothing: there is no store to fold into."""

    def resume(self) -> None:
        """Do nothing, as `pause`."""

    def counted(self) -> tuple[dict[str, tuple[int, int]], list[tuple[bytes, int, int]]]:
        """Return what was restored."""
        return {}, self.restored

    def mark(self) -> tuple[int, int]:
        """Return the one position there is."""
        return (0, 0)

    def since(self, begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[bytes, int, int]]:
        """Return nothing: nothing is written."""
        del begin, end
        return []
