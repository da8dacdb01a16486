"""The outbound HTTP/1.1 client: our own over llhttp, and aiohttp's behind the same contract.

`make` chooses by `INTERLOCK_TRANSPORT`; everything that calls out is given one `Http` and does not know which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engine.contracts import Http


class Transport(Http, Protocol):
    """An `Http` with the background work that keeps its deadlines."""

    @property
    def connections(self) -> int:
        """How many connections are open."""

    async def run(self) -> None:
        """Enforce time limits until cancelled."""


def make(environ: Mapping[str, str]) -> Transport:
    """Build the transport that the environment asks for; raises ValueError for an unknown name."""
    name = environ.get("INTERLOCK_TRANSPORT", "own")
    if name == "own":
        from engine.transport.pool import Pool  # noqa: PLC0415 - only the chosen transport is imported

        return Pool(environ)
    if name == "aiohttp":
        from engine.transport.session import Session  # noqa: PLC0415 - only the chosen transport is imported

        return Session(environ)
    raise ValueError(f"INTERLOCK_TRANSPORT is `{name}`: use `own` or `aiohttp`")
