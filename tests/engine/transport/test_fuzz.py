"""Bytes cut anywhere mean the same; bytes that mean nothing are an upstream's fault, never a crash or a hang."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import UpstreamError
from tests.engine.transport.test_framing import UNTIL_CLOSE, WHOLE
from tests.engine.transport.wire import Hanging, Whole, answers, ask, attempt, request, take, until

GENTLE = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = [*WHOLE, *UNTIL_CLOSE]


class Opened:
    """A request on a real connection whose upstream says nothing, so that bytes can be fed exactly as cut."""

    def __init__(self, pool, upstream):
        self.pool = pool
        self.upstream = upstream

    async def __aenter__(self):
        self.upstream.handler = hanging = Hanging()
        self.task = asyncio.create_task(self.pool.send(request(self.upstream.port)))
        await hanging.reached.wait()
        (exchange,) = (e for e in self.pool._active if not e.closed)
        self.exchange, self.connection = exchange, exchange._connection
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.exchange.close()
        self.connection.abort()

    async def feed(self, pieces, *, end, each):
        """Feed pieces, letting the waiting call run after each when told to; then the end of the stream."""
        for piece in pieces:
            if not self.connection.closed:
                self.connection.data_received(piece)
            if each:
                await asyncio.sleep(0)
        if end:
            self.connection.eof_received()


def cut(data, points):
    """Cut bytes at points, which may repeat or lie outside."""
    edges = [0, *sorted(min(p, len(data)) for p in points), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


@GENTLE
@given(
    name=st.sampled_from(NAMES),
    points=st.lists(st.integers(0, 220), max_size=30),
    each=st.booleans(),
    by=st.sampled_from(["read", "pump"]),
)
async def test_any_cut_of_an_answer_means_the_same(pool, upstream, name, points, each, by):
    data, status, body = (WHOLE | UNTIL_CLOSE)[name]
    whole = await one_answer(pool, upstream, [data], name in UNTIL_CLOSE, each=False, by="read")
    assert (whole.status, whole.body) == (status, body)
    assert await one_answer(pool, upstream, cut(data, points), name in UNTIL_CLOSE, each=each, by=by) == whole


async def one_answer(pool, upstream, pieces, end, *, each, by) -> Whole:
    async with Opened(pool, upstream) as opened, asyncio.timeout(2):
        taking = asyncio.create_task(taken(opened.task, by))
        await opened.feed(pieces, end=end, each=each)
        return await taking


async def taken(sending, by):
    return await take(await sending, by)


@GENTLE
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    points=st.lists(st.integers(0, 6000), max_size=40),
    fulls=st.sets(st.integers(0, 40)),
)
async def test_a_writer_that_is_now_and_then_full_gets_every_byte_in_order(pool, upstream, sizes, points, fulls):
    chunks = [bytes((i + j) % 251 for j in range(size)) for i, size in enumerate(sizes)]
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    data = head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    got = []

    def write(piece):
        got.append(piece)
        return len(got) not in fulls

    async with Opened(pool, upstream) as opened, asyncio.timeout(2):
        await opened.feed([head], end=False, each=True)
        pumping = asyncio.create_task((await opened.task).pump(write, lambda: asyncio.sleep(0.001)))
        await opened.feed(cut(data[len(head) :], points), end=False, each=True)
        await pumping
    assert b"".join(got) == b"".join(chunks)


@GENTLE
@given(data=st.binary(min_size=1, max_size=300).filter(lambda b: b.lstrip(b"\r\n")[:1] != b"H"))
async def test_garbage_is_a_502(http, upstream, data):
    upstream.handler = answers(data, close=True)
    with pytest.raises(UpstreamError) as error:
        async with asyncio.timeout(2):
            await ask(http, request(upstream.port))
    assert (error.value.status, error.value.sent) == (502, True)


@GENTLE
@given(
    name=st.sampled_from(NAMES),
    at=st.integers(0, 200),
    drop=st.integers(0, 20),
    insert=st.binary(max_size=20)
    | st.sampled_from([b"\r\n", b"0", b"-1", b"f" * 17, b" chunked", b"\r\n\r\n", b"000"]),
)
async def test_a_mangled_answer_ends_as_an_answer_or_a_502(http, upstream, name, at, drop, insert):
    data = (WHOLE | UNTIL_CLOSE)[name][0]
    upstream.handler = answers(data[:at] + insert + data[at + drop :], close=True)
    async with asyncio.timeout(2):
        outcome = await attempt(http, request(upstream.port))
    assert 200 <= outcome.status <= 999 if isinstance(outcome, Whole) else outcome == (502, True)


@pytest.mark.parametrize("status", [b"000", b"001", b"099", b"101"])
async def test_a_status_that_is_no_answer_is_a_502_at_once(http, upstream, status):
    upstream.handler = answers(b"HTTP/1.1 %b X\r\ncontent-length: 2\r\n\r\nok" % status)
    with pytest.raises(UpstreamError) as error:
        async with asyncio.timeout(2):
            await ask(http, request(upstream.port))
    assert error.value.status == 502


async def test_a_write_that_raises_ends_the_pump_with_its_own_error(http, upstream):
    upstream.handler = hanging = Hanging(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    answer = await http.send(request(upstream.port))

    def write(data):
        raise LookupError(data)

    pumping = asyncio.create_task(answer.pump(write, lambda: asyncio.sleep(0)))
    await asyncio.sleep(0.01)
    await upstream.requests[0].send(b"5\r\nhello\r\n")
    with pytest.raises(LookupError):
        async with asyncio.timeout(2):
            await pumping
    answer.close()
    await until(hanging.ended.is_set)


async def test_a_drain_that_raises_is_not_taken_for_the_upstreams_fault(http, upstream):
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
    answer = await http.send(request(upstream.port))

    async def drain():
        raise ConnectionResetError("the client has gone")

    with pytest.raises(ConnectionResetError):
        await answer.pump(lambda _: False, drain)
    answer.close()
