"""Connections by origin: reuse, limits, waiting lines and the one coarse timer that keeps every deadline."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections import deque
from collections.abc import Mapping

from engine.contracts import HttpRequest, Origin, Tunnel
from engine.cork import Cork
from engine.errors import UpstreamError
from engine.transport.connection import Connection
from engine.transport.dial import Dialer
from engine.transport.exchange import Exchange
from engine.transport.tunnel import offer

TICK = 0.25
"""Seconds between two looks at the deadlines; a time limit is kept to this precision."""
PER_ORIGIN = 1024
WAITING = 4096
PROBE_AFTER = 0.5
"""Seconds of idleness after which a socket is asked, before reuse, whether its peer has gone."""


class Shelf:
    """The connections of one origin: open ones are counted, idle ones kept newest last."""

    __slots__ = ("idle", "open", "waiting")

    def __init__(self) -> None:
        self.open = 0
        self.idle: list[Connection] = []
        self.waiting: deque[asyncio.Future[Connection | None]] = deque()

    def __repr__(self) -> str:
        return f"<Shelf open={self.open} idle={len(self.idle)} waiting={len(self.waiting)}>"


class Pool:
    """The own transport: an `Http` over pooled connections.

    `per_origin` bounds connections, `waiting` bounds calls in line for one, `idle_limit` is in seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        per_origin: int = PER_ORIGIN,
        waiting: int = WAITING,
        idle_limit: float = 30.0,
    ) -> None:
        self.idle_limit = idle_limit
        self.cork = Cork()
        self._per_origin = per_origin
        self._waiting = waiting
        self._dialer = Dialer(environ)
        self._shelves: dict[Origin, Shelf] = {}
        self._active: set[Exchange] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {len(self._shelves)} origins, {self.connections} connections, {len(self._active)} active>"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return sum(shelf.open for shelf in self._shelves.values())

    async def send(self, request: HttpRequest) -> Exchange:
        """Send and wait for the answer's head; see `Http.send`."""
        shelf = self._shelves.get(request.origin)
        connection = self._reuse(shelf) if shelf is not None and shelf.idle else None
        if connection is None:
            connection = await self._open(request)
        exchange = connection.begin(request, connection.loop.time())
        self._active.add(exchange)
        try:
            await exchange.head()
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def tunnel(self, request: HttpRequest) -> Tunnel:
        """Offer another protocol over a connection of its own; see `Http.tunnel`."""
        if self._closed:
            raise _shutting_down()
        return await offer(self._dialer, request)

    async def run(self) -> None:
        """Enforce time limits until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            self.tick(loop.time())

    def tick(self, now: float) -> None:
        """Fail exchanges past their deadline, close connections idle too long."""
        for exchange in [e for e in self._active if not e.complete and e.expired(now)]:
            phase = "in the middle of its answer" if exchange.status else "before it answered"
            exchange.fail(UpstreamError(504, "timeout", f"the upstream timed out {phase}"))
        for origin, shelf in list(self._shelves.items()):
            for connection in [c for c in shelf.idle if now - c.idle_since > c.idle_limit]:
                shelf.idle.remove(connection)
                connection.abort()
            if not shelf.open and not shelf.waiting:
                del self._shelves[origin]

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        for exchange in list(self._active):
            exchange.fail(_shutting_down())
            exchange.close()
        for shelf in self._shelves.values():
            for connection in shelf.idle:
                connection.abort()
            shelf.idle.clear()
            for waiter in shelf.waiting:
                if not waiter.done():
                    waiter.set_exception(_shutting_down())
            shelf.waiting.clear()
        await asyncio.sleep(0)

    # --- what connections report ---

    def ended(self, exchange: Exchange) -> None:
        """Let go of an exchange at once: answers kept for a while would crowd what is in use out of the caches."""
        self._active.discard(exchange)

    def keep(self, connection: Connection) -> None:
        """Take back a connection that can carry another exchange."""
        shelf = self._shelves[connection.origin]
        if self._closed:
            connection.abort()
            return
        while shelf.waiting:
            waiter = shelf.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        connection.idle_since = connection.loop.time()
        shelf.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has closed, and let the next in line open one."""
        if not connection.adopted:
            return
        shelf = self._shelves[connection.origin]
        if connection in shelf.idle:
            shelf.idle.remove(connection)
        self._vacate(shelf)

    # --- inside ---

    def _reuse(self, shelf: Shelf) -> Connection | None:
        while shelf.idle:
            connection = shelf.idle.pop()
            if connection.closed:
                continue
            idle = connection.loop.time() - connection.idle_since
            if idle > connection.idle_limit or (idle > PROBE_AFTER and _has_input(connection.fileno)):
                connection.abort()
                continue
            return connection
        return None

    async def _open(self, request: HttpRequest) -> Connection:
        if self._closed:
            raise _shutting_down()
        shelf = self._shelves.setdefault(request.origin, Shelf())
        while shelf.open >= self._per_origin:
            given = await self._line_up(shelf, request)
            if given is None:
                break
            if not given.closed:
                return given
            shelf = self._shelves.setdefault(request.origin, Shelf())
        else:
            shelf.open += 1
        loop = asyncio.get_running_loop()
        try:
            connection = await self._dialer.dial(
                request.origin, lambda: Connection(self, request.origin, loop), request.timeouts.connect
            )
        except BaseException:
            self._vacate(shelf)
            raise
        self._settle_in(connection, shelf)
        return connection

    def _settle_in(self, connection: Connection, shelf: Shelf) -> None:
        """Count a new connection as the pool's own, unless it closed while it was being opened."""
        if connection.closed:
            self._vacate(shelf)
            raise UpstreamError(502, "upstream_error", "the upstream closed the connection at once", sent=False)
        if self._closed:
            self._vacate(shelf)
            connection.abort()
            raise _shutting_down()
        connection.adopted = True

    async def _line_up(self, shelf: Shelf, request: HttpRequest) -> Connection | None:
        """Wait for a connection, or for None: the right to open one, already counted."""
        if len(shelf.waiting) >= self._waiting:
            raise UpstreamError(503, "overloaded", "too many calls wait for this upstream; try again", sent=False)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        shelf.waiting.append(waiter)
        timer = loop.call_later(request.timeouts.connect, _give_up, waiter)
        try:
            return await waiter
        except BaseException:
            with contextlib.suppress(ValueError):
                shelf.waiting.remove(waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._return(shelf, waiter.result())
            raise
        finally:
            timer.cancel()

    def _return(self, shelf: Shelf, given: Connection | None) -> None:
        """Pass on what a cancelled call was given; a connection that has closed has passed on its place itself."""
        if given is None:
            self._vacate(shelf)
        elif not given.closed:
            self.keep(given)

    def _vacate(self, shelf: Shelf) -> None:
        shelf.open -= 1
        self._admit(shelf)

    def _admit(self, shelf: Shelf) -> None:
        while shelf.waiting and shelf.open < self._per_origin:
            waiter = shelf.waiting.popleft()
            if not waiter.done():
                # The place is taken here and now: a newcomer must not get in between.
                shelf.open += 1
                waiter.set_result(None)


def _give_up(waiter: asyncio.Future[Connection | None]) -> None:
    if not waiter.done():
        waiter.set_exception(
            UpstreamError(503, "overloaded", "no connection to the upstream came free in time", sent=False)
        )


def _shutting_down() -> UpstreamError:
    return UpstreamError(503, "overloaded", "the gateway is shutting down", sent=False)


def _has_input(descriptor: int) -> bool:
    """Tell whether a socket that should be silent has something to say: its end, as a rule."""
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
