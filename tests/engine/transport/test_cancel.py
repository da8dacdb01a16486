"""A call that is cancelled ends its connection at once, wherever it was."""

import asyncio
import contextlib

import pytest

from engine.transport.pool import Pool
from tests.engine.transport.wire import CLOSED_WITHIN, OK, Hanging, answers, ask, ready, request, until

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiting_for_the_head(http, upstream):
    upstream.handler = hanging = Hanging()
    task = asyncio.create_task(http.send(request(upstream.port)))
    await hanging.reached.wait()
    await cancelled(task)
    await asyncio.wait_for(hanging.ended.wait(), CLOSED_WITHIN)
    assert http.connections == 0


async def test_writing_a_large_request(http, listens):
    async def stare(reader, _):
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await asyncio.sleep(0.2)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
        ended.set()

    reached, ended = asyncio.Event(), asyncio.Event()
    port = await listens(stare, limit=1024)
    task = asyncio.create_task(http.send(request(port, b"x" * (32 << 20))))
    await asyncio.wait_for(reached.wait(), 10)
    await asyncio.sleep(0.05)
    await cancelled(task)
    await asyncio.wait_for(ended.wait(), 10)
    assert http.connections == 0


@pytest.mark.parametrize("by", ["pump", "read", "drain"])
async def test_taking_the_body(http, upstream, by):
    async def stuck():
        await asyncio.sleep(60)

    async def call():
        answer = await http.send(request(upstream.port))
        try:
            if by == "read":
                await answer.read(100)
            else:
                await answer.pump(lambda _: by == "pump", ready if by == "pump" else stuck)
        finally:
            answer.close()

    upstream.handler = hanging = Hanging(HEAD)
    task = asyncio.create_task(call())
    await hanging.reached.wait()
    await asyncio.sleep(0.01)
    await cancelled(task)
    await asyncio.wait_for(hanging.ended.wait(), CLOSED_WITHIN)
    assert http.connections == 0


@pytest.mark.parametrize("hops", range(12))
async def test_dialing_at_any_moment(http, upstream, hops):
    upstream.handler = hanging = Hanging()
    task = asyncio.create_task(http.send(request(upstream.port)))
    for _ in range(hops):
        await asyncio.sleep(0)
    await cancelled(task)
    assert http.connections == 0
    await asyncio.sleep(0.01)
    await until(lambda: not upstream._tasks, CLOSED_WITHIN)
    assert not hanging.reached.is_set() or hanging.ended.is_set()


@pytest.mark.parametrize("delay", [0.0, 0.002])
async def test_a_tls_handshake(pool, upstream, delay):
    task = asyncio.create_task(pool.send(request(upstream.port, scheme="https")))
    await until(lambda: upstream.connections == 1)
    await asyncio.sleep(delay)
    await cancelled(task)
    await until(lambda: not upstream._tasks, CLOSED_WITHIN)
    assert pool.connections == 0


@pytest.mark.parametrize("hops", range(8))
async def test_in_line_at_the_moment_a_connection_comes_free(starts, upstream, hops):
    pool = await starts(Pool({}, per_origin=1))
    upstream.handler = answers(OK)
    for cut in (False, True):
        first = await pool.send(request(upstream.port))
        if not cut:
            await first.read(10)
        waiting = [asyncio.create_task(pool.send(request(upstream.port))) for _ in range(2)]
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_soon(first.close)
        for _ in range(hops):
            await asyncio.sleep(0)
        if not waiting[0].cancel():
            waiting[0].result().close()
        for found in await asyncio.gather(*waiting, return_exceptions=True):
            if not isinstance(found, asyncio.CancelledError):
                found.close()
        assert (await asyncio.wait_for(ask(pool, request(upstream.port)), 1)).body == b"ok"
        assert pool.connections == 1
