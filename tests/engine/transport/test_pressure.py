"""A slow reader slows its upstream and does not fill memory."""

import asyncio
import hashlib
import os
import socket
from pathlib import Path

import pytest

from tests.engine.transport.wire import CLOSED_WITHIN, ask, request, until

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

TOTAL = 64 << 20
BOUND = 8 << 20
BLOCK = os.urandom(1 << 16)
CHUNK = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)


def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Flood:
    """A handler that writes 64 MB as fast as it can and counts what it got rid of."""

    def __init__(self, framing):
        self.framing = framing
        self.written = 0

    async def __call__(self, exchange):
        exchange.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        chunked = self.framing == "chunked"
        await exchange.send(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            if chunked
            else b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % TOTAL
        )
        while self.written < TOTAL:
            await exchange.send(CHUNK if chunked else BLOCK)
            self.written += len(BLOCK)
        if chunked:
            await exchange.send(b"0\r\n\r\n")


class Client:
    """A reader that is always full and gets going only when it is let."""

    def __init__(self):
        self.digest = hashlib.blake2b()
        self.size = self.calls_while_full = 0
        self.going = asyncio.Event()

    def write(self, data):
        self.digest.update(data)
        self.size += len(data)
        self.calls_while_full += not self.going.is_set()
        return False

    async def drain(self):
        await self.going.wait()


@pytest.mark.parametrize("framing", ["chunked", "content-length"])
async def test_a_reader_that_is_stuck_stops_a_fast_upstream(http, upstream, framing):
    upstream.handler = flood = Flood(framing)
    client = Client()
    before = rss()
    answer = await http.send(request(upstream.port))
    pumping = asyncio.create_task(answer.pump(client.write, client.drain))
    await asyncio.sleep(0.15)
    stuck_at = flood.written
    await asyncio.sleep(0.15)
    assert stuck_at <= flood.written < BOUND
    assert rss() - before < BOUND
    assert client.calls_while_full <= 2
    client.going.set()
    await asyncio.wait_for(pumping, 20)
    answer.close()
    expected = hashlib.blake2b()
    for _ in range(TOTAL // len(BLOCK)):
        expected.update(BLOCK)
    assert (client.size, client.digest.digest()) == (TOTAL, expected.digest())
    assert rss() - before < 2 * BOUND


async def test_a_body_that_nobody_asks_for_stops_its_upstream(http, upstream):
    upstream.handler = flood = Flood("chunked")
    answer = await http.send(request(upstream.port))
    await asyncio.sleep(0.15)
    stuck_at = flood.written
    await asyncio.sleep(0.1)
    assert stuck_at <= flood.written < BOUND
    answer.close()
    await until(lambda: not upstream._tasks, CLOSED_WITHIN)


async def test_a_read_that_met_its_limit_stops_its_upstream(http, upstream):
    upstream.handler = flood = Flood("chunked")
    answer = await http.send(request(upstream.port))
    assert await answer.read(1 << 20) is None
    await asyncio.sleep(0.15)
    stuck_at = flood.written
    await asyncio.sleep(0.1)
    assert stuck_at <= flood.written < BOUND
    answer.close()
    await until(lambda: not upstream._tasks, CLOSED_WITHIN)


async def test_a_stuck_reader_does_not_hold_up_others(http, upstream):
    upstream.handler = Flood("chunked")
    client = Client()
    answer = await http.send(request(upstream.port))
    pumping = asyncio.create_task(answer.pump(client.write, client.drain))
    await asyncio.sleep(0.05)
    upstream.handler = lambda exchange: exchange.json({"ok": True})
    for _ in range(20):
        assert (await asyncio.wait_for(ask(http, request(upstream.port)), 1)).body == b'{"ok": true}'
    pumping.cancel()
    await asyncio.gather(pumping, return_exceptions=True)
    answer.close()
