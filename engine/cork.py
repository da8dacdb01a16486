"""Small writes of one turn of the loop, made together when it has ended.

A peer that has gone to sleep must be woken, which costs more than the write itself and is charged to who writes. Of
writes that follow each other only the first finds its peer asleep; what lies between them wakes each one anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

May = Callable[[], bool]
SMALL = 16 * 1024
"""Bytes up to which a write is held; a larger one goes out at once."""
MOST = 512
"""Writes held at most."""


class Cork:
    """Holds the writes of one loop's transports; those of one transport keep their order.

    `before` is called before bytes leave: it puts on disk what their receivers may rely on.
    """

    __slots__ = ("_before", "_waiting")

    def __init__(self, before: Callable[[], object] | None = None) -> None:
        self._before = before
        self._waiting: list[tuple[asyncio.Transport, bytes, May | None]] = []

    def __repr__(self) -> str:
        return f"<Cork {len(self._waiting)} waiting>"

    def write(self, transport: asyncio.Transport, data: bytes, may: May | None = None) -> None:
        """Write at the end of this turn, or at once what is not small; nothing where `may`, asked then, says no."""
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        waiting.append((transport, data, may))
        if len(data) > SMALL or len(waiting) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Write what waits; a connection that has ended meanwhile takes nothing more."""
        waiting, self._waiting = self._waiting, []
        if self._before is not None:
            self._before()
        for transport, data, may in waiting:
            if not transport.is_closing() and (may is None or may()):
                transport.write(data)
