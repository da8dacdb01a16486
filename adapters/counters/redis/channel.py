"""Messages to other processes, over a connection of its own: whoever may have missed one is told so, and reads everything again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from adapters.counters.redis.client import Client
from adapters.counters.redis.link import Link, LinkError, command
from adapters.counters.redis.server import connect

log = structlog.get_logger("interlock")

SAID, LOST = b"+", b"-"
"""What a message begins with: one follows, or one or more were lost."""
PAUSE, TURN, SILENT = 0.2, 1.0, 3.0
"""Seconds before connecting anew, between two signs of life, and without any after which the connection is taken for dead."""
OnMessage = Callable[[bytes], None]
OnLost = Callable[[], None]


class Channel:
    """Publishes over the connection of the counters, listens on another."""

    def __init__(self, client: Client, prefix: str) -> None:
        self.listening = False
        self._client = client
        self._prefix = f"{prefix}topic:"
        self._subscribers: dict[bytes, list[tuple[OnMessage, OnLost]]] = {}
        self._missed: set[str] = set()
        self._link: Link | None = None

    def __repr__(self) -> str:
        return f"<Channel topics={len(self._subscribers)} {'listening' if self.listening else 'deaf'}>"

    def publish(self, topic: str, message: bytes) -> None:
        """Send a message to all who listen; one that cannot be sent is made up for by telling them that they missed it."""
        link = self._client.link
        if link is None:
            self._missed.add(topic)
            return
        sent = link.send(command("PUBLISH", self._prefix + topic, SAID + message))
        sent.add_done_callback(lambda done: self._published(topic, done))

    def subscribe(self, topic: str, on_message: OnMessage, on_lost: OnLost) -> None:
        """Listen from now on; `on_lost` is called whenever messages may have been missed."""
        name = (self._prefix + topic).encode()
        self._subscribers.setdefault(name, []).append((on_message, on_lost))
        if self._link is not None:
            self._link.push(command("SUBSCRIBE", name))

    def catch_up(self) -> None:
        """Tell listeners of topics whose messages could not be sent."""
        missed, self._missed = self._missed, set()
        link = self._client.link
        for topic in missed:
            if link is None:
                self._missed.add(topic)
                continue
            sent = link.send(command("PUBLISH", self._prefix + topic, LOST))
            sent.add_done_callback(lambda done, topic=topic: self._published(topic, done))

    async def run(self) -> None:
        """Listen, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                link = self._link = await connect(self._client.server, self._heard)
            except LinkError:
                # The connection of the counters says so, once.
                await asyncio.sleep(PAUSE)
                continue
            try:
                # What everybody has missed until now is made up for once they are subscribed.
                names = [*self._subscribers]
                if names:
                    link.push(command("SUBSCRIBE", *names))
                while not link.closed:
                    link.push(command("PING"))
                    await asyncio.sleep(TURN)
                    if loop.time() - link.heard > SILENT:
                        link.close("silent")
            finally:
                self.listening, self._link = False, None
                link.close("closed")
            await asyncio.sleep(PAUSE)

    def _heard(self, reply: list[Any]) -> None:
        kind = reply[0]
        if kind == b"subscribe":
            self.listening = True
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
