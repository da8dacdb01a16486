"""One worker's place: a process in it, replaced when it ends, and the channel to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from engine.outcome import Key, Outcome, keys, parted
from engine.settle import StartError
from engine.workers.channel import Channel, ChannelError
from engine.workers.merging import counted, summed, written

if TYPE_CHECKING:
    from engine.workers.master import Master

log = structlog.get_logger("interlock")

STARTING = 120.0
"""Seconds that a worker may take to start: it folds what one before it left."""
APPLYING = 60.0
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
STEADY = 10.0
"""Seconds of running after which an end is a first one again: the next worker starts at once."""
ANSWERING = 2.0
"""Seconds that a worker is given to say how it is."""
ROOT = os.fspath(Path(__file__).resolve().parent.parent.parent)


class Post:
    """Keeps one worker. `begun` is done once the first has started, or says why it could not."""

    def __init__(self, number: int, master: Master) -> None:
        self.number = number
        self.ready = False
        self.revision = 0
        self.gone = ""
        """What workers before this one had counted when they were last asked."""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._master = master
        self._known: frozenset[Key] = frozenset()
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._stopping = False
        self._last = ""

    async def run(self) -> None:
        """Start a worker, and another when it ends, until `stop`."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            started = loop.time()
            code = await self._serve()
            if self._stopping:
                return
            log.error("worker ended", worker=self.number, code=code, restart_in=pause)
            await asyncio.sleep(pause)
            pause = 0.0 if loop.time() - started > STEADY else min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)

    async def apply(self, outcome: Outcome, revision: int) -> None:
        """Have the worker put an outcome in force; one that cannot is replaced by one that serves it from its start."""
        assert self._channel is not None  # noqa: S101 - the caller's promise
        assert outcome.policies is not None  # noqa: S101 - it is without errors
        parts = parted(outcome, self._known)
        try:
            await self._channel.ask("apply", str(revision).encode(), *parts, patience=APPLYING)
        except ChannelError as error:
            log.error("worker could not take a revision, and is replaced", worker=self.number, why=str(error))  # noqa: TRY400 - its place tells nothing
            self._kill()
        self._known, self.revision = keys(outcome.policies), revision

    async def metrics(self) -> str | None:
        """Return what the worker has counted; None where it does not answer."""
        answer = await self._asked("metrics")
        if answer is not None:
            self._last = answer.decode()
        return None if answer is None else self._last

    async def state(self) -> dict[str, Any] | None:
        """Return how the worker is; None where it does not answer."""
        answer = await self._asked("state")
        return None if answer is None else dict(json.loads(answer))

    async def stop(self, seconds: float) -> None:
        """Have the worker drain and end, and kill it when it does not."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            log.warning("worker did not end, and is killed", worker=self.number)
            self._kill()
            await process.wait()

    async def _serve(self) -> int:
        """Run one worker to its end; return its exit code."""
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH", ""))))
        with theirs:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "engine.workers.worker", str(theirs.fileno()), pass_fds=(theirs.fileno(),),
                start_new_session=True, env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip
        channel = self._channel = Channel(*await asyncio.open_connection(sock=ours), self._master.answers())
        try:
            await asyncio.gather(channel.run(), self._begin(channel))
            return await process.wait()
        finally:
            self.ready = False
            if self._last:
                self.gone = written(summed(filter(None, (self.gone, counted(self._last)))))
                self._last = ""

    async def _begin(self, channel: Channel) -> None:
        """Tell a worker what to serve, and wait until it does."""
        start, outcome = self._master.in_force(self.number)
        assert outcome.policies is not None  # noqa: S101 - what is in force is without errors
        try:
            (said,) = await channel.ask("start", start.packed(), *parted(outcome), patience=STARTING)
        except ChannelError as error:
            said = str(error).encode()
        if said:
            why = said.decode()
            if not self.begun.done():
                self.begun.set_exception(StartError(why))
            else:
                log.error("worker cannot start", worker=self.number, why=why)
            self._kill()
            return
        self._known, self.revision = keys(outcome.policies), start.revision
        await self._master.catch_up(self)
        log.info("worker started", worker=self.number, pid=self._process.pid if self._process else 0)
        if not self.begun.done():
            self.begun.set_result(None)

    async def _asked(self, what: str) -> bytes | None:
        if not self.ready or self._channel is None:
            return None
        try:
            (answer,) = await self._channel.ask(what, patience=ANSWERING)
        except ChannelError:
            return None
        return answer

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
