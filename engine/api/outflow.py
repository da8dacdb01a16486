"""The writing side of a client's connection: what is written, and how long the client has been slow to take it."""

from __future__ import annotations

import asyncio

from engine.api.heads import Heads
from engine.contracts import Tunnel
from engine.cork import Cork


class Outflow(Heads):
    """Writes to one client through the `cork` of all, and once a tunnel is there takes all that its upstream says."""

    __slots__ = ("_cork", "_drained", "_paused_since", "heard", "loop", "tunnel")

    def __init__(self, loop: asyncio.AbstractEventLoop, cork: Cork) -> None:
        super().__init__()
        self.loop = loop
        self._cork = cork
        self.tunnel: Tunnel | None = None
        self.heard = 0.0
        """When either side of the tunnel last said something, by the loop's clock."""
        self._drained: asyncio.Future[None] | None = None
        self._paused_since = 0.0

    def write(self, data: bytes) -> bool:
        """Write bytes; False when the client should be waited for. A client that has gone takes everything."""
        if self._transport is None:
            return True
        self._cork.write(self._transport, data)
        return self._drained is None

    async def drain(self) -> None:
        """Wait until the client has taken enough."""
        if self._drained is not None:
            await self._drained

    def close(self) -> None:
        """Close the connection once what was written is out."""
        if self._transport is not None:
            self._cork.flush()
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection behind what was written."""
        self._cork.flush()
        super().abort()

    async def join(self, tunnel: Tunnel, early: bytes) -> None:
        """Carry bytes both ways until either side ends; `early` are those of the client that came before."""
        self.tunnel = tunnel
        self.heard = self.loop.time()
        ended: asyncio.Future[None] = self.loop.create_future()
        tunnel.on_drained(self.resume)
        if early and not tunnel.write(early):
            self.pause()
        else:
            self.resume()
        tunnel.join(self._say, lambda: None if ended.done() else ended.set_result(None))
        try:
            await ended
        finally:
            self.tunnel = None
            tunnel.close()

    def _say(self, data: bytes) -> bool:
        self.heard = self.loop.time()
        return self.write(data)

    def pause_writing(self) -> None:
        """Note that the client is slow."""
        self._drained = self.loop.create_future()
        self._paused_since = self.loop.time()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
        if self.tunnel is not None:
            self.tunnel.resume()
