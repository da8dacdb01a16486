"""What every connection of ours can do with its socket: stop reading it, read on, cut it."""

from __future__ import annotations

import asyncio


class Flow:
    """The reading side of one socket, `None` while there is none; a mixin for asyncio protocols."""

    __slots__ = ("_paused", "_transport")

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._paused = False

    def pause(self) -> None:
        """Stop reading."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()
