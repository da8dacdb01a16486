"""Clients that take too much: too many connections, too slow a head or body, too long idle. Small bounds, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from engine.api.exchange import Exchange
from engine.api.limits import Bounds, Limits
from engine.api.listener import Listener
from engine.call import Route
from engine.cork import Cork
from engine.errors import GatewayError
from engine.transport.dial import Dialer
from engine.transport.tunnel import offer
from tests.engine.building import REGISTRY
from tests.engine.transport.wire import request

ROUTE = Route("/chat/completions", "chat", REGISTRY.dialect("openai"))
TUNNEL = Route("/tunnel", "chat", REGISTRY.dialect("openai"))
TUNNEL.tunnels = True
SMALL = Bounds(connections=4, per_address=3, head=0.2, idle=0.6, silence=0.8, rate=1000)
HEAD = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 400\r\n\r\n"
WHOLE = HEAD + b"x" * 400
OFFER = b"GET /tunnel HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
LARGE = 32 * 1024 * 1024


class House:
    """A listener whose answer to everything is the length of the body; `/large` is answered at length, `/tunnel` leads on."""

    def __init__(self) -> None:
        self.limits = Limits(SMALL)
        self.port = 0
        self.upstream = 0
        self._clients: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[House]:
        """Serve, with the sweeping under way."""
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(web.Application(), access_log=None)
        await runner.setup()
        listener = Listener(
            lambda _, target: (TUNNEL if target == "/tunnel" else ROUTE, target),
            self._serve,
            runner,
            self.limits,
            Cork(),
        )
        server = await loop.create_server(listener, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        sweeping = loop.create_task(self.limits.run())
        yield self
        for client in self._clients:
            client.close()
        sweeping.cancel()
        server.close()
        await listener.drain(0)
        await runner.cleanup()

    async def _serve(self, exchange: Exchange, route: Route, model: str) -> None:
        if route.tunnels:
            await exchange.join(await offer(Dialer({}), request(self.upstream, b"")), b"")
            return
        try:
            body = exchange.at_hand()
            body = await exchange.read(10_000) if body is None else body
        except GatewayError:
            exchange.cut()
            return
        exchange.send(200, b"", b"y" * LARGE if model == "/large" else str(len(body)).encode())

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; closed in the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._clients.append(writer)
        return reader, writer


@pytest.fixture
async def house():
    async with House().listening() as made:
        yield made


async def ends(reader: asyncio.StreamReader, seconds: float = 5.0) -> bool:
    """Tell whether the other side closes."""
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(65536):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


async def until(condition, seconds: float = 5.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came to that"
        await asyncio.sleep(0.005)


async def test_one_connection_too_many_of_an_address_is_closed_and_the_place_comes_free(house):
    open_ones = [await house.open() for _ in range(SMALL.per_address)]
    await until(lambda: house.limits.open == SMALL.per_address)
    reader, _ = await house.open()
    assert await ends(reader, 0.15), "the fourth connection stayed open"
    assert house.limits.refused == 1
    open_ones.pop()[1].close()
    await until(lambda: house.limits.open == SMALL.per_address - 1)
    reader, writer = await house.open()
    writer.write(WHOLE)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    for _, one in [*open_ones, (reader, writer)]:
        one.close()
    await until(lambda: house.limits.open == 0)
    assert house.limits._addresses == {}


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["the first", "a later one"])
async def test_a_head_that_dribbles_is_closed_in_spite_of_its_bytes(house, before):
    reader, writer = await house.open()
    if before:
        writer.write(before)
        await reader.readuntil(b"\r\n\r\n400")
    writer.write(b"POST /")
    started = asyncio.get_running_loop().time()
    with contextlib.suppress(ConnectionError):
        while not reader.at_eof() and asyncio.get_running_loop().time() - started < 3:
            writer.write(b"x")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.02)
    took = asyncio.get_running_loop().time() - started
    assert SMALL.head * 0.9 <= took < 2.5, took
    writer.close()


async def test_a_body_that_dribbles_is_closed_and_one_at_the_rate_is_not(house):
    reader, writer = await house.open()
    writer.write(HEAD)
    assert await ends(reader, 2.5)
    writer.close()
    reader, writer = await house.open()
    writer.write(HEAD)
    for _ in range(20):
        writer.write(b"x" * 20)
        await asyncio.sleep(0.015)
    assert (await reader.readuntil(b"400")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_an_idle_connection_is_kept_for_a_while_and_no_longer(house):
    reader, writer = await house.open()
    for _ in range(3):
        writer.write(WHOLE)
        await reader.readuntil(b"\r\n\r\n400")
        await asyncio.sleep(SMALL.idle / 2)
    started = asyncio.get_running_loop().time()
    assert await ends(reader, 2.5)
    assert asyncio.get_running_loop().time() - started >= SMALL.idle * 0.4
    writer.close()


async def test_a_connection_that_never_says_a_word_is_closed(house):
    reader, writer = await house.open()
    assert await ends(reader, 2.5)
    writer.close()


async def test_a_client_that_does_not_take_its_answer_is_closed(house):
    _, writer = await house.open()
    writer.write(WHOLE.replace(b"/x", b"/large"))
    await until(lambda: house.limits.open == 1)
    writer.transport.pause_reading()
    await until(lambda: house.limits.open == 0, 3)
    writer.close()


@pytest.mark.parametrize("speaker", ["client", "upstream"])
async def test_a_tunnel_is_kept_while_either_side_speaks_and_no_longer(house, speaker):
    async def upstream(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        for _ in range(4 if speaker == "upstream" else 0):
            await asyncio.sleep(SMALL.silence / 2)
            writer.write(b"u")
        await ends(reader)
        writer.close()

    async with await asyncio.start_server(upstream, "127.0.0.1", 0) as server:
        house.upstream = server.sockets[0].getsockname()[1]
        reader, writer = await house.open()
        writer.write(OFFER)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(4 if speaker == "client" else 0):
            await asyncio.sleep(SMALL.silence / 2)
            writer.write(b"c")
        if speaker == "upstream":
            assert await reader.readexactly(4) == b"uuuu"
        assert house.limits.open == 1
        assert await ends(reader, 8 * SMALL.silence)
        await until(lambda: house.limits.open == 0)
