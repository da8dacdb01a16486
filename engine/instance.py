"""One running gateway: its parts made, started, reloaded, drained and closed."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from aiohttp import web

from engine import __version__
from engine.api import json, planned
from engine.api.config import Config
from engine.api.guardrails import Guardrails
from engine.api.health import Health
from engine.api.inference import Inference
from engine.api.limits import Limits
from engine.api.listener import Listener
from engine.api.management import Beside, management
from engine.api.models import Models
from engine.config.problems import Problem
from engine.contracts import Deps
from engine.cork import Cork
from engine.data_dir import DataDir
from engine.directory import Directory
from engine.durable import Durable
from engine.errand import Errands
from engine.extensions import Extensions
from engine.forward import Forwarder
from engine.gateway import Gateway
from engine.identity import Identity
from engine.keeping import Keeping
from engine.metrics import Metrics
from engine.outcome import Outcome
from engine.outside import SystemClock
from engine.passing import Passer
from engine.pricing import Prices
from engine.receive import Receiver
from engine.record import Recorder
from engine.reload import Apply, Reloader, Reloading
from engine.settle import Settled, StartError
from engine.sharing import Sharing
from engine.storing import Kind, StoreError
from engine.supervisor import Supervisor
from engine.transport import Transport, make

log = structlog.get_logger("interlock")

GAP_EVERY = 0.05
COUNTERS, COUNTERS_LOOK = 5.0, 0.01
"""Seconds that shared counters are waited for at the start, and between two looks."""

MakeReloading = Callable[[Apply, Metrics], Reloading]
"""Makes what keeps a gateway at what its files say, of what puts an outcome in force."""


class Whole(Protocol):
    """The whole gateway, where this process is one of several."""

    async def state(self) -> dict[str, Any]:
        """Return how it is."""

    async def metrics(self) -> str:
        """Return what it has counted."""


class Instance:
    """One running gateway, of what was settled before it could start."""

    def __init__(
        self, settled: Settled, data: DataDir, environ: Mapping[str, str], keep: Keeping,
        reloading: MakeReloading | None = None, whole: Whole | None = None,
    ) -> None:  # fmt: skip
        self.data = data
        self._settled = settled
        self._environ = environ
        self._supervisor = Supervisor()
        self.metrics = Metrics()
        self.http: Transport = make(environ)
        clock, chance = SystemClock(), random.Random()  # noqa: S311 - it spreads load, it guards nothing
        self.registry = Extensions(Deps(clock, chance, self.http, environ))
        self.prices = Prices.bundled()
        built = settled.build(self.registry, self.prices)
        self.snapshot = built.snapshot
        self.durable = Durable(self.registry, data, clock, keep)
        self.directory = Directory(None)
        self.directory.declare(settled.spec.general.master_key, built.declared, self.registry.kind)
        self.ledger = self.durable.ledger
        try:
            self.sharing = Sharing(self.durable.store, self.directory, self.ledger, self.durable.bus)
        except StoreError as error:
            raise StartError(str(error)) from error
        for kind in Kind:
            self.directory.fill(kind, self.durable.store.entities(kind))
        self.identity = Identity(self.directory, clock.time)
        if keep.joint:
            self.identity.look = self.sharing.look
        self.ledger.callers, self.ledger.customers = self.directory.known, self.directory.customer
        self.ledger.in_force = lambda: self.snapshot
        self.snapshot.policies.limits.view = self.ledger.counters.view
        self.receiver = Receiver()
        sink = self.registry.sink("jsonl", {"path": data.path / "records.jsonl"})
        self.recorder = Recorder(self.ledger, self.metrics, self.receiver, clock.monotonic, (sink,))
        forwarder = Forwarder(self.ledger, chance, clock)
        self.gateway = Gateway(
            self.identity, self.receiver, forwarder, self.recorder, Passer(self.http, self.ledger, self.prices, chance, clock),
            Errands(forwarder, self.recorder, self.registry.dialect("openai"), clock),
        )  # fmt: skip
        self.inference = Inference(self.gateway, self.registry, lambda: self.snapshot, clock)
        self.reloader: Reloading = (
            reloading(self.apply, self.metrics)
            if reloading is not None
            else Reloader(settled.sources, settled.spec.files, self.apply, self.metrics)
        )
        self._whole = whole
        self.limits = Limits()
        self._listener: Listener | None = None

    async def serve(
        self, sock: socket.socket, stop: asyncio.Event, drain: float, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Answer on a socket until `stop` is set, then drain; `ready` is called once calls are taken."""
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._application(), access_log=None)
        await runner.setup()
        self._listener = Listener(
            self.inference.match, self.inference.serve, runner, self.limits, Cork(self.durable.journal.flush)
        )
        self._gauges(self._listener)
        await self.durable.begin()
        for name, run in (
            ("transport", self.http.run),
            ("records", self.recorder.run),
            ("ledger", self.ledger.run),
            ("journal", self.durable.journal.run),
            ("folding", self.durable.folder.run),
            ("counters", self.durable.counters.run),
            ("entities", self.sharing.run),
            ("tallies", self.sharing.tell),
            ("limits", self.limits.run),
            ("loop", self._watch_loop),
            *self.reloader.components(),
        ):
            self._supervisor.start(name, run)
        await self._await_counters(loop)
        server = await loop.create_server(self._listener, sock=sock, backlog=1024)
        try:
            ready()
            await stop.wait()
            log.info("draining", calls=self._listener.active, seconds=drain)
            server.close()
            await self._listener.drain(drain)
        finally:
            server.close()
            await runner.cleanup()
            # What calls used is sent while the connection is still kept.
            await self.durable.counters.close()
            await self._supervisor.stop()
            await self.reloader.close()
            await self.http.close()
            self.recorder.close()
            await self.durable.close()

    async def apply(self, outcome: Outcome, revision: int) -> list[Problem]:
        """Put a compiled configuration in force between two calls, or return why not."""
        settled = self._settled.of(outcome, revision)
        built = await settled.rebuild(self.registry, self.prices)
        if isinstance(built, list):
            return built
        built.snapshot.policies.limits.view = self.ledger.counters.view
        # Rules and keys change together: nothing runs between these lines.
        self._settled, self.snapshot = settled, built.snapshot
        self.directory.declare(settled.spec.general.master_key, built.declared, self.registry.kind)
        return []

    async def _reload(self, reason: str) -> tuple[int, dict[str, Any]]:
        report = await self.reloader.reload(reason)
        return 200 if report.good else 422, report.shown()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[json.errors(self.registry.dialect("openai"), self.inference.match)])
        application.add_routes(Health(self._whole_state, self._whole_metrics, lambda: self.snapshot).routes())
        application.add_routes(Models(self.identity, lambda: self.snapshot, self.prices).routes())
        application.add_routes(Guardrails(self.identity, lambda: self.snapshot).routes())
        application.add_routes(Config(self.identity, self._reload, lambda: self.snapshot).routes())
        application.add_routes(
            management(
                self.identity, self.durable.store, lambda: self.snapshot.settings.key_header,
                Beside(self.durable.folded, self.ledger.counters.count, self.sharing.changed),
                unenforced=self._settled.allow_unenforced,
            )
        )  # fmt: skip
        application.add_routes(planned.routes())
        return application

    async def _await_counters(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give counters a moment to be there before calls are taken: many would be refused without."""
        until = loop.time() + COUNTERS
        while self.durable.counters.reason and loop.time() < until:  # noqa: ASYNC110 - once, at the start
            await asyncio.sleep(COUNTERS_LOOK)

    async def _whole_state(self) -> dict[str, Any]:
        return self.state() if self._whole is None else await self._whole.state()

    async def _whole_metrics(self) -> str:
        return self.metrics.render() if self._whole is None else await self._whole.metrics()

    def state(self) -> dict[str, Any]:
        """Return how this process is, as readiness shows it."""
        draining = self._listener is not None and self._listener.draining
        return {
            "ready": not draining and not self.durable.trouble, "db": self.durable.folder.reason or "connected",
            "journal": self.durable.trouble or "healthy", "counters": self.durable.counters.reason or "connected", "cache": None, "litellm_version": __version__,
            "success_callbacks": [], "revision": self.snapshot.revision, "policies": len(self.snapshot.policies),
            "config_in_sync": self.reloader.last.good, "config_problems": len(self.reloader.last.problems),
            "draining": draining, "components_down": dict(self._supervisor.crashed),
            "accepted_not_in_force": [str(one) for one in self._settled.not_in_force],
        }  # fmt: skip

    def _gauges(self, listener: Listener) -> None:
        self.metrics.gauges = {
            "interlock_calls_active": ("calls under way", lambda: listener.active),
            "interlock_client_connections": ("open connections of clients", lambda: self.limits.open),
            "interlock_upstream_connections": ("open connections to upstreams", lambda: self.http.connections),
            "interlock_records_queued": ("records that wait to be written", lambda: self.recorder.queued),
            "interlock_request_bytes_held": ("bytes of request bodies in memory", lambda: self.receiver.held),
            "interlock_open_holds": ("holds neither settled nor released", lambda: self.ledger.open_holds),
            "interlock_journal_records_waiting": (
                "records that wait for a disk that fails",
                lambda: self.durable.journal.waiting,
            ),
            "interlock_policies": ("policies in force", lambda: len(self.snapshot.policies)),
            "interlock_revision": ("revision in force", lambda: self.snapshot.revision),
        }

        self.metrics.counters = {
            "interlock_overrun_total": (
                "by how much settled calls exceeded their holds; money in nano-dollars",
                "unit",
                self.ledger.overruns,
            ),
            "interlock_soft_limit_passed_total": ("calls settled beyond a soft limit", "limit", self.ledger.crossed),
        }

    async def _watch_loop(self) -> None:
        """Measure how late the event loop comes to a timer."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + GAP_EVERY
            await asyncio.sleep(GAP_EVERY)
            self.metrics.gap(max(0.0, loop.time() - due))
