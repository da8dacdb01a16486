"""Closed loop for cost, open loop for latency, both against one port."""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Sequence

from bench.client import Connection, Tally, clock
from bench.shapes import Shape

GRACE_SECONDS = 5.0
_MOST_CONNECTIONS = 512
_RETRY_SECONDS = 0.05
_CONNECT_SECONDS = 0.05


def arrivals(rate: float, seconds: float, rng: random.Random | None) -> list[float]:
    """Return start times from 0 up to `seconds`: evenly spaced, or Poisson if given a source of chance."""
    times: list[float] = []
    now = 0.0
    while now < seconds:
        times.append(now)
        now += rng.expovariate(rate) if rng else 1 / rate
    return times


class _Lines:
    """Connections to one port, each of one client."""

    def __init__(self, port: int, shape: Shape, requests: Sequence[Sequence[bytes]]) -> None:
        self.tally = Tally()
        self._port = port
        self._shape = shape
        self._clients = itertools.cycle(requests)
        self._tasks: set[asyncio.Task[None]] = set()
        self._made: set[Connection] = set()
        self._stopped = False

    async def stop(self) -> None:
        """Close what is open; nothing is counted from here on."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        for connection in self._made:
            connection.close()
        # One turn of the loop, in which the closed connections take their leave.
        await asyncio.sleep(0)

    async def connect(self) -> None:
        """Open the first connections; one that fails now is tried again later."""
        for _ in range(self._shape.connections):
            self._open()
        await asyncio.wait(set(self._tasks), timeout=_CONNECT_SECONDS)

    def _send(self, connection: Connection, intended: float) -> None:
        connection.send(next(connection.requests), intended)

    def _open(self) -> None:
        task = asyncio.create_task(self._dial())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopped:
            try:
                _, made = await loop.create_connection(
                    lambda: Connection(self, self._shape.frames_in_all, self._ended, next(self._clients)),
                    "127.0.0.1",
                    self._port,
                )
            except OSError:
                self.tally.errors["connect"] += 1
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._made.add(made)
            self._opened(made)
            return

    def _opened(self, connection: Connection) -> None:
        raise NotImplementedError

    def _ended(self, connection: Connection) -> None:
        raise NotImplementedError


class ClosedLoop(_Lines):
    """Keeps every connection busy during a slice, and idle between slices."""

    def __init__(self, port: int, shape: Shape, requests: Sequence[Sequence[bytes]]) -> None:
        super().__init__(port, shape, requests)
        self._idle: list[Connection] = []
        self._under_way = 0
        self._left = 0
        self._sending = False
        self._drained = asyncio.Event()

    async def slice(self, seconds: float, limit: int) -> None:
        """Send for so long or so many requests, then wait for the last answers, so that no work is cut in two."""
        self._left = limit
        self._sending = True
        self._drained.clear()
        idle, self._idle = self._idle, []
        for connection in idle:
            self._next(connection)
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(seconds, self._finish), loop.call_later(seconds + GRACE_SECONDS, self._drained.set)]
        await self._drained.wait()
        for timer in timers:
            timer.cancel()
        if self._under_way:
            self.tally.errors["unfinished"] += self._under_way
            self._abandon()

    def _finish(self) -> None:
        self._sending = False
        if not self._under_way:
            self._drained.set()

    def _abandon(self) -> None:
        for connection in [each for each in self._made if each.busy]:
            self._made.discard(connection)
            connection.close()
            self._open()
        self._under_way = 0

    def _next(self, connection: Connection) -> None:
        if not connection.alive:
            self._made.discard(connection)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._open)
        elif self._sending and self._left:
            self._left -= 1
            self._under_way += 1
            self._send(connection, clock())
        else:
            self._idle.append(connection)
        if not self._left:
            self._finish()

    def _opened(self, connection: Connection) -> None:
        self._next(connection)

    def _ended(self, connection: Connection) -> None:
        self._under_way -= 1
        self._next(connection)
        if not self._sending:
            self._finish()


class OpenLoop(_Lines):
    """Starts requests on absolute times whether or not earlier ones have ended."""

    def __init__(self, port: int, shape: Shape, requests: Sequence[Sequence[bytes]]) -> None:
        super().__init__(port, shape, requests)
        self._free: list[Connection] = []
        self._waiting: deque[float] = deque()
        self._count = self._opening = self._under_way = 0
        self._times: list[float] = []
        self._at = 0
        self._over = asyncio.Event()

    async def run(self, times: Sequence[float]) -> None:
        """Run the schedule to its end, wait for the last answers, and count what never came."""
        start = clock()
        self._times = [start + at for at in times]
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._times[-1] - start + GRACE_SECONDS, self._over.set)
        self._tick()
        await self._over.wait()
        timer.cancel()
        if unfinished := self._under_way + len(self._waiting) + len(self._times) - self._at:
            self.tally.errors["unfinished"] += unfinished

    def _open(self) -> None:
        if self._count < _MOST_CONNECTIONS:
            self._count += 1
            self._opening += 1
            super()._open()

    def _tick(self) -> None:
        now = clock()
        while self._at < len(self._times) and self._times[self._at] <= now:
            self._waiting.append(self._times[self._at])
            self._at += 1
        self._drain()
        if self._at < len(self._times) and not self._over.is_set():
            asyncio.get_running_loop().call_at(self._times[self._at], self._tick)

    def _drain(self) -> None:
        while self._waiting and self._free:
            connection = self._free.pop()
            if connection.alive:
                self._under_way += 1
                self._send(connection, self._waiting.popleft())
            else:
                self._count -= 1
        for _ in range(len(self._waiting) - self._opening):
            self._open()

    def _opened(self, connection: Connection) -> None:
        self._opening -= 1
        self._free.append(connection)
        self._drain()

    def _ended(self, connection: Connection) -> None:
        self._under_way -= 1
        if self._stopped:
            return
        self._free.append(connection)
        self._drain()
        if self._at == len(self._times) and not self._under_way and not self._waiting:
            self._over.set()
