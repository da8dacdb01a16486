"""When a connection carries another request, and when it must not."""

import asyncio

import pytest

from engine.contracts import Origin
from engine.errors import UpstreamError
from engine.transport.pool import Pool
from tests.engine.transport.wire import CLOSED_WITHIN, OK, Hanging, answers, ask, attempt, request, take, until

REUSED = {
    "length": OK,
    "chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an error": b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    "HTTP/1.0 that says keep-alive": b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
}
NOT_REUSED = {
    "connection: close": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    "connection: Close, x": b"HTTP/1.1 200 OK\r\nConnection: Close, x\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("by", ["pump", "read"])
@pytest.mark.parametrize("case", REUSED)
async def test_requests_one_after_another_share_a_connection(http, upstream, case, by):
    upstream.handler = answers(REUSED[case])
    for _ in range(5):
        await ask(http, request(upstream.port), by)
    assert (upstream.connections, len(upstream.requests), http.connections) == (1, 5, 1)


@pytest.mark.parametrize("case", NOT_REUSED)
async def test_a_connection_that_the_upstream_ends_is_not_reused(http, upstream, case):
    upstream.handler = answers(NOT_REUSED[case])
    for _ in range(3):
        assert (await ask(http, request(upstream.port))).body == b"ok"
    assert upstream.connections == 3
    await until(lambda: upstream.closed == 3, CLOSED_WITHIN)


async def test_requests_at_the_same_time_have_connections_of_their_own(http, upstream):
    async def slowly(exchange):
        await asyncio.sleep(0.05)
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(exchange.body), exchange.body))

    upstream.handler = slowly
    bodies = [b"%d" % i for i in range(20)]
    for _ in range(2):
        found = await asyncio.gather(*(ask(http, request(upstream.port, body)) for body in bodies))
        assert [whole.body for whole in found] == bodies
    assert upstream.connections == 20


async def test_origins_do_not_share_connections(http, upstream):
    upstream.handler = answers(OK)
    plain, allowed = request(upstream.port), request(upstream.port, link_local=True)
    assert plain.origin != allowed.origin == Origin("http", "127.0.0.1", upstream.port, allow_link_local=True)
    for sent in (plain, allowed, plain, allowed, request(upstream.port, host="localhost")):
        await ask(http, sent)
    assert upstream.connections == 3


async def test_an_answer_before_the_request_is_written_ends_the_connection(http, listens):
    async def early(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        ports.append(writer.get_extra_info("peername"))
        await asyncio.sleep(5)

    ports = []
    port = await listens(early, limit=1024)
    for _ in range(2):
        whole = await ask(http, request(port, b"x" * (32 << 20)))
        assert (whole.status, whole.body) == (413, b"no")
    assert len(ports) == 2


@pytest.mark.parametrize("stray", [OK, b"x", b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"])
async def test_bytes_on_an_idle_connection_end_it(http, upstream, stray):
    upstream.handler = answers(OK)
    await ask(http, request(upstream.port))
    await upstream.requests[0].send(stray)
    if isinstance(http, Pool):
        await until(lambda: upstream.closed == 1)
        assert http.connections == 0
    else:  # aiohttp finds out when it would use it
        await asyncio.sleep(0.02)
    upstream.handler = answers(OK.replace(b"ok", b"2."))
    assert (await ask(http, request(upstream.port))).body == b"2."
    assert upstream.connections == 2


async def test_bytes_between_the_end_of_an_answer_and_its_close_end_the_connection(pool, upstream):
    upstream.handler = answers(OK)
    answer = await pool.send(request(upstream.port))
    assert await answer.read(10) == b"ok"
    await upstream.requests[0].send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    await until(lambda: upstream.closed == 1)
    answer.close()
    assert (await ask(pool, request(upstream.port))).body == b"ok"
    assert upstream.connections == 2


async def test_an_answer_that_is_closed_before_its_end_ends_the_connection(http, upstream):
    upstream.handler = hanging = Hanging(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
    answer = await http.send(request(upstream.port))
    answer.close()
    answer.close()
    await asyncio.wait_for(hanging.ended.wait(), CLOSED_WITHIN)
    assert http.connections == 0


async def test_a_whole_answer_that_nobody_read_leaves_the_connection_open(pool, upstream):
    upstream.handler = answers(OK)
    for _ in range(3):
        answer = await pool.send(request(upstream.port))
        await asyncio.sleep(0.01)
        answer.close()
    assert upstream.connections == 1


@pytest.mark.parametrize(("value", "reused"), [(b"timeout=1", False), (b"max=9, timeout=60", True), (b"x", True)])
async def test_the_upstreams_keep_alive_is_honoured_with_a_second_to_spare(pool, upstream, value, reused):
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\nkeep-alive: %b\r\ncontent-length: 2\r\n\r\nok" % value)
    await ask(pool, request(upstream.port))
    await asyncio.sleep(0.01)
    await ask(pool, request(upstream.port))
    assert upstream.connections == (1 if reused else 2)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_keep_alive_of_two_seconds_ends_an_idle_connection_after_one(pool, upstream):
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=2\r\ncontent-length: 2\r\n\r\nok")
    await ask(pool, request(upstream.port))
    await asyncio.sleep(0.5)
    assert (pool.connections, upstream.closed) == (1, 0)
    await until(lambda: upstream.closed == 1, 1.0)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_the_idle_limit_closes_what_nobody_uses(starts, upstream):
    pool = await starts(Pool({}, idle_limit=0.3))
    upstream.handler = answers(OK)
    for _ in range(4):
        await ask(pool, request(upstream.port))
        await asyncio.sleep(0.15)
    assert (upstream.connections, upstream.closed) == (1, 0)
    await until(lambda: upstream.closed == 1, 0.9)
    assert pool.connections == 0
    pool.tick(asyncio.get_running_loop().time())
    assert not pool._shelves


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_the_longest_unused_connections_end_first(starts, upstream):
    pool = await starts(Pool({}, idle_limit=0.5))
    upstream.handler = answers(OK)
    burst = [await pool.send(request(upstream.port)) for _ in range(4)]
    for answer in burst:
        await take(answer)
    for _ in range(6):
        await ask(pool, request(upstream.port))
        await asyncio.sleep(0.2)
    assert (upstream.connections, upstream.closed, pool.connections) == (4, 3, 1)


@pytest.mark.parametrize("framing", [b"transfer-encoding: chunked\r\n\r\n5\r\nhel", b"content-length: 5\r\n\r\nhel"])
async def test_an_upstream_that_shuts_its_side_in_a_body_of_known_end_breaks_the_answer(http, upstream, framing):
    async def half(exchange):
        await exchange.send(b"HTTP/1.1 200 OK\r\n" + framing)
        exchange.writer.write_eof()
        await exchange.reader.read()
        exchange.close()

    upstream.handler = half
    for by in ("read", "pump"):
        answer = await http.send(request(upstream.port))
        with pytest.raises(UpstreamError) as error:
            await take(answer, by)
        assert (error.value.status, error.value.sent) == (502, True)
    await until(lambda: http.connections == 0)


async def test_an_upstream_that_shuts_its_side_after_a_chunk_has_not_ended_its_answer(http, upstream):
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked \r\n\r\n5\r\nhello\r\n", close=True)
    assert await attempt(http, request(upstream.port)) == (502, True)


async def test_an_upstream_that_shuts_its_side_ends_a_close_delimited_body(http, upstream):
    async def half(exchange):
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\nhel")
        await asyncio.sleep(0.02)
        await exchange.send(b"lo")
        exchange.writer.write_eof()
        await exchange.reader.read()
        ended.set()
        exchange.close()

    ended = asyncio.Event()
    upstream.handler = half
    assert (await ask(http, request(upstream.port))).body == b"hello"
    await asyncio.wait_for(ended.wait(), CLOSED_WITHIN)
