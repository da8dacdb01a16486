"""The connection that counters go over: opened again whenever it is lost, and said to be away or back once each time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from adapters.counters.redis.link import Link, LinkError, ReplyError
from adapters.counters.redis.scripts import scripts
from adapters.counters.redis.server import Server, connect
from engine.contracts import CountersError

log = structlog.get_logger("interlock")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts to connect, at first and at most."""
TURN = 1.0
"""Seconds between two looks at what is to be kept."""


class Unanswered(CountersError):  # noqa: N818 - an error of what it is named after
    """A command went out and no reply came: nobody knows whether it was done."""


class Client:
    """Asks scripts; `ready` while this process may count: `begin` has run since the connection is there."""

    def __init__(self, server: Server, prefix: str) -> None:
        self.server = server
        self.ready = False
        self.reason = "not connected yet"
        self.link: Link | None = None
        self.before: Callable[[], None] = lambda: None
        """What is to go out before the next command."""
        self._scripts = scripts(prefix)
        self._said: bool | None = None
        self._awake = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Client {self.server.place} {'ready' if self.ready else self.reason}>"

    async def ask(self, verb: str, argument: bytes) -> list[Any]:
        """Run a script and return its answer; raises CountersError, Unanswered where it may have run."""
        link = self.link
        if link is None:
            raise CountersError(self.reason)
        self.before()
        try:
            return await self._called(link, verb, argument)
        except LinkError as error:
            raise Unanswered(str(error)) from error
        except ReplyError as error:
            link.close(f"Redis refused: {error}")
            raise Unanswered(f"Redis refused: {error}") from error

    async def _called(self, link: Link, verb: str, argument: bytes) -> list[Any]:
        call = self._scripts[verb].call(argument)
        try:
            answer: list[Any] = await link.send(call)
        except ReplyError as error:
            if error.code != "NOSCRIPT":
                raise
            self.load(link)
            answer = await link.send(call)
        return answer

    def send(self, link: Link, verb: str, argument: bytes) -> asyncio.Future[Any]:
        """Run a script that nobody waits for."""
        return link.send(self._scripts[verb].call(argument))

    def load(self, link: Link) -> None:
        """Make Redis know the scripts, before whatever is sent next."""
        for script in self._scripts.values():
            link.send(script.load).add_done_callback(_seen)

    def forgotten(self) -> None:
        """Take note that Redis does not know this process: its memory is new, or was lost."""
        self.away("it has lost what was counted, which is brought in again")
        self.wake()

    def wake(self) -> None:
        """Let the next turn come at once."""
        self._awake.set()

    async def run(self, begin: Callable[[], Awaitable[None]], turn: Callable[[], Awaitable[None]]) -> None:
        """Connect, begin, and take a turn every second, again and again."""
        pause = FIRST_PAUSE
        try:
            while True:
                try:
                    link = await connect(self.server)
                    link.on_close = self._closed
                    self.link = link
                    self.load(link)
                    await self._stay(link, begin, turn)
                    pause = FIRST_PAUSE
                except (LinkError, CountersError) as error:
                    self._closed(str(error))
                # Many processes lose one server at once: they need not all come back in the same instant.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._said = False  # that it ends is no news
            self._closed("closed")

    async def _stay(
        self, link: Link, begin: Callable[[], Awaitable[None]], turn: Callable[[], Awaitable[None]]
    ) -> None:
        while not link.closed:
            if not self.ready:
                await begin()
                self._back()
            await turn()
            if self.ready:
                await self._rest()

    async def _rest(self) -> None:
        timer = asyncio.get_running_loop().call_later(TURN, self._awake.set)
        await self._awake.wait()
        self._awake.clear()
        timer.cancel()

    def _closed(self, reason: str) -> None:
        link, self.link = self.link, None
        if link is not None:
            link.close(reason)
        self.away(reason)
        self.wake()

    def away(self, reason: str) -> None:
        """Take nothing more, and say so once."""
        self.ready, self.reason = False, reason
        if self._said is not False:
            self._said = False
            log.warning("counters unavailable", at=self.server.place, reason=reason)

    def _back(self) -> None:
        self.ready, self.reason = True, ""
        if self._said is False:
            log.info("counters back", at=self.server.place)
        self._said = True


def _seen(done: asyncio.Future[Any]) -> None:
    """Leave an error to the command that needs the script: it fails by it, too."""
    if not done.cancelled():
        done.exception()
