"""How many connections there are, who waits for one, and that the count is never wrong."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.ports import free_port
from engine.contracts import Origin
from engine.errors import UpstreamError
from engine.transport import make
from engine.transport.pool import Pool
from engine.transport.session import Session
from tests.engine.transport.wire import OK, Hanging, Running, answers, ask, attempt, request, reset, until
from tests.running import ScriptedUpstream


def shelf(pool, upstream):
    return pool._shelves[Origin("http", "127.0.0.1", upstream.port)]


class Crowd:
    """A handler that answers after a while and knows the most connections it ever saw busy at once."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.now = self.most = 0

    async def __call__(self, exchange):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.seconds)
        self.now -= 1
        await exchange.send(OK)


def test_the_environment_chooses_the_transport():
    assert isinstance(make({}), Pool)
    assert isinstance(make({"INTERLOCK_TRANSPORT": "own"}), Pool)
    assert isinstance(make({"INTERLOCK_TRANSPORT": "aiohttp"}), Session)
    with pytest.raises(ValueError, match="`other`: use `own` or `aiohttp`"):
        make({"INTERLOCK_TRANSPORT": "other"})


async def test_a_transport_that_never_called_closes():
    for http in (Pool({}), Session()):
        async with Running(http):
            assert http.connections == 0


async def test_calls_beyond_the_limit_wait_in_line_and_all_finish(starts, upstream):
    pool = await starts(Pool({}, per_origin=2))
    upstream.handler = crowd = Crowd(0.05)
    found = await asyncio.gather(*(ask(pool, request(upstream.port)) for _ in range(6)))
    assert [whole.body for whole in found] == [b"ok"] * 6
    assert (crowd.most, upstream.connections, pool.connections) == (2, 2, 2)


async def test_the_line_is_served_in_order(starts, upstream):
    pool = await starts(Pool({}, per_origin=1))
    upstream.handler = Crowd(0.005)
    calls = []
    for i in range(10):
        calls.append(asyncio.create_task(ask(pool, request(upstream.port, b"%d" % i))))
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    assert [exchange.body for exchange in upstream.requests] == [b"%d" % i for i in range(10)]


async def test_one_origin_does_not_wait_for_another(starts, upstream):
    pool = await starts(Pool({}, per_origin=1))
    upstream.handler = hanging = Hanging()
    stuck = asyncio.create_task(pool.send(request(upstream.port)))
    await hanging.reached.wait()
    upstream.handler = answers(OK)
    assert (await asyncio.wait_for(ask(pool, request(upstream.port, host="localhost")), 1)).body == b"ok"
    stuck.cancel()


@pytest.mark.parametrize(
    "ending", [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", b"", b"x\r\n"]
)
async def test_the_line_moves_on_when_connections_do_not_last(starts, upstream, ending):
    pool = await starts(Pool({}, per_origin=2))
    upstream.handler = answers(ending, close=True)
    found = await asyncio.gather(*(attempt(pool, request(upstream.port)) for _ in range(8)))
    assert [f if f == (502, True) else f.body for f in found] == [b"ok" if b"ok" in ending else (502, True)] * 8
    assert len(upstream.requests) == upstream.connections == 8
    await until(lambda: pool.connections == 0)


async def test_cancelled_waiters_leave_the_line(starts, upstream):
    pool = await starts(Pool({}, per_origin=1, waiting=4))
    upstream.handler = hanging = Hanging()
    first = asyncio.create_task(attempt(pool, request(upstream.port)))
    await hanging.reached.wait()
    for _ in range(3):
        waiting = [asyncio.create_task(pool.send(request(upstream.port))) for _ in range(4)]
        await asyncio.sleep(0.005)
        assert len(shelf(pool, upstream).waiting) == 4
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not shelf(pool, upstream).waiting
    upstream.handler = answers(OK)
    last = asyncio.create_task(ask(pool, request(upstream.port)))
    await asyncio.sleep(0.005)
    first.cancel()
    assert (await asyncio.wait_for(last, 1)).body == b"ok"
    assert pool.connections == 1


async def test_a_line_that_is_full_refuses_at_once(starts, upstream):
    pool = await starts(Pool({}, per_origin=1, waiting=3))
    upstream.handler = hanging = Hanging()
    calls = [asyncio.create_task(pool.send(request(upstream.port))) for _ in range(4)]
    await hanging.reached.wait()
    with pytest.raises(UpstreamError, match="too many calls wait") as error:
        await pool.send(request(upstream.port))
    assert (error.value.status, error.value.sent) == (503, False)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_wait_in_line_has_the_limit_of_connecting(starts, upstream):
    pool = await starts(Pool({}, per_origin=1))
    upstream.handler = hanging = Hanging()
    first = asyncio.create_task(pool.send(request(upstream.port)))
    await hanging.reached.wait()
    with pytest.raises(UpstreamError, match="came free in time") as error:
        await asyncio.wait_for(pool.send(request(upstream.port, connect=0.1)), 0.7)
    assert (error.value.status, error.value.sent) == (503, False)
    assert not shelf(pool, upstream).waiting
    first.cancel()


async def test_a_refused_connection_gives_its_place_back(http):
    port = free_port()
    for _ in range(3):
        with pytest.raises(
            UpstreamError, match=f"cannot reach `127.0.0.1:{port}`: .*refused|connect call failed"
        ) as error:
            await http.send(request(port))
        assert (error.value.status, error.value.type, error.value.sent) == (502, "upstream_unreachable", False)
        assert http.connections == 0


async def test_those_in_line_for_an_upstream_that_went_away_all_learn_it(starts):
    pool = await starts(Pool({}, per_origin=2))
    port = free_port()
    found = await asyncio.wait_for(asyncio.gather(*(attempt(pool, request(port)) for _ in range(20))), 3)
    assert found == [(502, False)] * 20
    assert pool.connections == 0


@pytest.mark.parametrize("hops", range(6))
async def test_a_newcomer_does_not_take_the_place_of_one_in_line(starts, upstream, hops):
    pool = await starts(Pool({}, per_origin=1))
    upstream.handler = hanging = Hanging()
    first = asyncio.create_task(pool.send(request(upstream.port)))
    await hanging.reached.wait()
    upstream.handler = answers(OK)
    in_line = asyncio.create_task(ask(pool, request(upstream.port, b"in line")))
    await asyncio.sleep(0.01)
    most = []
    first.cancel()
    for _ in range(hops):
        await asyncio.sleep(0)
    newcomer = asyncio.create_task(ask(pool, request(upstream.port, b"newcomer")))
    while not newcomer.done():
        most.append(shelf(pool, upstream).open)
        await asyncio.sleep(0)
    await in_line
    assert max(most) == 1
    assert [exchange.body for exchange in upstream.requests[1:]] == [b"in line", b"newcomer"]


async def moody(exchange):
    """Answer as the request's body says."""
    mood = exchange.body.split(b" ")[0]
    if mood == b"slow":
        await asyncio.sleep(0.004)
    if mood in {b"good", b"slow"}:
        await exchange.send(OK)
    elif mood == b"last":
        await exchange.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
    elif mood == b"half":
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        await exchange.reader.read()
        exchange.close()
    elif mood == b"leave":
        await exchange.send(OK)
        exchange.close()
    elif mood == b"reset":
        reset(exchange)
    else:
        await exchange.send(b"garbage")


STEP = st.one_of(
    st.tuples(
        st.just("send"), st.sampled_from(["good", "slow", "last", "half", "leave", "reset", "garbage", "refused"])
    ),
    st.tuples(st.sampled_from(["cancel", "close"]), st.integers(0, 50)),
    st.tuples(st.just("pause"), st.sampled_from([0, 0, 0, 0.001, 0.005])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=5, max_size=40), limit=st.integers(1, 3))
async def test_the_count_is_right_after_any_mix_of_sends_cancels_closes_and_failures(steps, limit):
    upstream, pool = ScriptedUpstream(), Pool({}, per_origin=limit)
    upstream.handler = moody
    await upstream.start()
    try:
        calls = []
        for step in steps:
            await take_step(pool, upstream, calls, *step)
            assert all(0 <= s.open <= limit for s in pool._shelves.values())
        await asyncio.wait_for(finish(calls), 5)
        await until(lambda: pool.connections == len(upstream._tasks))
        assert pool.connections <= limit
        assert all(not s.waiting and s.open == len(s.idle) for s in pool._shelves.values())
        await pool.close()
        await until(lambda: pool.connections == 0 == len(upstream._tasks))
    finally:
        await pool.close()
        await upstream.stop()


async def take_step(pool, upstream, calls, step, what):
    """Do one step of the mix."""
    if step == "send":
        port = 1 if what == "refused" else upstream.port
        calls.append(asyncio.create_task(pool.send(request(port, what.encode() + b" x"))))
    elif step == "pause":
        await asyncio.sleep(what)
    elif calls:
        call = calls[what % len(calls)]
        if step == "cancel":
            call.cancel()
        elif call.done() and not call.cancelled() and not call.exception():
            call.result().close()


async def finish(calls):
    """Close what has answered until every call has ended."""
    while any(not call.done() for call in calls):
        for call in calls:
            if call.done() and not call.cancelled() and not call.exception():
                call.result().close()
        await asyncio.sleep(0.001)
    for call in calls:
        if not call.cancelled() and not call.exception():
            call.result().close()


async def test_a_thousand_calls_over_ten_connections(starts, upstream):
    pool = await starts(Pool({}, per_origin=10))
    chance = random.Random(3)
    upstream.handler = moody
    moods = [chance.choice([b"good", b"slow", b"last", b"leave"]) for _ in range(500)]
    found = await asyncio.gather(*(attempt(pool, request(upstream.port, mood + b" x")) for mood in moods))
    served = [f for f in found if not isinstance(f, tuple) or f[0] == 200]
    assert all(f in {(502, True), (502, False)} for f in found if f not in served)
    assert len(served) > 400
    assert shelf(pool, upstream).open <= 10
