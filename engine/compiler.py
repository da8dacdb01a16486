"""The compiler process: reads, checks and compiles a configuration away from the event loop, and hands over the result.

A thread would not do: composing 88 KB of YAML holds the interpreter lock for 43 ms. The process is started once and
kept, so that what an earlier reload compiled need not be compiled again. What comes back is pickled in parts small enough to be
unpickled between two calls.

Wire: a request is one line of JSON; a reply is a count of parts, then each part behind its length (4 bytes each).
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import structlog

from engine.config.litellm import Loaded
from engine.config.problems import Problem
from engine.difference import Difference, State, difference, state
from engine.documents import Kept
from engine.extensions import kind
from engine.governing import PolicySet
from engine.policy import Policy
from engine.sources import Seen, Sources, compile_sources, look

log = structlog.get_logger("interlock")

PART = 16
"""Entries of a list in one part."""
NEW = "new"
ORDER = "order"
"""Policies that the gateway does not have yet, and the keys of all of them in order."""
SLICED = ("deployments", "keys", "teams", "users", "organizations", "budgets")
"""The lists of a configuration that may be long."""
SLICE = 0.002
"""Seconds of unpickling before others have the event loop."""
PATIENCE = 60.0
"""Seconds that a compilation may take."""
LARGEST = 1 << 30
VANISHED = 0.5
"""Seconds for which a file must be gone before it counts as deleted: editors save by taking it away and back."""
ROOT = os.fspath(Path(__file__).resolve().parent.parent)
_LENGTH = struct.Struct("<I")


Key = tuple[str, str]


class Outcome(NamedTuple):
    """What a compilation came to: `policies` are None where there are errors."""

    loaded: Loaded
    problems: tuple[Problem, ...]
    difference: Difference
    policies: PolicySet | None
    seen: Seen
    """What the files looked like that this was made of."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What must be mended first."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


class CompilerError(Exception):
    """The compiler process broke down; the message says how."""


class Compiler:
    """The gateway's end: starts the process when it is first needed."""

    def __init__(self, sources: Sources, breathe: Callable[[], Awaitable[None]]) -> None:
        self._sources = sources
        self._breathe = breathe
        self._process: asyncio.subprocess.Process | None = None
        self._linked_before: dict[Key, Policy] = {}

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
        return await self._linked(parts)

    async def close(self) -> None:
        """End the process."""
        process = self._kill()
        if process is not None:
            await process.wait()

    def _kill(self) -> asyncio.subprocess.Process | None:
        process, self._process = self._process, None
        self._linked_before = {}
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
        (count,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        parts = []
        for _ in range(count):
            (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
            parts.append(await process.stdout.readexactly(length))
        return parts

    async def _start(self) -> asyncio.subprocess.Process:
        config, policies = (os.fspath(path) if path is not None else "" for path in self._sources)
        path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH", ""))))
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.compiler", config, policies, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip

    async def _linked(self, parts: list[bytes]) -> Outcome:
        """Unpickle the parts, a slice at a time."""
        loaded, problems, changed, index, seen = pickle.loads(parts[0])  # noqa: S301 - our own process wrote it
        lists: dict[str, list[Any]] = {NEW: [], ORDER: [], **{name: [] for name in SLICED}}
        began = time.perf_counter()
        for part in parts[1:]:
            name, entries = pickle.loads(part)  # noqa: S301 - our own process wrote it
            lists[name] += entries
            if time.perf_counter() - began > SLICE:
                await self._breathe()
                began = time.perf_counter()
        if index is None:
            return Outcome(loaded, problems, changed, None, seen)
        whole = loaded.spec.model_copy(update={name: tuple(lists[name]) for name in SLICED})
        known = self._linked_before | {_key(policy): policy for policy in lists[NEW]}
        self._linked_before = {key: known[key] for key in lists[ORDER]}
        linked = PolicySet(self._linked_before.values(), index)
        return Outcome(replace(loaded, spec=whole), problems, changed, linked, seen)


class Worker:
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
            return [_pickled((compiled.loaded, compiled.problems, changed, None, seen))]
        now = state(spec, compiled.policies, kind)
        if self._last is not None:
            changed = difference(self._last, now)
        self._last, self._files = now, spec.files
        self._known = seen if self._files else look(self._sources, self._files)
        rest = replace(compiled.loaded, spec=spec.model_copy(update=dict.fromkeys(SLICED, ())))
        first = _pickled((rest, compiled.problems, changed, compiled.policies.index, seen))
        policies = {_key(policy): policy for policy in compiled.policies.policies}
        new = [policy for key, policy in policies.items() if key not in self._handed_over]
        self._handed_over = frozenset(policies)
        lists = {NEW: new, ORDER: list(policies), **{name: getattr(spec, name) for name in SLICED}}
        return [first, *(part for name, entries in lists.items() for part in _parts(name, entries))]

    def _await_missing(self) -> None:
        """Wait until what is gone has been gone for long enough to be deleted, or is back."""
        began = time.monotonic()
        while time.monotonic() - began < VANISHED and not look(self._sources, self._files).keys() >= self._known.keys():
            time.sleep(0.02)


def _key(policy: Policy) -> Key:
    """Return what tells a policy from every other: its content and its place, which its messages name."""
    return policy.head.digest, policy.head.place


def _parts(name: str, entries: Sequence[Any]) -> list[bytes]:
    return [_pickled((name, entries[at : at + PART])) for at in range(0, len(entries), PART)]


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def main(config: str, policies: str) -> None:
    """Answer requests on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    worker = Worker(Sources(Path(config) if config else None, Path(policies) if policies else None))
    out: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever prints must not break the wire.
    for line in sys.stdin.buffer:
        parts = worker.reply(float(json.loads(line)["still"]))
        out.write(_LENGTH.pack(len(parts)) + b"".join(_LENGTH.pack(len(part)) + part for part in parts))
        out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:3])
