"""Connections to one database, on a loop in a thread of their own: callers block, and never longer than is said.

What fails is StoreError; a connection that failed is dropped, and the next call makes another.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import asyncpg

from adapters.stores.postgres.address import Address
from engine.storing import StoreError

GRACE = 2.0
"""Seconds more that the thread is given to say that time was up."""
IDLE = 60.0
"""Seconds after which an unused connection is not used again: what lies between may have forgotten it."""
TRIES = 6
"""Times that a transaction is begun which the server ends in favour of another."""
PAUSE = 0.05
"""Seconds between two tries at most, and that much more before each."""
FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
    OverflowError,
)
"""What the driver raises: for the server, for itself, for the network, and for numbers that are too large."""
AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.InvalidCachedStatementError)
"""What says that the same would go now: another transaction came first, or a newer gateway changed the tables."""
VALUE = re.compile(r"(invalid input for query argument \$\d+): .*( \([^()]*\))", re.DOTALL)
"""What the driver says of a value, and quotes it."""

SAID = {
    "pool_limit": "database_connection_pool_limit",
    "pool_timeout": "database_connection_timeout",
    "connect_timeout": "database_connect_timeout",
    "timeout": "database_socket_timeout",
}
"""What configurations call the limits."""

T = TypeVar("T")


class Limits(NamedTuple):
    """Connections at once, and seconds: for a turn when all are in use, to connect, and for a call in all."""

    pool_limit: int = 10
    pool_timeout: float = 10.0
    connect_timeout: float = 5.0
    timeout: float = 15.0

    @classmethod
    def of(cls, *given: Mapping[str, Any]) -> Limits:
        """Take what settings say, the last first; raises StoreError that names a limit which cannot be."""
        found = {name: one[name] for one in given for name in cls._fields if one.get(name) is not None}
        for name, value in found.items():
            if not isinstance(value, int | float) or not 0 < value <= 86_400:
                raise StoreError(f"`{SAID[name]}`, or its like in the database's URL, must be above 0, not `{value}`")
        limits = cls(**found)
        return limits._replace(pool_limit=max(1, int(limits.pool_limit)))


class Connection(Protocol):
    """What the store uses of the driver's connection, which has no types of its own."""

    async def execute(self, query: str, *values: Any) -> str:
        """Run a statement; return what the server calls it."""

    async def fetch(self, query: str, *values: Any) -> Sequence[Sequence[Any]]:
        """Return all rows."""

    async def fetchrow(self, query: str, *values: Any) -> Sequence[Any] | None:
        """Return the first row."""

    async def fetchval(self, query: str, *values: Any) -> Any:
        """Return the first row's first value."""

    async def copy_records_to_table(self, table: str, *, records: Any, columns: Sequence[str]) -> str:
        """Write rows by COPY."""

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        """Hear a channel."""

    def add_termination_listener(self, callback: Callable[[Any], None]) -> None:
        """Hear of the connection's end."""

    def is_closed(self) -> bool:
        """Tell whether it has ended."""

    def terminate(self) -> None:
        """End it at once."""


class Transaction(NamedTuple):
    """How a transaction is begun. All is set for it alone: a pooler may give the next one another connection."""

    mode: str = "ISOLATION LEVEL READ COMMITTED READ WRITE"
    limited: bool = True
    """Whether the server ends a statement that takes too long."""

    def begin(self, schema: str, seconds: float) -> str:
        """Write the statements that begin it, one round trip."""
        settings = {
            "search_path": f'"{schema}"',
            # A journal lets go of what is folded: that must be on the disk by then.
            "synchronous_commit": "on",
            "statement_timeout": f"{int(seconds * 1000)}" if self.limited else "0",
            # Who stands still in the midst of a transaction holds up every other gateway.
            "idle_in_transaction_session_timeout": "60000",
            # What is asked of long tables differs too much for one plan, and is over before a compiler has begun.
            "plan_cache_mode": "force_custom_plan",
            "jit": "off",
        }
        return f"BEGIN {self.mode}; " + "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())


WRITING = Transaction()
READING = Transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY")
"""Sees one state of the data."""

Work = Callable[[Connection], Awaitable[T]]


class Connections:
    """A few connections to a database, made when they are needed."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self.address, self.limits = address, limits
        self._idle: list[tuple[Connection, float]] = []
        self._turns = asyncio.Semaphore(limits.pool_limit)
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="interlock-postgres", daemon=True)
        self._thread.start()

    def run(self, work: Work[T], how: Transaction = WRITING, seconds: float | None = None) -> T:
        """Do work in a transaction, all of it or nothing, on a connection that is nobody else's meanwhile.

        It is done anew when the server gives way to another transaction. Raises StoreError, also when time is up: what
        was committed then is not known.
        """
        within = self.limits.timeout if seconds is None else seconds
        return self.wait(self._within(work, how, within), within)

    def wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Do work in the thread, and wait for its end; raises StoreError."""
        if threading.current_thread() is self._thread:
            work.close()
            raise self.error("called by its own thread, which would wait for itself")
        future = self.start(work)
        try:
            return future.result(seconds + GRACE)
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            future.cancel()
            raise self.error("closed" if self._closed else f"no answer within {seconds:g} s") from None

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin work in the thread; raises StoreError once closed."""
        if self._closed:
            work.close()
            raise self.error("closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def connect(self) -> Connection:
        """Make a connection; raises StoreError."""
        seconds = self.limits.connect_timeout
        # A pooler that gives each transaction another connection knows no statement of the one before.
        more = {"statement_cache_size": 0} if self.address.shared else {}
        try:
            made: Connection = await asyncpg.connect(self.address.dsn, timeout=seconds, loop=self._loop, **more)
        except TimeoutError:
            raise self.error(f"no connection within {seconds:g} s") from None
        except (*FAILURES, ValueError) as error:
            raise self.error(self.said(error)) from error
        return made

    def error(self, why: str) -> StoreError:
        """Make the error that names the store."""
        return StoreError(f"store `{self.address.shown}`: {why}")

    @staticmethod
    def said(error: BaseException) -> str:
        """Return an error's first line: the others, and what the driver adds, may quote what is stored."""
        if isinstance(error, OSError) and error.strerror:
            return error.strerror.lower()
        text = str(error.args[0]) if error.args and isinstance(error.args[0], str) else str(error)
        return VALUE.sub(r"\1\2", text).partition("\n")[0] or type(error).__name__

    def close(self) -> None:
        """Drop all connections and end the thread; calls under way fail."""
        if self._closed:
            return
        ending = self.start(self._end())
        self._closed = True
        ending.result(GRACE + 1.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE)
        self._loop.close()

    async def _within(self, work: Work[T], how: Transaction, seconds: float) -> T:
        try:
            return await asyncio.wait_for(self._tried(work, how, seconds), seconds)
        except TimeoutError:
            raise self.error(f"no answer within {seconds:g} s") from None
        except FAILURES as error:
            raise self.error(self.said(error)) from error

    async def _tried(self, work: Work[T], how: Transaction, seconds: float) -> T:
        for number in range(1, TRIES):
            try:
                return await self._done(work, how, seconds)
            except AGAIN:
                await asyncio.sleep(random.uniform(0, PAUSE * number))  # noqa: S311 - guards nothing
        return await self._done(work, how, seconds)

    async def _done(self, work: Work[T], how: Transaction, seconds: float) -> T:
        try:
            await asyncio.wait_for(self._turns.acquire(), self.limits.pool_timeout)
        except TimeoutError:
            most = self.limits.pool_limit
            raise self.error(f"all {most} connections are in use; raise `{SAID['pool_limit']}`") from None
        try:
            return await self._whole(await self._taken(), work, how.begin(self.address.schema, seconds))
        finally:
            self._turns.release()

    async def _whole(self, connection: Connection, work: Work[T], begin: str) -> T:
        ended = False
        try:
            await connection.execute(begin)
            try:
                result = await work(connection)
            except (*FAILURES, StoreError):
                # A server that stands still would not roll back either: then time is up in the midst of it.
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                    ended = True
                raise
            await connection.execute("COMMIT")
            ended = True
            return result
        finally:
            # Of one whose transaction has not ended nobody knows what it is in the midst of.
            if not ended:
                connection.terminate()
            elif not connection.is_closed():
                self._idle.append((connection, time.monotonic()))

    async def _taken(self) -> Connection:
        while self._idle:
            connection, since = self._idle.pop()
            if not connection.is_closed() and time.monotonic() - since < IDLE:
                return connection
            connection.terminate()
        return await self.connect()

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=1.0)
        for connection, _ in self._idle:
            connection.terminate()
        # Their sockets are closed by what runs next.
        await asyncio.sleep(0)
