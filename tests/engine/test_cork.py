"""Small writes go out together at the end of a turn, behind what must be on disk, and in their order."""

from __future__ import annotations

import asyncio

import pytest

from engine.cork import MOST, SMALL, Cork


class Socket(asyncio.Protocol):
    """One end of a connection over a real socket, and what came to it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self.read = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.read += data

    def connection_lost(self, exc):
        del exc
        if not self.ended.done():
            self.ended.set_result(None)


@pytest.fixture
async def pair():
    """Two ends of a connection."""
    loop = asyncio.get_running_loop()
    there: list[Socket] = []

    def accepted() -> Socket:
        there.append(Socket())
        return there[-1]

    server = await loop.create_server(accepted, "127.0.0.1", 0)
    _, here = await loop.create_connection(Socket, *server.sockets[0].getsockname())
    while not there:
        await asyncio.sleep(0)
    yield here, there[0]
    here.transport.abort()
    there[0].transport.abort()
    server.close()


async def test_writes_keep_their_order_whatever_their_size(pair):
    here, there = pair
    cork, said = Cork(), b""
    for number in range(2 * MOST):
        data = b"%d " % number * (SMALL if number % 100 == 50 else 1)
        said += data
        cork.write(here.transport, data)
    while len(there.read) < len(said):
        await asyncio.sleep(0.001)
    assert there.read == said


async def test_what_must_be_on_disk_is_there_before_any_byte_leaves(pair):
    here, there = pair
    done: list[bytes] = []
    cork = Cork(lambda: done.append(there.read))
    cork.write(here.transport, b"one")
    cork.write(here.transport, b"two")
    assert done == []
    await asyncio.sleep(0.05)
    assert (done, there.read) == ([b""], b"onetwo")
    cork.write(here.transport, bytes(SMALL + 1))
    assert done == [b"", b"onetwo"]


async def test_a_connection_that_ended_takes_nothing_and_holds_up_nobody(pair):
    here, there = pair
    cork = Cork()
    cork.write(there.transport, b"never")
    cork.write(here.transport, b"yes")
    there.transport.abort()
    await here.ended
    assert here.read == b""
    cork.write(here.transport, b"nobody")
    cork.flush()
