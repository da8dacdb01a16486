"""What is shipped: three packages and their data, nothing else, and a command that runs from a strange place."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = (".py", ".lua", ".sql", ".toml", ".txt", ".json", ".jsonl", ".html", ".css", ".js", ".svg", ".typed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = folder.glob("*.whl")
    return built


def test_only_our_packages_are_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names}
    (info,) = (name for name in top if name.endswith(".dist-info"))
    assert info.startswith("interlock_gateway-")
    assert top - {info} == {"engine", "policies", "adapters"}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_every_file_of_the_packages_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {
        str(path.relative_to(ROOT))
        for package in ("engine", "policies", "adapters")
        for path in (ROOT / package).rglob("*")
        if path.suffix in DATA and "__pycache__" not in path.parts
    }
    assert {
        "engine/data/prices.txt", "adapters/stores/postgres/migrations/0001_entities.sql", "adapters/counters/redis/lua/reserve.lua",
    } <= files  # fmt: skip
    assert files - names == set()


def test_it_runs_from_where_it_is_installed(wheel, tmp_path):
    """The command, the price data and the extensions are found without the source tree."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "interlock = engine.cli.main:main" in archive.read(entries).decode()
    code = (
        "import engine, sys; from engine.pricing import Prices; from engine.extensions import names;"
        "assert engine.__file__.startswith(sys.argv[1]), engine.__file__;"
        "assert Prices.bundled().find('gpt-4o') is not None; print(*names('providers'))"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd="/", env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"echo", "openai"} <= set(done.stdout.split())
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli.main", "--version"],
        cwd="/", env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("interlock, version "), done.stderr
