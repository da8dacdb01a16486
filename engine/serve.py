"""The composition root: everything is made here, handed what it needs, started, drained and closed."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import secrets
import signal
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from aiohttp import web

from engine import __version__, memory
from engine.api import json, planned
from engine.api.health import Health
from engine.api.inference import Inference
from engine.api.limits import Limits
from engine.api.listener import Listener
from engine.api.models import Models
from engine.build import Built, build
from engine.config.litellm import Loaded
from engine.config.problems import NotInForce, Problem
from engine.config.specs import ConfigSpec, DeploymentSpec, LitellmParams, ModelInfo
from engine.contracts import Deps
from engine.data_dir import DEFAULT, DataDir
from engine.directory import Directory
from engine.extensions import Extensions
from engine.forward import Forwarder
from engine.gateway import Gateway
from engine.identity import Identity
from engine.ledger import Ledger
from engine.metrics import Metrics
from engine.outside import SystemClock
from engine.pricing import Prices
from engine.receive import Receiver
from engine.record import Recorder
from engine.supervisor import Supervisor
from engine.transport import Transport, make

log = structlog.get_logger("interlock")

DRAIN = 30.0
"""Seconds that calls under way are given after SIGTERM."""
GAP_EVERY = 0.05
LOOPBACK = "127.0.0.1"


class StartError(Exception):
    """The gateway refuses to start; the message says why and what to do."""


class Options(NamedTuple):
    """How the command line asks to be served."""

    host: str | None = None
    port: int = 4000
    data: Path | None = None
    ephemeral: bool = False
    allow_unenforced: bool = False
    drain: float = DRAIN


class Instance:
    """One running gateway."""

    def __init__(
        self, spec: ConfigSpec, data: DataDir, environ: Mapping[str, str], not_in_force: tuple[NotInForce, ...] = ()
    ) -> None:
        self.spec = spec
        self.data = data
        self._environ = environ
        self._not_in_force = not_in_force
        self._supervisor = Supervisor()
        self.metrics = Metrics()
        self.http: Transport = make(environ)
        clock, chance = SystemClock(), random.Random()  # noqa: S311 - it spreads load, it guards nothing
        self.registry = Extensions(Deps(clock, chance, self.http, environ))
        self.prices = Prices.bundled()
        built = checked(build(spec, self.registry, self.prices, 1))
        self.snapshot = built.snapshot
        self.identity = Identity(Directory(spec.general.master_key, built.callers), clock.time)
        self.ledger = Ledger()
        self.receiver = Receiver()
        sink = self.registry.sink("jsonl", {"path": data.path / "records.jsonl"})
        self.recorder = Recorder(self.ledger, self.metrics, self.receiver, clock.monotonic, (sink,))
        self.gateway = Gateway(
            self.identity, self.receiver, Forwarder(self.ledger, chance, clock.monotonic), self.recorder
        )
        self.inference = Inference(self.gateway, self.registry, lambda: self.snapshot, clock)
        self.limits = Limits()
        self._listener: Listener | None = None

    async def serve(self, sock: socket.socket, stop: asyncio.Event, drain: float = DRAIN) -> None:
        """Answer on a socket until `stop` is set, then drain."""
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._application(), access_log=None)
        await runner.setup()
        self._listener = Listener(self.inference.match, self.inference.serve, runner, self.limits)
        self._gauges(self._listener)
        for name, run in (
            ("transport", self.http.run),
            ("records", self.recorder.run),
            ("limits", self.limits.run),
            ("loop", self._watch_loop),
        ):
            self._supervisor.start(name, run)
        server = await loop.create_server(self._listener, sock=sock, backlog=1024)
        try:
            await stop.wait()
            log.info("draining", calls=self._listener.active, seconds=drain)
            server.close()
            await self._listener.drain(drain)
        finally:
            server.close()
            await runner.cleanup()
            await self._supervisor.stop()
            await self.http.close()
            self.recorder.close()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[json.errors(self.registry.dialect("openai"), self.inference.match)])
        application.add_routes(Health(self._state, self.metrics, lambda: self.snapshot).routes())
        application.add_routes(Models(self.identity, lambda: self.snapshot, self.prices).routes())
        application.add_routes(planned.routes())
        return application

    def _state(self) -> dict[str, Any]:
        draining = self._listener is not None and self._listener.draining
        return {
            "ready": not draining, "db": "Not connected", "cache": None, "litellm_version": __version__,
            "success_callbacks": [], "revision": self.snapshot.revision, "draining": draining,
            "components_down": dict(self._supervisor.crashed), "accepted_not_in_force": [str(one) for one in self._not_in_force],
        }  # fmt: skip

    def _gauges(self, listener: Listener) -> None:
        self.metrics.gauges = {
            "interlock_calls_active": ("calls under way", lambda: listener.active),
            "interlock_client_connections": ("open connections of clients", lambda: self.limits.open),
            "interlock_upstream_connections": ("open connections to upstreams", lambda: self.http.connections),
            "interlock_records_queued": ("records that wait to be written", lambda: self.recorder.queued),
            "interlock_request_bytes_held": ("bytes of request bodies in memory", lambda: self.receiver.held),
            "interlock_open_holds": ("holds neither settled nor released", lambda: self.ledger.open_holds),
        }

    async def _watch_loop(self) -> None:
        """Measure how late the event loop comes to a timer."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + GAP_EVERY
            await asyncio.sleep(GAP_EVERY)
            self.metrics.gap(max(0.0, loop.time() - due))


async def run(loaded: Loaded, options: Options, environ: Mapping[str, str]) -> None:
    """Serve a configuration until SIGTERM or SIGINT; raises StartError or DataDirError."""
    if loaded.spec is None:
        raise StartError("the configuration has errors")
    _enforceable(loaded.not_in_force, options)
    spec, generated = _with_master_key(loaded.spec, environ)
    host = options.host or (LOOPBACK if generated else "0.0.0.0")  # noqa: S104 - a configured master key guards it
    if generated and host not in ("127.0.0.1", "::1", "localhost"):
        raise StartError(
            f"no master key is set, so only loopback may be served, not {host}; set general_settings.master_key"
        )
    raise_file_limit()
    sock = bind(host, options.port)
    data = DataDir.ephemeral() if options.ephemeral else DataDir.open(_data_path(options, spec, environ))
    try:
        instance = Instance(spec, data, environ, loaded.not_in_force)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        memory.keep_freed()
        memory.settle()
        _announce(instance, sock, generated)
        await instance.serve(sock, stop, options.drain)
    finally:
        sock.close()
        data.close()
    log.info("stopped")


def without_config(loaded: Loaded) -> Loaded:
    """Let the echo provider answer for every model."""
    echo = DeploymentSpec(model_name="echo", params=LitellmParams(model="echo/echo"), info=ModelInfo(), id="echo")
    every = DeploymentSpec(model_name="*", params=LitellmParams(model="echo/*"), info=ModelInfo(), id="echo-any")
    return replace(loaded, spec=ConfigSpec(deployments=(echo, every)))


def checked(built: Built) -> Built:
    """Return a sound build; raises StartError with every error."""
    errors = [str(problem) for problem in built.problems if problem.severity == "error"]
    if errors:
        raise StartError("\n".join(errors))
    for problem in built.problems:
        warn(problem)
    return built


def warn(problem: Problem) -> None:
    """Log a warning of the configuration."""
    log.warning("configuration", problem=str(problem))


def bind(host: str, port: int) -> socket.socket:
    """Open the listening socket; raises StartError saying what stands in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot listen on {host}:{port}: {reason}; choose another with --host or --port") from error
    sock.setblocking(False)
    return sock


def raise_file_limit() -> None:
    """Let the process open as many sockets as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _enforceable(not_in_force: tuple[NotInForce, ...], options: Options) -> None:
    for one in not_in_force:
        log.warning("accepted, not in force", setting=str(one))
    unenforced = [str(one) for one in not_in_force if one.kind != "feature"]
    if unenforced and not options.allow_unenforced:
        listed = "\n".join(f"  {one}" for one in unenforced)
        raise StartError(
            f"these limits or guardrails are not enforced yet; remove them, or start with --allow-unenforced:\n{listed}"
        )


def _with_master_key(spec: ConfigSpec, environ: Mapping[str, str]) -> tuple[ConfigSpec, bool]:
    """Settle the master key: the file's, the environment's, else a new one (and True)."""
    key = spec.general.master_key or environ.get("INTERLOCK_MASTER_KEY") or environ.get("LITELLM_MASTER_KEY")
    settled = key or f"sk-{secrets.token_urlsafe(24)}"
    return spec.model_copy(update={"general": spec.general.model_copy(update={"master_key": settled})}), not key


def _data_path(options: Options, spec: ConfigSpec, environ: Mapping[str, str]) -> Path:
    return options.data or Path(
        environ.get("INTERLOCK_DATA") or environ.get("LITELLM_DATA") or spec.general.data_dir or DEFAULT
    )


def _announce(instance: Instance, sock: socket.socket, generated: bool) -> None:
    host, port = sock.getsockname()[:2]
    models = len(instance.snapshot.groups) + len(instance.snapshot.wildcards)
    log.info("ready", url=f"http://{host}:{port}", version=__version__, models=models, pid=os.getpid())
    if generated:
        print(f"master key, made for this run and shown once: {instance.spec.general.master_key}", flush=True)  # noqa: T201 - for the person who started it, not for a log
