"""The load generator against real sockets: what it counts and from when."""

import asyncio
import contextlib
import json
import os
import random
import socketserver
import threading
import time

import pytest

from bench import machine
from bench.client import Tally
from bench.load import Job, Target, decode, encode, run
from bench.loops import OpenLoop, arrivals
from bench.ports import free_port
from bench.rows import gateway_config
from bench.servers import Upstream
from bench.shapes import SHAPES
from bench.site import Site


@pytest.fixture(scope="module")
def upstream():
    with Upstream(machine.cores()[1]) as started:
        yield started.port


@contextlib.contextmanager
def answering(answer, pauses=()):
    """Serve `answer` to whatever comes, after a pause each while there are any."""
    left = iter(pauses)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(ConnectionError):
                while self.request.recv(65_536):
                    time.sleep(next(left, 0))
                    self.request.sendall(answer)
                    if b"connection: close" in answer:
                        return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.server_address[1]
        server.shutdown()


def test_arrivals_keep_their_rate():
    assert arrivals(4, 1, None) == [0, 0.25, 0.5, 0.75]
    times = arrivals(1_000, 5, random.Random(3))
    assert len(times) == pytest.approx(5_000, rel=0.05)
    assert times == sorted(times)


def test_bodies_have_the_size_of_their_shape():
    for shape in SHAPES.values():
        body = shape.body()
        assert len(body) == pytest.approx(shape.body_bytes, rel=0.05)
        assert ("stream" in json.loads(body)) == (shape.frames > 0)


def test_latency_counts_from_the_intended_start():
    async def measure(port):
        loop = OpenLoop(port, SHAPES["1k"], [[b"GET / HTTP/1.1\r\n\r\n"]])
        loop._open()
        # One connection only: the stall holds up all that was meant to start meanwhile.
        loop._count = 512
        await loop.run(arrivals(100, 0.3, None))
        await loop.stop()
        return loop.tally

    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", pauses=[0.3]) as port:
        tally = asyncio.run(measure(port))
    assert tally.requests == 30
    assert not tally.errors
    assert tally.latency.quantile(0.5) > 100e6


def test_a_closed_loop_counts_whole_requests_and_the_time_they_cost(upstream):
    target = Target("here", upstream, (os.getpid(),))
    results = run(Job("1k", 0.05, (target,), rounds=3))
    assert [name for name, _ in results] == ["here"] * 3
    for _, result in decode(encode(results)):
        assert not result.errors
        assert result.requests == result.latency.total > 10
        assert result.cpu_ns["gateway"] > 0
        assert result.rss > 0


def test_a_limit_ends_a_slice_at_exactly_that_many_requests(upstream):
    target = Target("here", upstream)
    ((_, result),) = run(Job("1k", 30, (target,), limit=70))
    assert result.requests == 70
    assert result.seconds < 15


@pytest.mark.parametrize("rate", [0, 40])
def test_streams_count_every_frame(upstream, rate):
    target = Target("here", upstream)
    ((_, result),) = run(Job("flood", 0.1, (target,), rate=rate, poisson=False))
    assert not result.errors
    assert result.frames == 202 * result.requests > 0
    assert result.gap.total == 201 * result.requests


def test_nobody_there_is_an_error_and_not_an_endless_wait():
    ((_, result),) = run(Job("1k", 0.1, (Target("gone", free_port()),)))
    assert result.requests == 0
    assert result.errors["connect"] > 0


@pytest.mark.parametrize("rate", [0, 50])
def test_a_refusal_is_counted_by_its_status(rate):
    refusal = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    with answering(refusal) as port:
        ((_, result),) = run(Job("1k", 0.1, (Target("no", port),), rate=rate))
    assert result.requests == 0
    assert result.errors["http 429"] > 0
    assert result.seconds < 4


def test_frames_that_come_together_follow_without_a_gap():
    tally = Tally()
    tally.burst(1, None)
    tally.burst(3, 0.002)
    assert tally.frames == 4
    assert tally.gap.points() == [(0, pytest.approx(2 / 3)), (pytest.approx(2_000_000, rel=0.004), 1.0)]


def test_cpu_time_agrees_with_what_the_kernel_shows():
    fields = machine._stat(os.getpid())
    shown = (int(fields[11]) + int(fields[12])) * machine._TICK_NS
    assert machine.cpu_ns([os.getpid()]) == pytest.approx(shown, abs=100_000_000)
    assert machine.cpu_ns([2**22 + 1]) == 0


def test_the_gateway_knows_every_client_key(tmp_path):
    site = Site(1, tmp_path)
    known = {key["key"] for key in gateway_config(site)["litellm_settings"]["virtual_keys"]}
    assert known == set(site.keys)
    assert len(known) == 50
