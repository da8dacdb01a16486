"""A connection that the upstream has left, and the request that must never be delivered twice."""

import asyncio
import collections
import random
import socket
import struct

import pytest

from engine.errors import UpstreamError
from tests.engine.transport.wire import OK, answers, ask, attempt, request, reset, until

TRIALS = 200


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("later", [0.0, 0.05])
async def test_a_request_after_the_upstream_left_goes_out_on_a_new_connection(http, upstream, how, later):
    upstream.handler = answers(OK)
    for number in (1, 2):
        assert (await ask(http, request(upstream.port))).body == b"ok"
        await asyncio.sleep(later)
        reset(upstream.requests[-1]) if how == "rst" else upstream.requests[-1].close()
        await asyncio.sleep(0.02)
        assert http.connections == 0
        assert upstream.connections == number


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_peer_that_left_while_the_loop_was_busy_is_noticed_before_the_request_is_written(pool, upstream, how):
    upstream.handler = answers(OK)
    await ask(pool, request(upstream.port))
    (shelf,) = pool._shelves.values()
    (idle,) = shelf.idle
    idle.pause()  # the loop has not looked at the socket
    idle.idle_since -= 10
    reset(upstream.requests[0]) if how == "rst" else upstream.requests[0].close()
    await asyncio.sleep(0.02)
    assert how == "rst" or not idle.closed
    assert (await ask(pool, request(upstream.port))).body == b"ok"
    assert (upstream.connections, len(upstream.requests)) == (2, 2)


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
async def test_a_request_that_was_read_and_not_answered_is_delivered_once(http, upstream, reused):
    chance = random.Random(7)
    delivered = collections.Counter()

    async def leave(exchange):
        delivered[exchange.body[:8]] += 1
        if exchange.body.startswith(b"good"):
            await exchange.send(OK)
            return
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.003]))
        chance.choice([reset, lambda e: e.close(), lambda e: e.abort()])(exchange)

    upstream.handler = leave
    for trial in range(TRIALS):
        if reused:
            await ask(http, request(upstream.port, b"good%04d" % trial))
        body = b"post%04d" % trial + b"x" * chance.choice([0, 100, 70_000, 300_000])
        with pytest.raises(UpstreamError) as error:
            await ask(http, request(upstream.port, body))
        assert (error.value.status, error.value.sent) == (502, True)
    assert len(delivered) == TRIALS * (1 + reused)
    assert set(delivered.values()) == {1}


async def test_a_race_with_an_upstream_that_leaves_never_delivers_twice_nor_lies_about_it(http, upstream):
    chance = random.Random(11)
    delivered = collections.Counter()

    async def leave_soon(exchange):
        delivered[exchange.body] += 1
        await exchange.send(OK)
        await asyncio.sleep(chance.choice([0, 0, 0.0005, 0.001, 0.002]))
        chance.choice([reset, lambda e: e.close()])(exchange)

    upstream.handler = leave_soon
    good = 0
    for trial in range(TRIALS):
        body = b"%d" % trial
        outcome = await attempt(http, request(upstream.port, body))
        if outcome == (502, True):
            assert delivered[body] <= 1
        elif outcome == (502, False):
            assert delivered[body] == 0
        else:
            assert (outcome.body, delivered[body]) == (b"ok", 1)
            good += 1
        await asyncio.sleep(chance.choice([0, 0, 0.0005, 0.001, 0.002]))
    assert good > TRIALS / 4
    assert max(delivered.values()) == 1


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_upstream_that_hangs_up_on_accept_is_a_502_and_leaves_no_connection_counted(http, listens, how):
    async def hang_up(_, writer):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", how == "rst", 0))
        writer.transport.abort()

    port = await listens(hang_up)
    for _ in range(5):
        outcomes = await asyncio.gather(*(attempt(http, request(port)) for _ in range(40)))
        assert {status for status, _ in outcomes} == {502}
        await until(lambda: http.connections == 0)


async def test_a_connection_lost_between_its_making_and_its_use_is_neither_used_nor_counted(pool, listens):
    async def hang_up(_, writer):
        writer.close()

    async def slowly(*arguments):
        connection = await dial(*arguments)
        await asyncio.sleep(0.02)
        return connection

    dial, pool._dialer.dial = pool._dialer.dial, slowly
    port = await listens(hang_up)
    for _ in range(3):
        with pytest.raises(UpstreamError, match="closed the connection at once") as error:
            await pool.send(request(port))
        assert (error.value.status, error.value.sent, pool.connections) == (502, False, 0)
