"""What is asked of the scripts, packed, and asked anew where a calendar was reckoned wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from adapters.counters.redis.client import Client
from adapters.counters.redis.holds import Granted, name_of
from adapters.counters.redis.reckoning import MICRO, Reckoning, many, pack, small, text
from engine.contracts import Claim, Clock, Counter, CountersError, HoldId

Answer = list[Any]
REMEMBERED = 60
"""Times of hearing nothing of a process after which it is forgotten: about a second each."""
LOST, WAITING = 3, 4
"""Answers of a Redis that does not know this process, and of one that waits for others."""


class Asking:
    """Asks for one process, the `member`; `lease` is in nanoseconds."""

    def __init__(self, client: Client, clock: Clock, member: str, lease: int) -> None:
        self.now: Callable[[], int] = lambda: 0
        """The microseconds that scripts go by; 0 for those of the server."""
        self.reckoning = Reckoning(self.time)
        self.lease = pack(lease // MICRO)
        self._missing: dict[str, int] = {}
        self._client = client
        self._clock = clock
        self._member = text(member.encode())
        self._ahead = 0

    def __repr__(self) -> str:
        return f"<Asking {self._client}>"

    @property
    def peers(self) -> list[str]:
        """Return the processes that were there when last heard of, those that are surely there first."""
        return sorted(self._missing, key=lambda name: (self._missing[name], name))

    def time(self) -> int:
        """Return Unix nanoseconds, by the clock of Redis as far as it is known."""
        return int(self._clock.time() * 1e6) * MICRO + self._ahead

    def instant(self) -> bytes:
        """Pack the instant that scripts go by."""
        return small(self.now())

    def head(self) -> bytes:
        """Pack what most scripts begin with: instant and member."""
        return small(self.now()) + self._member

    def why(self, answer: Answer) -> str:
        """Say why an answer grants nothing."""
        if answer[0] == LOST:
            self._client.forgotten()
            return self._client.reason
        return (
            "other processes have yet to bring in what they counted"
            if answer[0] == WAITING
            else "the hold was given up"
        )

    async def reserve(self, hold: HoldId, caller: Sequence[Claim], candidates: Sequence[Sequence[Claim]]) -> Answer:
        """Ask for claims of a caller and the first candidate that fits; raises CountersError."""
        sizes = many(len(candidates)) + b"".join([small(len(one)) for one in candidates])
        every = [*caller, *(claim for claims in candidates for claim in claims)] if candidates else caller
        head = self.head() + text(name_of(hold)) + self.lease + small(len(caller)) + sizes
        return await self._claimed("reserve", b"\x97" + head, every)

    async def extend(self, hold: Granted, number: int, claims: Sequence[Claim]) -> Answer:
        """Ask for one more slice; raises CountersError."""
        return await self._claimed("extend", b"\x95" + self.head() + text(hold.name) + pack(number), claims)

    async def keep(
        self, leased: Sequence[Granted] = (), looked: Sequence[Granted] = (), counters: Sequence[Counter] = ()
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Renew, look and count at once; raises CountersError.

        Returns the places of holds that are not open, and four numbers of each counter: used, held, reset, whether it is known.
        """
        if not self._client.ready:
            raise CountersError(self._client.reason)
        holds = b"".join([many(len(some)) + b"".join([text(one.name) for one in some]) for some in (leased, looked)])
        counted = self.reckoning.counters(counters)
        answer = await self._client.ask("keep", b"\x96" + self.head() + self.lease + holds + counted)
        if answer[0] != 0:
            raise CountersError(self.why(answer))
        _, now, members, lost, said = answer
        self._ahead = now * MICRO - int(self._clock.time() * 1e6) * MICRO
        # A server that is new knows few: who was there is remembered for a while of its being there.
        missing = {name: times + 1 for name, times in self._missing.items() if times < REMEMBERED}
        self._missing = missing | dict.fromkeys([one.decode() for one in members], 0)
        return lost, said

    async def _claimed(self, verb: str, head: bytes, claims: Sequence[Claim]) -> Answer:
        reckoning, size = self.reckoning, many(7 * len(claims))
        for _ in range(len(claims) + 2):
            answer = await self._client.ask(verb, head + size + reckoning.claims(claims))
            if answer[0] != 2:
                break
            _, now, stale, last = answer
            self._ahead = now * MICRO - int(self._clock.time() * 1e6) * MICRO
            for counter in {one.counter for one in claims if one.counter.id == stale}:
                reckoning.correct(counter, last, now)
        return answer
