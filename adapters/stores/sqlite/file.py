"""One database file: opened for its owner alone, brought to the newest schema, written in whole transactions."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from adapters.stores.sqlite.schema import MIGRATIONS, Migration
from engine.storing import StoreError

BUSY = 10.0
"""Seconds to wait for another process's transaction."""
CACHE = 32 * 1024 * 1024
"""Bytes of pages that a connection keeps in memory at most."""
LOG = 64 * 1024 * 1024
"""Bytes that the file's write-ahead log keeps once it is written back; a large fold may need more."""
OLDEST = (3, 37, 0)
"""The first SQLite with strict tables."""


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite or the system say into StoreError, with the file's name."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        raise StoreError(f"store `{path}`: {error}") from error
    except OSError as error:
        raise StoreError(f"store `{path}`: {(error.strerror or 'cannot be used').lower()}") from error


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Do all of a block or nothing."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file; threads may take turns with it."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    # A journal lets go of what is folded: that must be on the disk by then.
    connection.execute("PRAGMA synchronous = FULL")
    # Only what undoes a failing statement: see `many`.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{CACHE // 1024}")
    connection.execute(f"PRAGMA journal_size_limit = {LOG}")
    return connection


def identity(path: Path) -> tuple[int, int]:
    """Tell files apart, whatever they are called."""
    there = path.stat()
    return there.st_dev, there.st_ino


def prepare(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make the file if need be and migrate it; one process at a time. Raises StoreError."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed")
    with reported(path), _alone(path.parent) as directory:
        if not os.access(path.parent, os.W_OK, effective_ids=True):
            raise StoreError(f"store `{path}`: its directory cannot be written")
        _create(path)
        # What is folded is let go of elsewhere: the file's name must last as its content does.
        os.fsync(directory)
        connection = connect(path)
        try:
            _migrate(connection, path, migrations)
        finally:
            connection.close()


@contextmanager
def _alone(directory: Path) -> Iterator[int]:
    """Hold the lock of a directory and give it, open: SQLite's own lock does not cover the change to WAL."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield held
    finally:
        os.close(held)


def _create(path: Path) -> None:
    """Make an empty file for its owner alone; SQLite gives the files beside it the same mode."""
    try:
        # An existing file is never opened and closed here: that would drop the locks this process has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    version = _version(connection)
    if version > len(migrations):
        raise StoreError(
            f"store `{path}` is of version {version}; this program knows {len(migrations)}: use the newer program"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    for number, migration in enumerate(migrations[version:], version + 1):
        try:
            with transaction(connection, "BEGIN EXCLUSIVE"):
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS migrations "
                    "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
                )
                migration.apply(connection)
                connection.execute(
                    "INSERT INTO migrations VALUES (?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                    (number, migration.name),
                )
        except Exception as error:
            raise StoreError(
                f"store `{path}`: migration {number} ({migration.name}) failed, and changed nothing: {error}"
            ) from error


def _version(connection: sqlite3.Connection) -> int:
    """Return the number of the last migration applied; 0 in a new file."""
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
    if not there:
        return 0
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()[0])
