"""The outside world as a process has it: its clock, and the network it may be without."""

from __future__ import annotations

import time as clocks

from engine.contracts import HttpRequest, Tunnel, Upstream
from engine.errors import UpstreamError


class SystemClock:
    """The machine's own time."""

    time = staticmethod(clocks.time)
    monotonic = staticmethod(clocks.monotonic)


class Offline:
    """An `Http` that reaches nobody: what compiling a configuration is given, so that it cannot call out."""

    async def send(self, request: HttpRequest) -> Upstream:
        """Refuse."""
        raise _not_from_here(request)

    async def tunnel(self, request: HttpRequest) -> Tunnel:
        """Refuse."""
        raise _not_from_here(request)

    async def close(self) -> None:
        """Do nothing: nothing is open."""


def _not_from_here(request: HttpRequest) -> UpstreamError:
    return UpstreamError(502, "upstream_unreachable", f"`{request.origin.host}` is not called from here", sent=False)
