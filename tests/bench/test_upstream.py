"""The fake provider and the yardstick speak right HTTP, as a client that is not ours reads it."""

import asyncio
import json
import socket

import aiohttp
import pytest
from aiohttp import web

from bench import machine
from bench.bare_proxy import application
from bench.servers import Upstream
from bench.shapes import SHAPES

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def upstream():
    with Upstream(machine.cores()[1]) as started:
        yield started.port


async def ask(base, shape):
    async with aiohttp.ClientSession() as session, session.post(base + CHAT, data=SHAPES[shape].body()) as answer:
        assert answer.status == 200
        return answer.content_type, await answer.read()


def check_completion(content_type, body):
    assert content_type == "application/json"
    assert 900 < len(body) < 1_300
    assert json.loads(body)["usage"]["total_tokens"] == 392


def check_stream(content_type, body):
    assert content_type == "text/event-stream"
    *frames, done, rest = body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames]
    assert len(chunks) == 201
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 392
    assert 220 < len(frames[5]) < 320


async def test_it_answers_and_streams(upstream):
    base = f"http://127.0.0.1:{upstream}"
    check_completion(*await ask(base, "100k"))
    check_stream(*await ask(base, "stream"))


async def test_requests_on_one_connection_are_answered_however_they_are_cut(upstream):
    with socket.create_connection(("127.0.0.1", upstream)) as client:
        client.setblocking(False)
        request = SHAPES["1k"].requests(["sk-a"])[0][0]
        loop = asyncio.get_running_loop()
        seen = b""
        for size in (7, 100, len(request)):
            for start in range(0, len(request), size):
                await loop.sock_sendall(client, request[start : start + size])
            while not seen.endswith(b"}"):
                seen += await loop.sock_recv(client, 65_536)
            head, _, body = seen.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert f"content-length: {len(body)}".encode() in head
            seen = b""


async def test_the_bare_proxy_relays_both_kinds_unchanged(upstream):
    target = f"http://127.0.0.1:{upstream}"
    runner = web.AppRunner(application(target), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for shape in ("1k", "flood"):
        assert await ask(base, shape) == await ask(target, shape)
    async with aiohttp.ClientSession() as session, session.get(base + "/health/readiness") as answer:
        assert answer.status == 200
    await runner.cleanup()
