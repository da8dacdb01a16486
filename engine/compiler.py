"""The compiler process: reads, checks and compiles a configuration away from the event loop, and hands over the result.

A thread would not do: composing 88 KB of YAML holds the interpreter lock for 43 ms. The process is started once and
kept, so that what an earlier reload compiled need not be compiled again. A request is one line of JSON, a reply an outcome
in parts.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

from engine.difference import Difference, State, difference, state
from engine.documents import Kept
from engine.extensions import kind
from engine.outcome import Key, Linking, Outcome, keys, parted
from engine.parts import pack, read_parts
from engine.sources import Seen, Sources, compile_sources, look

PATIENCE = 60.0
"""Seconds that a compilation may take."""
VANISHED = 0.5
"""Seconds for which a file must be gone before it counts as deleted: editors save by taking it away and back."""
ROOT = os.fspath(Path(__file__).resolve().parent.parent)


class CompilerError(Exception):
    """The compiler process broke down; the message says how."""


class Compiler:
    """The gateway's end: starts the process when it is first needed."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._process: asyncio.subprocess.Process | None = None
        self._linking = Linking()

    async def compile(self, still: float) -> Outcome:
        """Compile what the files hold now; raises CompilerError."""
        try:
            parts = await asyncio.wait_for(self._ask(still), PATIENCE)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            await self.close()
            raise CompilerError(f"the compiler process ended ({type(error).__name__})") from error
        except asyncio.CancelledError:
            # Half of a reply would be taken for the beginning of the next.
            self._kill()
            raise
        return await self._linking.outcome(parts)

    async def close(self) -> None:
        """End the process."""
        process = self._kill()
        if process is not None:
            await process.wait()

    def _kill(self) -> asyncio.subprocess.Process | None:
        process, self._process = self._process, None
        self._linking.forget()
        if process is not None and process.returncode is None:
            process.kill()
        return process

    async def _ask(self, still: float) -> list[bytes]:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        assert process.stdout is not None  # noqa: S101 - it was started with pipes
        process.stdin.write(json.dumps({"still": still}).encode() + b"\n")
        await process.stdin.drain()
        return await read_parts(process.stdout)

    async def _start(self) -> asyncio.subprocess.Process:
        config, policies = (os.fspath(path) if path is not None else "" for path in self._sources)
        path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH", ""))))
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.compiler", config, policies, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip


class CompilerProcess:
    """The process' end: compiles on request, and remembers what was last good, to compare with."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._last: State | None = None
        self._files: tuple[str, ...] = ()
        self._known: Seen = {}
        self._kept: dict[str, Kept] = {}
        self._handed_over: frozenset[Key] = frozenset()
        """The policies that the gateway has, by key."""

    def reply(self, still: float) -> list[bytes]:
        """Compile, and return the parts of the reply."""
        if still:
            self._await_missing()
        seen = look(self._sources, self._files)
        compiled = compile_sources(self._sources, os.environ, kind, still, self._kept)
        spec = compiled.loaded.spec
        changed = Difference()
        if spec is None or compiled.errors:
            return parted(Outcome(compiled.loaded, compiled.problems, changed, None, seen))
        now = state(spec, compiled.policies, kind)
        if self._last is not None:
            changed = difference(self._last, now)
        self._last, self._files = now, spec.files
        self._known = seen if self._files else look(self._sources, self._files)
        outcome = Outcome(compiled.loaded, compiled.problems, changed, compiled.policies, seen)
        parts, self._handed_over = parted(outcome, self._handed_over), keys(compiled.policies)
        return parts

    def _await_missing(self) -> None:
        """Wait until what is gone has been gone for long enough to be deleted, or is back."""
        began = time.monotonic()
        while time.monotonic() - began < VANISHED and not look(self._sources, self._files).keys() >= self._known.keys():
            time.sleep(0.02)


def main(config: str, policies: str) -> None:
    """Answer requests on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    process = CompilerProcess(Sources(Path(config) if config else None, Path(policies) if policies else None))
    out: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever prints must not break the wire.
    for line in sys.stdin.buffer:
        out.write(pack(process.reply(float(json.loads(line)["still"]))))
        out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:3])
