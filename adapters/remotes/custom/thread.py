"""One event loop for all hooks, in a thread of its own: a hook that blocks holds up hooks, never the gateway.

Whoever waits may stop waiting: what is cancelled there is cancelled here. A hook that lets itself not be interrupted (`time.sleep`)
is waited for by the hooks behind it only, each within its own deadline.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from engine.detecting import DetectorError

MOST = 1_000
"""Questions that may wait or be under way."""
TURN, PATIENCE = 2.0, 60.0
"""Seconds that work of a load waits for its turn behind hooks, and may then take."""
T = TypeVar("T")


class _Turn:
    """One question: whether its hook was begun, and whether nobody waits any more."""

    __slots__ = ("begun", "left")

    def __init__(self) -> None:
        self.begun = self.left = False


class HooksThread:
    """Runs coroutines; the thread is started by the first, for a process may be made of another before."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._come = 0
        self._gone = 0

    @property
    def waiting(self) -> int:
        """How many questions wait or are under way."""
        return self._come - self._gone

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work on the hooks' loop; raises what it raises, DetectorError where too many wait."""
        turn = _Turn()
        with self._lock:
            if self.waiting >= self._most:
                raise DetectorError(f"{self._most} questions wait for hooks already: one of them may block for ever")
            self._come += 1
            loop = self._loop = self._loop or _started()
        future = asyncio.run_coroutine_threadsafe(self._turn(turn, work), loop)

        def left(_: object) -> None:
            turn.left = True
            # Counted by the hooks' loop, never by whoever waits: while it is blocked, what was given up still takes its memory.
            loop.call_soon_threadsafe(self._over, turn)

        future.add_done_callback(left)
        return await asyncio.wrap_future(future)

    def make(self, work: Callable[[], T]) -> T:
        """Do work on the hooks' loop while this thread waits; raises what it raises, and TimeoutError."""
        begun = threading.Event()

        async def made() -> T:
            begun.set()
            return work()

        with self._lock:
            loop = self._loop = self._loop or _started()
        future = asyncio.run_coroutine_threadsafe(made(), loop)
        if not begun.wait(TURN) and future.cancel():
            raise TimeoutError("hooks block their event loop: this is made on it once they are done")
        try:
            return future.result(PATIENCE)
        except TimeoutError:
            raise TimeoutError(f"it takes more than {PATIENCE:g} seconds") from None

    async def _turn(self, turn: _Turn, work: Callable[[], Awaitable[T]]) -> T:
        if turn.left:
            raise asyncio.CancelledError
        turn.begun = True
        try:
            return await work()
        finally:
            self._gone += 1

    def _over(self, turn: _Turn) -> None:
        if not turn.begun:
            self._gone += 1


def apart(work: Callable[[], T]) -> T:
    """Do work in a thread that has no event loop while this one waits: what it starts on its way starts on no loop of the gateway."""
    with ThreadPoolExecutor(1, "load") as thread:
        return thread.submit(work).result()


def _started() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    threading.Thread(target=loop.run_forever, name="hooks", daemon=True).start()
    return loop
