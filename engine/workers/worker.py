"""One worker process: a gateway that is told what to serve, and serves until it is told to stop or its master is gone."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pickle
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import structlog
import uvloop

from engine import logs
from engine.data_dir import DataDir, DataDirError
from engine.instance import Instance, MakeReloading
from engine.keeping import keeping, own_dir
from engine.metrics import Metrics
from engine.outcome import Linking, Outcome
from engine.process import bind, raise_file_limit, tune
from engine.reload import Apply, Component, Report
from engine.settle import Settled, StartError
from engine.supervisor import Supervisor
from engine.workers.channel import Channel
from engine.workers.start import Start, unpacked

log = structlog.get_logger("interlock")

RELOADING = 90.0
"""Seconds that a reload of all workers may take."""


class Told:
    """Keeps a worker at what its master says; a reload is the master's to make."""

    def __init__(self, channel: Channel, apply: Apply, linking: Linking, revision: int) -> None:
        self.last = Report(good=True, revision=revision)
        self._channel, self._apply, self._linking = channel, apply, linking

    def components(self) -> Sequence[Component]:
        """Return what is to run in the background: the master watches the files."""
        return ()

    def request(self, reason: str) -> None:
        """Leave it to the master, who has heard of it too."""

    async def reload(self, reason: str) -> Report:
        """Have the master reload for all workers."""
        (said,) = await self._channel.ask("reload", reason.encode(), patience=RELOADING)
        report: Report = pickle.loads(said)  # noqa: S301 - our own process wrote it
        return report

    async def close(self) -> None:
        """Let go of nothing."""

    async def apply(self, parts: list[bytes]) -> list[bytes]:
        """Put in force what the master has compiled."""
        revision = int(parts[0])
        errors = await self._apply(await self._linking.outcome(parts[1:]), revision)
        if errors:
            raise ValueError(f"revision {revision} cannot be put in force: {errors[0]}")
        self.last = Report(good=True, revision=revision)
        gc.freeze()
        return []


class Whole:
    """The whole gateway, as its master knows it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def state(self) -> dict[str, Any]:
        """Return how it is."""
        (said,) = await self._channel.ask("state")
        return dict(json.loads(said))

    async def metrics(self) -> str:
        """Return what it has counted."""
        (said,) = await self._channel.ask("metrics")
        return said.decode()


class Worker:
    """What the master asks of a worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stop = asyncio.Event()
        self.asked: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self.started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done once calls are taken, and empty; or why that cannot be."""
        self.channel = Channel(
            reader, writer,
            {"start": self._start, "apply": self._apply, "state": self._state, "metrics": self._metrics},
        )  # fmt: skip
        self._instance: Instance | None = None
        self._told: Told | None = None

    async def hear(self) -> None:
        """Hear the master until it is gone, and then stop: nobody would keep this worker, or replace it."""
        await self.channel.run()
        self.asked.cancel()
        if not self.stop.is_set():
            log.error("the master is gone: draining")
            self.stop.set()

    async def serve(self) -> None:
        """Serve what the master says until `stop`."""
        head, *parts = await self.asked
        start = unpacked(head)
        logs.configure(as_json=start.as_json, debug=start.debug, worker=start.number)
        linking = Linking()
        outcome = await linking.outcome(parts)
        settled = _settled(start, outcome)
        environ = {**os.environ, **settled.spec.environment}
        raise_file_limit()
        sock = bind(start.host, start.port, shared=True)
        data = DataDir.open(own_dir(start.data, start.number), root=start.data)
        try:
            keep = keeping(settled.spec, environ, start.data, start.number)
            self._instance = instance = Instance(
                settled, data, environ, keep, self._reloading(start, linking), Whole(self.channel)
            )
            tune()
            await instance.serve(sock, self.stop, start.drain, lambda: self.started.set_result(""))
        finally:
            sock.close()
            data.close()

    def refuse(self, why: str) -> None:
        """Tell the master why this worker cannot start."""
        if not self.started.done():
            self.started.set_result(why)

    def _reloading(self, start: Start, linking: Linking) -> MakeReloading:
        def made(apply: Apply, metrics: Metrics) -> Told:
            del metrics
            self._told = Told(self.channel, apply, linking, start.revision)
            return self._told

        return made

    async def _start(self, parts: list[bytes]) -> list[bytes]:
        self.asked.set_result(parts)
        return [(await self.started).encode()]

    async def _apply(self, parts: list[bytes]) -> list[bytes]:
        assert self._told is not None  # noqa: S101 - asked of workers that have started
        return await self._told.apply(parts)

    async def _state(self, parts: list[bytes]) -> list[bytes]:
        del parts
        assert self._instance is not None  # noqa: S101 - asked of workers that have started
        return [json.dumps(self._instance.state()).encode()]

    async def _metrics(self, parts: list[bytes]) -> list[bytes]:
        del parts
        assert self._instance is not None  # noqa: S101 - asked of workers that have started
        return [self._instance.metrics.render().encode()]


def _settled(start: Start, outcome: Outcome) -> Settled:
    """Return what the master has settled."""
    assert outcome.loaded.spec is not None  # noqa: S101 - the master serves nothing else
    assert outcome.policies is not None  # noqa: S101 - the master serves nothing else
    settled = Settled(
        start.sources, outcome.loaded.spec, outcome.policies, (), start.generated, start.allow_unenforced,
        start.given_key,
    )  # fmt: skip
    return settled.of(outcome, start.revision)


async def main(number: int) -> None:
    """Serve over an inherited socket, by its number."""
    worker = Worker(*await asyncio.open_connection(sock=socket.socket(fileno=number)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop.set)
    supervisor = Supervisor()
    supervisor.start("master", worker.hear)
    try:
        await worker.serve()
    except (StartError, DataDirError, ValueError) as error:
        worker.refuse(str(error))
        await worker.stop.wait()
    await supervisor.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
