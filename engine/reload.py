"""Keeps the gateway at what its files say: watches them, has them compiled, and puts the result in force at once.

What cannot be put in force leaves what is: the last good state stays, and log, metrics and readiness say why.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog
from watchfiles import awatch

from engine.compiler import Compiler, CompilerError
from engine.config.problems import Problem
from engine.documents.files import STILL, SUFFIXES
from engine.metrics import Metrics
from engine.outcome import Outcome
from engine.sources import Sources, look

log = structlog.get_logger("interlock")

DEBOUNCE_MS = 100
STEP_MS = 20
POLL = 5.0
"""Seconds between two looks at the files themselves: not every file system tells of changes."""
MISSING = 0.5
SHOWN = 50
"""Problems that readiness and log list."""


class Report(NamedTuple):
    """What a reload came to."""

    good: bool
    revision: int
    problems: tuple[Problem, ...] = ()
    changed: dict[str, Any] = {}  # noqa: RUF012 - never written to
    seconds: float = 0.0

    def shown(self) -> dict[str, Any]:
        """Return what a person reads."""
        said = {"status": "reloaded" if self.good else "refused", "revision": self.revision, **self.changed}
        said["seconds"] = round(self.seconds, 3)
        if self.problems:
            said["problems"] = [str(problem) for problem in self.problems[:SHOWN]]
        return said


Apply = Callable[[Outcome, int], Awaitable[list[Problem]]]
"""Puts an outcome in force under a revision; returns errors where it was not put."""
Component = tuple[str, Callable[[], Awaitable[None]]]
"""What runs in the background, and its name."""


class Reloading(Protocol):
    """Keeps a gateway at what its files say."""

    last: Report
    """What the last reload came to."""

    def components(self) -> Sequence[Component]:
        """Return what is to run in the background."""

    def request(self, reason: str) -> None:
        """Reload soon, whether or not anything has changed."""

    async def reload(self, reason: str) -> Report:
        """Put in force what the files hold now, or say why not."""

    async def close(self) -> None:
        """Let go of what was started."""


class Reloader:
    """Reloads when files change and when it is asked to."""

    def __init__(self, sources: Sources, files: tuple[str, ...], apply: Apply, metrics: Metrics) -> None:
        self._sources = sources
        self._files = files
        self._apply = apply
        self._metrics = metrics
        self._compiler = Compiler(sources)
        self._lock = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._forced = ""
        self._seen = look(sources, files)
        self.last = Report(good=True, revision=1)

    def components(self) -> Sequence[Component]:
        """Return what is to run in the background: nothing where there are no files."""
        if not self._sources.any:
            return ()
        return (
            ("reload", self.run),
            ("watch policies", self.watch_policies),
            ("watch configuration", self.watch_config),
            ("poll files", self.poll),
        )

    async def run(self) -> None:
        """Reload whenever files have changed.

        Where there are policies the compiler is warmed up with what is in force: the first edit takes effect at once, and
        what it changes can be told. A configuration alone changes seldom; its compiler starts when it does.
        """
        if self._sources.policies is not None:
            async with self._lock:
                await self._compiler.compile(0.0)
        log.info("watching", files=len(self._seen))
        # What changed before anybody watched.
        self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            reason, self._forced = self._forced, ""
            if reason or await asyncio.to_thread(look, self._sources, self._files) != self._seen:
                await self.reload(reason or "files changed")

    def request(self, reason: str) -> None:
        """Reload soon, whether or not anything has changed."""
        self._forced = reason
        self._wanted.set()

    async def watch_policies(self) -> None:
        """Watch the directory of policies and everything below it."""
        while self._sources.policies is not None:
            if self._sources.policies.is_dir():
                await self._watch([self._sources.policies], _matters, recursive=True)
            await asyncio.sleep(MISSING)

    async def watch_config(self) -> None:
        """Watch the directories that hold the configuration and its includes, each by itself."""
        while self._files:
            folders, concerns = _around(self._files)
            await self._watch(folders, concerns, recursive=False)
            await asyncio.sleep(MISSING)

    async def poll(self) -> None:
        """Look at the files themselves now and then."""
        while True:
            await asyncio.sleep(POLL)
            if await asyncio.to_thread(look, self._sources, self._files) != self._seen:
                self._wanted.set()

    async def reload(self, reason: str) -> Report:
        """Put in force what the files hold now, or say why not."""
        async with self._lock:
            started = time.monotonic()
            try:
                outcome = await self._compiler.compile(STILL)
            except CompilerError as error:
                problem = Problem("error", None, "", f"{error}; what was in force stays")
                self.last = Report(good=False, revision=self.last.revision, problems=(problem,))
            else:
                self.last = await self._judge(outcome, started)
            self._say(reason)
            return self.last

    async def close(self) -> None:
        """End the compiler."""
        await self._compiler.close()

    async def _judge(self, outcome: Outcome, started: float) -> Report:
        self._seen = outcome.seen
        revision, errors = self.last.revision + 1, list(outcome.errors)
        if not errors:
            errors = await self._apply(outcome, revision)
        if errors:
            return Report(good=False, revision=self.last.revision, problems=tuple(errors))
        if outcome.loaded.spec is not None and outcome.loaded.spec.files:
            self._files = outcome.loaded.spec.files
        # The new state is there to stay, the old one's last parts go by reference count.
        gc.freeze()
        warnings = tuple(problem for problem in outcome.problems if problem.severity != "error")
        return Report(
            good=True, revision=revision, problems=warnings, changed=outcome.difference.shown(),
            seconds=time.monotonic() - started,
        )  # fmt: skip

    def _say(self, reason: str) -> None:
        report = self.last
        self._metrics.reloaded(good=report.good)
        problems = [str(problem) for problem in report.problems[:SHOWN]]
        if report.good:
            log.info(
                "reloaded", reason=reason, revision=report.revision, seconds=round(report.seconds, 3), **report.changed
            )
            for problem in problems:
                log.warning("configuration", problem=problem)
        else:
            log.error("reload refused, what was in force stays", reason=reason, problems=problems)

    async def _watch(self, folders: list[Path], concerns: Callable[[Any, str], bool], *, recursive: bool) -> None:
        """Wait for changes in folders until one of them is gone."""
        watched = awatch(
            *folders, watch_filter=concerns, debounce=DEBOUNCE_MS, step=STEP_MS, recursive=recursive, rust_timeout=1000,
            yield_on_timeout=True, ignore_permission_denied=True,
        )  # fmt: skip
        async for changes in watched:
            if changes:
                self._wanted.set()
            elif not all(folder.is_dir() for folder in folders):
                self._wanted.set()
                return


def _around(files: tuple[str, ...]) -> tuple[list[Path], Callable[[Any, str], bool]]:
    """Return the directories that hold some files, and what tells those files from others there."""
    paths = {Path(file).absolute() for file in files}
    paths |= {path.resolve() for path in paths}
    names = {path.name for path in paths}

    def concerns(change: object, path: str) -> bool:
        del change
        name = os.path.basename(path)  # noqa: PTH119 - the watcher gives text
        return name in names or name.startswith("..")

    return sorted({path.parent for path in paths if path.parent.is_dir()}), concerns


def _matters(change: object, path: str) -> bool:
    """Pass over what is neither a policy file nor a directory, nor what swaps directories."""
    del change
    name = os.path.basename(path)  # noqa: PTH119 - the watcher gives text
    return name.endswith(SUFFIXES) or name.startswith("..") or "." not in name
