"""Where a gateway keeps what outlives it, and where it counts: decided once, at start, by configuration and environment."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.config.database import store_settings
from engine.config.specs import ConfigSpec

WORKERS = "workers"
ALONE = "main"
"""The journal of a gateway that is one process, beside a store of its own."""


def alone(root: Path) -> Keeping:
    """Keep everything in a directory, as a gateway does of which nothing else is said."""
    return Keeping("sqlite", {"path": root / "interlock.db"}, "memory", {}, ALONE)


class Keeping(NamedTuple):
    """What to open: a store and counters by name, with their settings, and this process's journal by its name in the store."""

    store: str
    store_settings: Mapping[str, Any]
    counters: str
    counter_settings: Mapping[str, Any]
    journal: str

    @property
    def shared(self) -> bool:
        """Whether other processes count in the same place."""
        return self.counters != "memory"

    @property
    def joint(self) -> bool:
        """Whether other processes may change entities in the same store."""
        return self.shared or self.store != "sqlite"


def keeping(spec: ConfigSpec, environ: Mapping[str, str], root: Path, worker: int = 0) -> Keeping:
    """Decide for a process whose gateway has the data directory `root`; a `worker` is one of several, counted from 1. Raises ValueError for settings that are none."""
    store, settings = store_settings(spec, environ)
    if store == "sqlite":
        settings = {"path": root / "interlock.db"}
    counters, where = ("memory", {}) if spec.redis is None else ("redis", spec.redis.mapping())
    return Keeping(store, settings, counters, where, journal_name(store, root, worker))


def journal_name(store: str, root: Path, worker: int) -> str:
    """Return what the store calls a process's journal: in one that machines share, the data directory is part of it."""
    own = f"{WORKERS}/{worker}" if worker else ALONE
    return own if store == "sqlite" else f"{node(root)}/{own}"


def own_dir(root: Path, worker: int) -> Path:
    """Return the directory of a worker's own files."""
    return root / WORKERS / str(worker)


def node(root: Path) -> str:
    """Return the random name of a data directory, given to it when it is first asked."""
    path = root / "node"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        name = secrets.token_hex(8)
        fresh = path.with_suffix(".new")
        fresh.write_text(name + "\n")
        fresh.replace(path)
        return name


def journals(root: Path) -> dict[int, Path]:
    """Return the directories of all journals in a data directory, by worker; 0 is that of a gateway of one process."""
    found = {0: root / "journal"} if (root / "journal").is_dir() else {}
    for path in (root / WORKERS).glob("*/journal"):
        if path.parent.name.isdecimal():
            found[int(path.parent.name)] = path
    return found
