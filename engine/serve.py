"""Starts a gateway: files compiled, socket bound, memory settled, signals heard; everything else is the instance's."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from engine import __version__, memory
from engine.config.specs import ConfigSpec
from engine.data_dir import DEFAULT, DataDir
from engine.instance import Instance
from engine.settle import Settled, StartError, settle
from engine.sources import Compiled, Sources

log = structlog.get_logger("interlock")

__all__ = ["Options", "StartError", "run"]

DRAIN = 30.0
"""Seconds that calls under way are given after SIGTERM."""
LOOPBACK = "127.0.0.1"
SWITCH = 0.0005
"""Seconds for which a thread may hold the interpreter while the event loop waits."""


class Options(NamedTuple):
    """How the command line asks to be served."""

    sources: Sources = Sources()
    host: str | None = None
    port: int = 4000
    data: Path | None = None
    ephemeral: bool = False
    allow_unenforced: bool = False
    drain: float = DRAIN


async def run(compiled: Compiled, options: Options, environ: Mapping[str, str]) -> None:
    """Serve a configuration until SIGTERM or SIGINT; raises StartError or DataDirError."""
    settled = settle(compiled, options.sources, environ, allow_unenforced=options.allow_unenforced)
    host = options.host or (LOOPBACK if settled.generated else "0.0.0.0")  # noqa: S104 - a configured master key guards it
    if settled.generated and host not in ("127.0.0.1", "::1", "localhost"):
        raise StartError(
            f"no master key is set, so only loopback may be served, not {host}; set general_settings.master_key"
        )
    raise_file_limit()
    sock = bind(host, options.port)
    data = DataDir.ephemeral() if options.ephemeral else DataDir.open(_data_path(options, settled.spec, environ))
    try:
        instance = Instance(settled, data, environ)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        sys.setswitchinterval(SWITCH)
        memory.keep_freed()
        memory.settle()
        _announce(instance, settled, sock)
        await instance.serve(sock, stop, options.drain)
    finally:
        sock.close()
        data.close()
    log.info("stopped")


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


def _data_path(options: Options, spec: ConfigSpec, environ: Mapping[str, str]) -> Path:
    return options.data or Path(
        environ.get("INTERLOCK_DATA") or environ.get("LITELLM_DATA") or spec.general.data_dir or DEFAULT
    )


def _announce(instance: Instance, settled: Settled, sock: socket.socket) -> None:
    host, port = sock.getsockname()[:2]
    snapshot = instance.snapshot
    models = len(snapshot.groups) + len(snapshot.wildcards)
    log.info(
        "ready", url=f"http://{host}:{port}", version=__version__, models=models, policies=len(snapshot.policies),
        pid=os.getpid(),
    )  # fmt: skip
    if settled.generated:
        print(f"master key, made for this run and shown once: {settled.generated}", flush=True)  # noqa: T201 - for the person who started it, not for a log
