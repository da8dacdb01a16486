"""Processes under measurement: started on their cores, waited for, asked, and stopped."""

import contextlib
import http.client
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench import machine
from bench.load import Job, Result, decode
from bench.loops import GRACE_SECONDS
from bench.site import Row

_ROOT = Path(__file__).resolve().parent.parent
_STOP_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_TAIL_BYTES = 2_000


class HelperFailedError(Exception):
    """The load generator or the fake provider died: nothing of the run can be trusted."""


class NotStarted(Exception):  # noqa: N818 - a state of a row, shown in the table
    """A process did not come up; carries the reason and the end of what it wrote."""

    def __init__(self, reason: str, tail: str) -> None:
        super().__init__(reason)
        self.tail = tail


def get(port: int, path: str, key: str = "") -> tuple[int, str]:
    """Fetch a path from loopback; status 0 means that nobody answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class Process:
    """A child on given cores, its standard error kept."""

    def __init__(
        self, command: Sequence[str], cores: set[int], *, piped: bool = False, environ: Mapping[str, str] | None = None
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        pipe = subprocess.PIPE if piped else None
        with machine.pinned(cores):
            self._child = subprocess.Popen(
                command,
                cwd=_ROOT,
                env={**os.environ, **(environ or {})},
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or self._log,
                stderr=self._log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def pids(self) -> list[int]:
        """Return the process and its descendants."""
        return machine.tree(self._child.pid)

    def tail(self) -> str:
        """Return the end of what the process wrote to standard error."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode("utf-8", "replace")

    def await_ready(self, port: int, row: Row) -> None:
        """Return once the process answers 200 where its row says; raise NotStarted if it ends or takes too long."""
        deadline = time.monotonic() + row.start_seconds
        status = 0
        while time.monotonic() < deadline:
            if (code := self._child.poll()) is not None:
                raise NotStarted(f"exited with status {code}", self.tail())
            status, _ = get(port, row.ready)
            if status == 200:
                return
            time.sleep(0.1)
        raise NotStarted(f"not ready within {row.start_seconds:.0f} s, last status {status}", self.tail())

    def line(self, sent: str = "", seconds: float = _ANSWER_SECONDS) -> str:
        """Send a line if there is one, and return the line that comes back; raise HelperFailedError on silence."""
        assert self._child.stdin  # noqa: S101 - the caller asked for pipes
        assert self._child.stdout  # noqa: S101 - the caller asked for pipes
        line = b""
        with contextlib.suppress(BrokenPipeError):
            if sent:
                self._child.stdin.write(sent.encode() + b"\n")
                self._child.stdin.flush()
            # One line is asked for at a time, so nothing waits unseen in the reader's buffer.
            if select.select([self._child.stdout], [], [], seconds)[0]:
                line = self._child.stdout.readline()
        if not line:
            raise HelperFailedError(f"no answer from a process of the benchmark\n{self.tail()}")
        return line.decode()

    def stop(self) -> None:
        """End the process, politely first."""
        if self._child.poll() is None:
            family = self.pids()
            self._child.terminate()
            try:
                self._child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for pid in family:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe:
                    pipe.close()
        self._log.close()


class Upstream(Process):
    """The fake provider."""

    def __init__(self, cores: set[int]) -> None:
        super().__init__([sys.executable, "-m", "bench.upstream"], cores, piped=True)
        self.port = int(self.line())


class Load(Process):
    """The load generator."""

    def __init__(self, cores: set[int]) -> None:
        super().__init__([sys.executable, "-m", "bench.load"], cores, piped=True)

    def run(self, job: Job) -> list[tuple[str, Result]]:
        """Run one job in the load process."""
        patience = job.rounds * len(job.targets) * (job.seconds + GRACE_SECONDS + 1)
        return decode(self.line(job.to_json(), _ANSWER_SECONDS + patience))
