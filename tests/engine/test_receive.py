"""How much of clients' bodies a gateway holds: what is announced counts before it comes."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import InternalError
from engine.receive import UNSAID, Receiver
from tests.engine.building import REGISTRY, Asked
from tests.engine.deciding import asking, chat, snapshot_of

SNAPSHOT = snapshot_of()
assert REGISTRY


class Coming(Asked):
    """A request whose body is on its way until it is let come."""

    def __init__(self, headers, body: bytes) -> None:
        super().__init__(headers, body)
        self.come = asyncio.Event()

    def at_hand(self) -> bytes | None:
        return None

    async def read(self, limit: int) -> bytes:
        await self.come.wait()
        assert len(self.body) <= limit
        return self.body


def coming(body: bytes, **headers: str):
    call = asking(SNAPSHOT, chat())
    call.source, call.body_size = Coming(headers, body), 0
    call.headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return call


@pytest.mark.parametrize(("headers", "counted"), [({"content_length": "5000"}, 5000), ({}, UNSAID)])
async def test_what_is_announced_counts_until_it_is_there(headers, counted):
    receiver, text = Receiver(), b'{"model":"a","messages":[]}'
    call = coming(text, **headers)
    task = asyncio.create_task(receiver.receive(call))
    await asyncio.sleep(0)
    assert receiver.held == counted
    call.source.come.set()
    await task
    assert receiver.held == len(text)
    receiver.release(call)
    assert receiver.held == 0


async def test_many_large_bodies_at_once_are_refused_before_they_come():
    receiver = Receiver(bound=10_000)
    first = coming(b"{}", content_length="8000")
    task = asyncio.create_task(receiver.receive(first))
    await asyncio.sleep(0)
    with pytest.raises(InternalError) as refused:
        await receiver.receive(coming(b"{}", content_length="3000"))
    assert (refused.value.status, refused.value.type) == (503, "overloaded")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    receiver.release(first)
    assert receiver.held == 0
