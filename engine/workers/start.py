"""What a worker is told before it begins."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import NamedTuple

from engine.settle import Settled
from engine.sources import Sources


class Start(NamedTuple):
    """How a worker is to serve; what it serves comes beside it, as an outcome in parts."""

    host: str
    port: int
    data: Path
    drain: float
    as_json: bool
    debug: bool
    number: int = 0
    """From 1."""
    sources: Sources = Sources()
    revision: int = 1
    generated: str = ""
    given_key: str = ""
    allow_unenforced: bool = False

    def packed(self) -> bytes:
        """Write it for a process of our own."""
        return pickle.dumps(self)

    def serving(self, settled: Settled, number: int) -> Start:
        """Return the same for a worker that begins with what is settled now."""
        return self._replace(
            number=number, sources=settled.sources, revision=settled.revision, generated=settled.generated,
            given_key=settled.given_key, allow_unenforced=settled.allow_unenforced,
        )  # fmt: skip


def unpacked(data: bytes) -> Start:
    """Read what `packed` wrote."""
    start: Start = pickle.loads(data)  # noqa: S301 - our own process wrote it
    return start
