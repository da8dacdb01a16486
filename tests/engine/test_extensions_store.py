"""Stores are opened by name, and one whose driver is not installed says how to get it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engine.extensions import DISTRIBUTION
from engine.storing import Entity, Kind
from tests.engine.building import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys
sys.modules["asyncpg"] = None
from engine.extensions import Extensions
from engine.storing import StoreError
try:
    Extensions(None).store("postgres", {"url": "postgresql://h/d"})
except StoreError as error:
    print(error)
"""


def test_a_store_without_its_driver_says_how_to_get_it():
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == (f"store `postgres` needs the package `asyncpg`: pip install '{DISTRIBUTION}[postgres]'\n")


def test_what_is_to_be_installed_is_this_project_and_its_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION
    assert [one.startswith("asyncpg") for one in project["optional-dependencies"]["postgres"]] == [True]


def test_stores_are_opened_by_name(postgres, tmp_path):
    for name, settings in (("sqlite", {"path": tmp_path / "s"}), ("postgres", {"url": postgres.database()})):
        store = REGISTRY.store(name, settings)
        store.put(Entity(Kind.TEAM, name))
        assert store.get(Kind.TEAM, name) is not None
        store.close()
    with pytest.raises(LookupError, match="did you mean `postgres`"):
        REGISTRY.store("postgresql", {})
