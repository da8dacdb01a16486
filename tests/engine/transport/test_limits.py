"""Time limits: 504 with the right words, in time, with nothing left behind."""

import asyncio
import contextlib
import socket

import pytest

from engine.errors import UpstreamError
from engine.transport.pool import Pool
from tests.engine.transport.wire import CLOSED_WITHIN, OK, Hanging, answers, ask, drips, request, take, until

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

LIMIT = 0.2
SOON, LATE = LIMIT / 2, LIMIT + 0.6
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def black_hole():
    """Return a port whose connections are never made: its line of accepted ones is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def fails(operation):
    """Await a time-out; return its error and the seconds it took."""
    started = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamError) as error:
        async with asyncio.timeout(5):
            await operation
    assert (error.value.status, error.value.type) == (504, "timeout")
    return error.value, asyncio.get_running_loop().time() - started


async def test_connecting(http, black_hole):
    error, seconds = await fails(http.send(request(black_hole, connect=LIMIT)))
    assert (error.sent, SOON < seconds < LATE) == (False, True)
    assert f"could not connect to `127.0.0.1:{black_hole}` in " in error.message
    assert http.connections == 0


async def test_a_handshake_that_never_ends_counts_as_connecting(pool, upstream):
    async def mute(_):
        await asyncio.sleep(5)

    upstream.handler = mute
    error, seconds = await fails(pool.send(request(upstream.port, scheme="https", connect=LIMIT)))
    assert (error.sent, SOON < seconds < LATE) == (False, True)
    await until(lambda: upstream.closed == 1, CLOSED_WITHIN)


@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 200 OK\r\nx-a: "], ids=["nothing", "half a head"])
async def test_the_first_byte(http, upstream, early):
    upstream.handler = hanging = Hanging(early)
    error, seconds = await fails(http.send(request(upstream.port, first_byte=LIMIT)))
    assert (error.sent, SOON < seconds < LATE) == (True, True)
    if isinstance(http, Pool):
        assert error.message == "the upstream timed out before it answered"
    await asyncio.wait_for(hanging.ended.wait(), CLOSED_WITHIN)


async def test_an_informational_answer_is_not_the_first_byte(pool, upstream):
    upstream.handler = Hanging(b"HTTP/1.1 100 Continue\r\n\r\n")
    _, seconds = await fails(pool.send(request(upstream.port, first_byte=LIMIT)))
    assert SOON < seconds < LATE


async def test_the_idle_limit_does_not_shorten_the_wait_for_the_first_byte(http, upstream):
    upstream.handler = drips([b"HTTP/1.1 103 Hints\r\n\r\n", OK], pause=2 * LIMIT)
    assert (await ask(http, request(upstream.port, idle=LIMIT))).body == b"ok"


@pytest.mark.parametrize(
    ("early", "by"),
    [(b"", "pump"), (b"5\r\nhello\r\n", "read"), (b"5\r\nhel", "pump")],
    ids=["head", "chunk", "half a chunk"],
)
async def test_silence_in_a_body(http, upstream, early, by):
    upstream.handler = hanging = Hanging(CHUNKED + early)
    answer = await http.send(request(upstream.port, idle=LIMIT))
    error, seconds = await fails(take(answer, by))
    assert (error.sent, SOON < seconds < LATE) == (True, True)
    if isinstance(http, Pool):
        assert error.message == "the upstream timed out in the middle of its answer"
    await asyncio.wait_for(hanging.ended.wait(), CLOSED_WITHIN)


async def test_a_slow_body_that_keeps_coming_is_not_idle(http, upstream):
    frames = [b"5\r\nhello\r\n"] * 6 + [b"0\r\n\r\n"]
    upstream.handler = drips([CHUNKED, *frames], pause=0.1)
    assert (await ask(http, request(upstream.port, idle=2 * LIMIT))).body == b"hello" * 6


async def test_the_whole(http, upstream):
    upstream.handler = drips([CHUNKED, *[b"1\r\nx\r\n"] * 60], pause=0.05)
    answer = await http.send(request(upstream.port, total=LIMIT))
    error, seconds = await fails(take(answer))
    assert error.sent
    assert seconds < LATE
    await until(lambda: http.connections == 0, CLOSED_WITHIN)


async def test_a_slow_reader_is_not_an_idle_upstream(http, upstream):
    body = b"x" * (8 << 20)
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    answer = await http.send(request(upstream.port, idle=LIMIT))
    got = []

    async def drain():
        if sum(map(len, got)) < 400_000:
            await asyncio.sleep(2.5 * LIMIT)

    first = [False]
    await answer.pump(lambda data: got.append(data) or (first.pop() if first else True), drain)
    answer.close()
    assert b"".join(got) == body


async def test_exchanges_that_end_are_forgotten(pool, upstream):
    upstream.handler = answers(OK)
    for _ in range(50):
        await ask(pool, request(upstream.port))
    open_ones = [await pool.send(request(upstream.port)) for _ in range(10)]
    assert len(pool._active) == 10
    for answer in open_ones:
        answer.close()
    assert not pool._active


async def test_a_closed_pool_lets_nobody_hang(starts, upstream):
    pool = await starts(Pool({}, per_origin=2))
    upstream.handler = hanging = Hanging(CHUNKED + b"1\r\nx\r\n")
    pumping = asyncio.create_task(take(await pool.send(request(upstream.port))))
    upstream.handler = silent = Hanging()
    heading = asyncio.create_task(pool.send(request(upstream.port)))
    await silent.reached.wait()
    in_line = asyncio.create_task(pool.send(request(upstream.port)))
    await asyncio.sleep(0.02)
    await pool.close()
    for task, sent in ((pumping, True), (heading, True), (in_line, False)):
        with pytest.raises(UpstreamError) as error:
            await asyncio.wait_for(task, 1)
        assert (error.value.status, error.value.message) == (503, "the gateway is shutting down")
        assert error.value.sent is sent or task is not in_line
    for end in (hanging.ended, silent.ended):
        await asyncio.wait_for(end.wait(), CLOSED_WITHIN)
    with pytest.raises(UpstreamError, match="shutting down"):
        await pool.send(request(upstream.port))


async def test_closing_an_exchange_wakes_who_waits_for_it(pool, upstream):
    upstream.handler = Hanging(CHUNKED)
    answer = await pool.send(request(upstream.port))
    reading = asyncio.create_task(answer.read(100))
    await asyncio.sleep(0.01)
    answer.close()
    with pytest.raises(UpstreamError, match="closed before its end"):
        await asyncio.wait_for(reading, 1)
