"""Messages to other processes, over a connection of its own: whoever may have missed one is told so, and reads everything again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from adapters.counters.redis.client import Client
from adapters.counters.redis.link import Link, LinkError, command
from adapters.counters.redis.server import connect

log = structlog.get_logger("interlock")

SAID, LOST = b"+", b"-"
"""What a message begins with: one follows, or one or more were lost."""
SILENT = 3.0
"""Seconds without a sign of life after which the connection is taken for dead."""
OnMessage = Callable[[bytes], None]
OnLost = Callable[[], None]


class Channel:
    """Publishes over the connection of the counters, listens on another."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}topic:"
        self._subscribers: dict[bytes, list[tuple[OnMessage, OnLost]]] = {}
        self._missed: set[str] = set()
        self._link: Link | None = None

    def __repr__(self) -> str:
        return f"<Channel topics={len(self._subscribers)}>"

    def publish(self, topic: str, message: bytes) -> None:
        """Send a message to all who listen; one that cannot be sent is made up for by telling them that they missed it."""
        link = self._client.link
        if link is None:
            self._missed.add(topic)
            return
        sent = link.send(command("PUBLISH", self._prefix + topic, SAID + message))
        sent.add_done_callback(partial(self._published, topic))

    def subscribe(self, topic: str, on_message: OnMessage, on_lost: OnLost) -> None:
        """Listen from now on; `on_lost` is called whenever messages may have been missed."""
        name = (self._prefix + topic).encode()
        self._subscribers.setdefault(name, []).append((on_message, on_lost))
        if self._link is not None:
            self._link.push(command("SUBSCRIBE", name))
        else:
            self._client.wake()

    def catch_up(self) -> None:
        """Tell listeners of topics whose messages could not be sent."""
        missed, self._missed = self._missed, set()
        link = self._client.link
        for topic in missed:
            if link is None:
                self._missed.add(topic)
                continue
            sent = link.send(command("PUBLISH", self._prefix + topic, LOST))
            sent.add_done_callback(partial(self._published, topic))

    async def keep(self) -> None:
        """Connect, or see that the connection lives: to be called every second. What fails is tried again the next time."""
        if not self._subscribers:
            return
        link = self._link
        if link is not None and not link.closed:
            if link.loop.time() - link.heard <= SILENT:
                link.push(command("PING"))
                return
            link.close("silent")
        try:
            link = self._link = await connect(self._client.server, self._heard)
        except LinkError as error:
            log.warning("messages of other processes are missed", reason=str(error))
            return
        # What everybody has missed until now is made up for once they are subscribed.
        link.push(command("SUBSCRIBE", *self._subscribers))

    def close(self) -> None:
        """Listen no longer."""
        if self._link is not None:
            self._link.close("closed")

    def _heard(self, reply: list[Any]) -> None:
        kind = reply[0]
        if kind == b"subscribe":
            for _, on_lost in self._subscribers.get(reply[1], ()):
                on_lost()
        elif kind == b"message":
            for on_message, on_lost in self._subscribers.get(reply[1], ()):
                if reply[2][:1] == SAID:
                    on_message(reply[2][1:])
                else:
                    on_lost()

    def _published(self, topic: str, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self._missed.add(topic)
