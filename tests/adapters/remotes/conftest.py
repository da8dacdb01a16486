"""What tests of remote detectors share: the gateway's own client, and a service that answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.remotes.custom import loading
from engine.contracts import Deps
from engine.outside import SystemClock
from engine.transport.pool import Pool
from tests.adapters.remotes.hooked import Guard
from tests.adapters.remotes.scripted import Scripted
from tests.running import ScriptedUpstream


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Run the gateway's own client."""
    made = Pool({})
    running = asyncio.create_task(made.run())
    yield made
    await made.close()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def deps(pool: Pool) -> Deps:
    """Return what detectors are given, with an empty environment."""
    return Deps(SystemClock(), random.Random(1), pool, {})


@pytest.fixture
def service(upstream: ScriptedUpstream) -> Scripted:
    """Return a service on a real socket."""
    return Scripted(upstream)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that a test has just written be read at once."""
    monkeypatch.setattr(loading, "STILL", 0.0)


@pytest.fixture
def guard(tmp_path: Path, deps: Deps) -> Guard:
    """Return what makes detectors of hooks."""
    return Guard(tmp_path, deps)
