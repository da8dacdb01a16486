"""How holds end, on its way to Redis: nobody waits for it, and what is sent twice counts once, by the hold's name."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog

from adapters.counters.redis.client import Client
from adapters.counters.redis.link import Link, ReplyError
from adapters.counters.redis.reckoning import many, small, text
from engine.contracts import Claim

log = structlog.get_logger("interlock")

SETTLED, CANCELLED, CHARGED, REPLAYED = range(4)
"""Ways to end: by what was used; given up before anybody knows whether it was granted; counted though never held; as SETTLED,
with every amount named."""
MOST = 100_000
"""Endings that wait; beyond it the oldest are given up, and what they held counts in full when its lease runs out."""
BATCH, FLYING = 200, 4
"""Endings in one script, and scripts on their way: what Redis does well within a deadline."""


class Ending(NamedTuple):
    """One hold's end, packed for the script."""

    way: int
    packed: bytes


class Endings:
    """What is to be ended, the oldest first; `head` packs what every script begins with."""

    def __init__(self, client: Client, head: Callable[[], bytes]) -> None:
        self._client = client
        self._head = head
        self._waiting: deque[Ending] = deque()
        self._flying = 0
        self._soon = False
        self.lost = 0
        """How many were given up."""

    def __repr__(self) -> str:
        return f"<Endings {len(self)} waiting>"

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def done(self) -> bool:
        """Tell whether everything has arrived."""
        return not self._waiting and not self._flying

    def add(self, ending: Ending) -> None:
        """End a hold as soon as Redis is there."""
        if len(self._waiting) >= MOST:
            self._waiting.popleft()
            self.lost += 1
            if self.lost == 1:
                log.error("settlements are given up", most=MOST)
        self._waiting.append(ending)
        link = self._client.link
        if not self._soon and link is not None and self._client.ready:
            self._soon = True
            link.loop.call_soon(self._turn)

    def drop(self) -> None:
        """Drop what is on record elsewhere: all but what may yet come."""
        self._waiting = deque(one for one in self._waiting if one.way == CANCELLED)

    def flush(self) -> None:
        """Send what waits, as far as Redis may be asked at once."""
        link = self._client.link
        if link is None or not self._client.ready:
            return
        while self._waiting and self._flying < FLYING:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._flying += 1
            body = many(len(batch)) + b"".join(one.packed for one in batch)
            self._client.send(link, "settle", b"\x93" + self._head() + body).add_done_callback(
                partial(self._answered, link, batch)
            )

    def _turn(self) -> None:
        self._soon = False
        self.flush()

    def _answered(self, link: Link, batch: Sequence[Ending], done: asyncio.Future[Any]) -> None:
        self._flying -= 1
        error = done.exception()
        if error is None and done.result()[0] == 0:
            if self._waiting:
                self.flush()
            return
        self._waiting.extendleft(reversed(batch))
        if error is None:
            self._client.forgotten()
        elif isinstance(error, ReplyError) and error.code == "NOSCRIPT":
            self._client.load(link)
            self.flush()
        else:
            link.close(f"Redis refused: {error}")


def ended(way: int, name: bytes, claims: Sequence[Claim], actuals: Sequence[int]) -> Ending:
    """Pack an end by the amounts used, in the order of the claims."""
    used: dict[bytes, int] = {}
    for (counter, _), actual in zip(claims, actuals, strict=True):
        used[counter.id] = used.get(counter.id, 0) + actual
    return packed(way, name, used.items())


def packed(way: int, name: bytes, used: Any, claims: bytes = b"\x90") -> Ending:
    """Pack an end by (counter id, amount) each, with the claims that a charge brings."""
    parts = b"".join([text(counter) + small(amount) for counter, amount in used])
    return Ending(way, b"\x94" + text(name) + bytes((way,)) + many(2 * len(used)) + parts + claims)
