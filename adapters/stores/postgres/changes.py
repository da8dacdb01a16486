"""What changes among entities, told to every process on the store by NOTIFY, and heard on a connection of its own."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from adapters.stores.postgres.connections import FAILURES, Connection, Connections
from adapters.stores.postgres.text import clean, plain
from engine.storing import Kind, StoreError

LARGEST = 7_900
"""Bytes of one message; the server takes 8,000."""
MOST = 200
"""Messages in one transaction; what would need more is told as lost, and read anew."""
LOST = "lost"
"""The message that says too much changed to be told."""
ALIVE = 10.0
"""Seconds between two questions whether the connection still hears."""
RETRY, LONGEST_RETRY = 0.05, 5.0
"""Seconds between two tries to connect, growing."""
DEAF = 30.0
"""Seconds between two `on_lost` behind a pooler, through which nothing is heard."""
NOTIFY = "SELECT pg_notify('interlock_' || identity, given.payload) FROM store, unnest($1::text[]) AS given(payload)"


async def tell(connection: Connection, changes: Iterable[tuple[Kind, str]]) -> None:
    """Tell what the transaction of a connection changes, once it is committed."""
    by_kind: dict[Kind, dict[str, None]] = {}
    for kind, entity_id in changes:
        by_kind.setdefault(kind, {})[entity_id] = None
    messages = [one for kind, ids in by_kind.items() for one in _messages(kind, ids)]
    if messages:
        await connection.execute(NOTIFY, messages if len(messages) <= MOST and LOST not in messages else [LOST])


def _messages(kind: Kind, ids: Iterable[str]) -> Iterator[str]:
    """Write kind and ids as JSON lists, each short enough; an id that is too long for one is lost."""
    begin = f'["{kind.value}"'
    message = begin
    for entity_id in ids:
        part = f", {json.dumps(clean(entity_id))}"
        if len(begin) + len(part) >= LARGEST:
            yield LOST
            continue
        if len(message) + len(part) >= LARGEST:
            yield f"{message}]"
            message = begin
        message += part
    if message != begin:
        yield f"{message}]"


class Watcher:
    """Hears what changes until its loop ends. Callbacks are called by the loop: what they raise, it reports."""

    def __init__(
        self,
        connections: Connections,
        identity: str,
        on_change: Callable[[Kind, str], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._connections = connections
        self._channel = f"interlock_{identity}"
        self._on_change, self._on_lost = on_change, on_lost
        self._gone = asyncio.Event()

    async def listen(self) -> Connection:
        """Return a connection that hears from now on; raises StoreError."""
        connection = await self._connections.connect()
        try:
            self._gone.clear()
            await asyncio.wait_for(
                connection.add_listener(self._channel, self._heard), self._connections.limits.connect_timeout
            )
            connection.add_termination_listener(self._ended)
        except (TimeoutError, *FAILURES) as error:
            connection.terminate()
            raise self._connections.error(self._connections.said(error)) from error
        return connection

    async def run(self, connection: Connection) -> None:
        """Hear on a connection, and on others when it breaks, for ever."""
        try:
            while True:
                await self._until_gone(connection)
                connection.terminate()
                connection = await self._again()
                asyncio.get_running_loop().call_soon(self._on_lost)
        finally:
            connection.terminate()

    async def run_deaf(self) -> None:
        """Say now and then that changes may have gone unheard."""
        while True:
            await asyncio.sleep(DEAF)
            asyncio.get_running_loop().call_soon(self._on_lost)

    async def _until_gone(self, connection: Connection) -> None:
        while True:
            try:
                await asyncio.wait_for(self._gone.wait(), ALIVE)
                return
            except TimeoutError:
                if not await self._answers(connection):
                    return

    async def _answers(self, connection: Connection) -> bool:
        """Tell whether the server still answers: a network may let go of a connection and tell nobody."""
        try:
            await asyncio.wait_for(connection.execute("SELECT 1"), self._connections.limits.connect_timeout)
        except (TimeoutError, *FAILURES):
            return False
        return True

    async def _again(self) -> Connection:
        pause = RETRY
        while True:
            try:
                return await self.listen()
            except StoreError:
                # Callers of the store are told the same; here it is only waited for the server.
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - guards nothing
                pause = min(2 * pause, LONGEST_RETRY)

    def _ended(self, _: Any) -> None:
        self._gone.set()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if payload == LOST:
            self._on_lost()
            return
        kind, *ids = json.loads(payload)
        for entity_id in ids:
            self._on_change(Kind(kind), plain(entity_id))
