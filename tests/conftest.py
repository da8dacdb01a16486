"""What all tests share: a gateway as a process, an upstream to script, and the recorded traffic beside the repository."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import Server, serving
from tests.running import Gateway, ScriptedUpstream
from tests.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
COMMANDS = {"soak": "soak", "heavy": "test-heavy"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave soak and heavy tests to their own commands, and tests on recorded traffic to trees that have it."""
    chosen = config.getoption("-m")
    for item in items:
        for mark in ("soak", "heavy"):
            if item.get_closest_marker(mark) and mark not in chosen:
                item.add_marker(pytest.mark.skip(reason=f"run by `make {COMMANDS[mark]}`"))
    if SHARED.is_dir():
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(f"recorded provider traffic is missing: {SHARED} is not there")
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="recorded provider traffic is not part of a clone"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the directory of recorded traffic and other facts kept beside the repository."""
    return SHARED


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run one Valkey that tests share; each has a namespace of its own."""
    server = Valkey(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Run a Valkey that a test may pause and kill."""
    server = Valkey(tmp_path / "valkey").start()
    yield server
    server.stop()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start gateways as processes: `gateway(config_text, *options)`; each is stopped at the end."""
    running: list[Gateway] = []

    def start(config: str | None = None, *options: str, environ: dict[str, str] | None = None) -> Gateway:
        running.append(Gateway(tmp_path / f"gateway{len(running)}", config, options, environ or {}))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """Serve scripted bytes on a real socket; see `ScriptedUpstream`."""
    server = ScriptedUpstream()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Serve PostgreSQL to all tests of this process; each makes a database of its own."""
    with serving() as server:
        yield server


@pytest.fixture
def postgres_alone() -> Iterator[Server]:
    """Serve PostgreSQL to one test, that may stop, kill and freeze it."""
    with serving() as server:
        yield server
