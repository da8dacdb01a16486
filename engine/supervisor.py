"""Background work in one group: each component's `run()` is started, watched and restarted with back-off.

This is the only place where tasks are made. A crash is logged and shown in readiness; it never goes unseen and never
takes the process down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("interlock")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
PATIENCE = 0.5
"""Seconds that a component is given to end."""
SETTLED = 60.0
"""Seconds of running after which a crash is a first one again."""


class Supervisor:
    """Runs components until `stop`."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.crashed: dict[str, str] = {}
        """Components that are down, and by what."""

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a component from now on."""
        self._tasks[name] = asyncio.get_running_loop().create_task(self._keep(name, run), name=name)

    async def stop(self) -> None:
        """Cancel every component and wait for its end; one that goes on is cancelled again.

        `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with what it waits for.
        """
        left = {*self._tasks.values()}
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=PATIENCE)
        self._tasks.clear()

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        healed: asyncio.TimerHandle | None = None
        while True:
            started = loop.time()
            try:
                await run()
                return
            except Exception as error:
                if healed is not None:
                    healed.cancel()
                self.crashed[name] = type(error).__name__
                log.exception("background work crashed", component=name, restart_in=pause)
            pause = FIRST_PAUSE if loop.time() - started > SETTLED else pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            healed = loop.call_later(SETTLED, self.crashed.pop, name, None)
