"""Starts a gateway: files compiled, socket bound, memory settled, signals heard; everything else is the instance's."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from engine import __version__
from engine.config.specs import ConfigSpec
from engine.data_dir import DEFAULT, DataDir
from engine.difference import Difference
from engine.instance import Instance
from engine.keeping import keeping
from engine.outcome import Outcome
from engine.process import bind, raise_file_limit, tune
from engine.reload import Reloading
from engine.settle import Settled, StartError, settle
from engine.snapshot import Snapshot
from engine.sources import Compiled, Sources
from engine.workers import Master
from engine.workers.start import Start

log = structlog.get_logger("interlock")

__all__ = ["Options", "StartError", "run"]

DRAIN = 30.0
"""Seconds that calls under way are given after SIGTERM."""
LOOPBACK = "127.0.0.1"


class Options(NamedTuple):
    """How the command line asks to be served."""

    sources: Sources = Sources()
    host: str | None = None
    port: int = 4000
    data: Path | None = None
    ephemeral: bool = False
    allow_unenforced: bool = False
    drain: float = DRAIN
    workers: int = 1
    as_json: bool = True
    debug: bool = False
    """How workers log."""


async def run(compiled: Compiled, options: Options, environ: Mapping[str, str]) -> None:
    """Serve a configuration until SIGTERM or SIGINT; raises StartError or DataDirError."""
    settled = settle(compiled, options.sources, environ, allow_unenforced=options.allow_unenforced)
    host = options.host or (LOOPBACK if settled.generated else "0.0.0.0")  # noqa: S104 - a configured master key guards it
    if settled.generated and host not in ("127.0.0.1", "::1", "localhost"):
        raise StartError(
            f"no master key is set, so only loopback may be served, not {host}; set general_settings.master_key"
        )
    raise_file_limit()
    sock = bind(host, options.port, shared=options.workers > 1)
    data = DataDir.ephemeral() if options.ephemeral else DataDir.open(_data_path(options, settled.spec, environ))
    try:
        keep = keeping(settled.spec, environ, data.root)
        if options.workers > 1 and not keep.shared:
            raise StartError(
                f"{options.workers} workers need counters that they share: set REDIS_URL (or router_settings.redis_url), "
                "or start one worker"
            )
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if options.workers > 1:
            await _many(_master(compiled, settled, options, data, environ, sock), settled, sock, stop)
        else:
            await _one(Instance(settled, data, environ, keep), settled, sock, stop, options.drain)
    finally:
        sock.close()
        data.close()
    log.info("stopped")


async def _one(instance: Instance, settled: Settled, sock: socket.socket, stop: asyncio.Event, drain: float) -> None:
    """Serve in this process."""
    _heed(settled, instance.reloader)
    tune()
    await instance.serve(sock, stop, drain, lambda: _announce(instance.snapshot, settled, sock, 1))


async def _many(master: Master, settled: Settled, sock: socket.socket, stop: asyncio.Event) -> None:
    """Serve in worker processes."""
    _heed(settled, master.reloader)
    await master.run(stop, lambda snapshot: _announce(snapshot, settled, sock, master.workers))


def _master(
    compiled: Compiled, settled: Settled, options: Options, data: DataDir, environ: Mapping[str, str], sock: socket.socket
) -> Master:  # fmt: skip
    host, port = sock.getsockname()[:2]
    outcome = Outcome(compiled.loaded, compiled.problems, Difference(), compiled.policies, {})
    start = Start(host, port, data.path, options.drain, options.as_json, options.debug)
    return Master(settled, outcome, start, environ, options.workers)


def _heed(settled: Settled, reloading: Reloading) -> None:
    """Reload on SIGHUP, where there is anything to read again."""
    if settled.sources.any:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloading.request, "SIGHUP")


def _data_path(options: Options, spec: ConfigSpec, environ: Mapping[str, str]) -> Path:
    return options.data or Path(
        environ.get("INTERLOCK_DATA") or environ.get("LITELLM_DATA") or spec.general.data_dir or DEFAULT
    )


def _announce(snapshot: Snapshot, settled: Settled, sock: socket.socket, workers: int) -> None:
    host, port = sock.getsockname()[:2]
    log.info(
        "ready", url=f"http://{host}:{port}", version=__version__,
        models=len(snapshot.groups) + len(snapshot.wildcards), policies=len(snapshot.policies), workers=workers,
        pid=os.getpid(),
    )  # fmt: skip
    if settled.generated:
        print(f"master key, made for this run and shown once: {settled.generated}", flush=True)  # noqa: T201 - for the person who started it, not for a log
