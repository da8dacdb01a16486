"""The directory that holds all state, owned by one gateway at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

DEFAULT = Path("interlock-data")


class DataDirError(Exception):
    """The data directory cannot be used; the message says why and what to do."""


class DataDir:
    """A directory held by a lock until `close`; its files are for their owner alone.

    `path` is where a process has its own files, `root` what all processes of a gateway share.
    """

    def __init__(self, path: Path, lock: int, *, kept: bool = True, root: Path | None = None) -> None:
        self.path = path
        self.root = root or path
        self._lock = lock
        self._kept = kept

    @classmethod
    def open(cls, path: Path, *, kept: bool = True, root: Path | None = None) -> DataDir:
        """Create and lock a directory; raises DataDirError when another gateway holds it or it cannot be written."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = (error.strerror or "cannot be used").lower()
            raise DataDirError(
                f"data directory `{path}`: {reason}; choose another with --data, or keep nothing with --ephemeral"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise DataDirError(
                f"data directory `{path}` is in use by another gateway; stop it, or choose another with --data"
            ) from error
        return cls(path, lock, kept=kept, root=root)

    @classmethod
    def ephemeral(cls) -> DataDir:
        """Make a directory that lasts until `close`."""
        return cls.open(Path(tempfile.mkdtemp(prefix="interlock-")), kept=False)

    def close(self) -> None:
        """Let another gateway have it."""
        os.close(self._lock)
        if not self._kept:
            shutil.rmtree(self.path, ignore_errors=True)
