"""The master: compiles once, keeps its workers alive, and tells them what is in force.

It answers no call itself. A worker that ends is replaced at once by one that serves what was last good, whatever the
files say meanwhile; a revision is put in force in all workers or in none.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import random
from collections.abc import Callable, Mapping

import structlog

from engine.config.problems import Problem
from engine.contracts import Deps
from engine.durable import settle_left
from engine.extensions import Extensions
from engine.keeping import keeping
from engine.metrics import Metrics
from engine.outcome import Outcome
from engine.outside import SystemClock
from engine.pricing import Prices
from engine.reload import Reloader
from engine.settle import Settled
from engine.snapshot import Snapshot
from engine.supervisor import Supervisor
from engine.transport import make
from engine.workers.channel import Answer
from engine.workers.merging import whole_metrics, whole_state
from engine.workers.post import Post
from engine.workers.start import Start

log = structlog.get_logger("interlock")

LOOK = 0.02
"""Seconds between two looks at workers that start."""
ENDING = 5.0
"""Seconds beyond its drain that a worker is given to end by itself."""


class Master:
    """Runs so many workers until it is told to stop."""

    def __init__(
        self, settled: Settled, outcome: Outcome, start: Start, environ: Mapping[str, str], workers: int
    ) -> None:
        self.workers = workers
        self._settled, self._outcome, self._start = settled, outcome, start
        chance = random.Random()  # noqa: S311 - it spreads load, it guards nothing
        self._http = make(environ)
        self._environ, self._clock = environ, SystemClock()
        self._registry = Extensions(Deps(self._clock, chance, self._http, environ))
        self._prices = Prices.bundled()
        self._metrics = Metrics()
        self._publishing = asyncio.Lock()
        self._supervisor = Supervisor()
        self.reloader = Reloader(settled.sources, settled.spec.files, self._apply, self._metrics)
        self._posts = [Post(number, self) for number in range(1, workers + 1)]

    async def run(self, stop: asyncio.Event, ready: Callable[[Snapshot], None]) -> None:
        """Start every worker, keep them until `stop`, then have them drain; raises StartError where one cannot start.

        `ready` is called once all have started.
        """
        built = self._settled.build(self._registry, self._prices)
        await asyncio.to_thread(self._settle_left)
        try:
            for post in self._posts:
                self._supervisor.start(f"worker {post.number}", post.run)
            if not await self._begun(stop):
                return
            ready(built.snapshot)
            for name, run in self.reloader.components():
                self._supervisor.start(name, run)
            await stop.wait()
        finally:
            await self._end()

    def _settle_left(self) -> None:
        root = self._start.data
        keep = keeping(self._settled.spec, self._environ, root)
        settle_left(self._registry, root, self._clock, keep, range(1, self.workers + 1))

    async def _begun(self, stop: asyncio.Event) -> bool:
        """Wait until every worker has started; False when it is to stop before. Raises StartError as `run`."""
        while not all(post.begun.done() for post in self._posts):
            if stop.is_set():
                return False
            for post in self._posts:
                if post.begun.done():
                    post.begun.result()
            await asyncio.sleep(LOOK)
        for post in self._posts:
            post.begun.result()
        return True

    async def _end(self) -> None:
        log.info("draining", workers=self.workers, seconds=self._start.drain)
        await asyncio.gather(*(post.stop(self._start.drain + ENDING) for post in self._posts))
        await self._supervisor.stop()
        await self.reloader.close()
        await self._http.close()

    # --- what posts ask of the master

    def answers(self) -> dict[str, Answer]:
        """Return what a worker may ask."""
        return {"metrics": self._whole_metrics, "state": self._whole_state, "reload": self._reload}

    def in_force(self, number: int) -> tuple[Start, Outcome]:
        """Return what a worker that starts now is to serve."""
        return self._start.serving(self._settled, number), self._outcome

    async def catch_up(self, post: Post) -> None:
        """Bring a worker that has just started to what is in force since, and let it be told from then on."""
        async with self._publishing:
            if post.revision != self._settled.revision:
                await post.apply(self._outcome, self._settled.revision)
            post.ready = True

    async def _apply(self, outcome: Outcome, revision: int) -> list[Problem]:
        """Put a compiled configuration in force in every worker, or return why not."""
        settled = self._settled.of(outcome, revision)
        built = await settled.rebuild(self._registry, self._prices)
        if isinstance(built, list):
            return built
        async with self._publishing:
            self._settled, self._outcome = settled, outcome
            await asyncio.gather(*(post.apply(outcome, revision) for post in self._posts if post.ready))
        return []

    async def _reload(self, parts: list[bytes]) -> list[bytes]:
        return [pickle.dumps(await self.reloader.reload(parts[0].decode()))]

    async def _whole_metrics(self, parts: list[bytes]) -> list[bytes]:
        del parts
        texts = await asyncio.gather(*(post.metrics() for post in self._posts))
        running = sum(post.ready for post in self._posts)
        gone = [post.gone for post in self._posts if post.gone]
        return [whole_metrics(self._metrics.render(), [*filter(None, texts), *gone], self.workers, running).encode()]

    async def _whole_state(self, parts: list[bytes]) -> list[bytes]:
        del parts
        states = [one for one in await asyncio.gather(*(post.state() for post in self._posts)) if one is not None]
        whole = whole_state(states, self.workers)
        last = self.reloader.last
        whole |= {"config_in_sync": last.good, "config_problems": len(last.problems)}
        whole.setdefault("components_down", {}).update(self._supervisor.crashed)
        whole["ready"] = whole["ready"] and all(post.begun.done() for post in self._posts)
        return [json.dumps(whole).encode()]
