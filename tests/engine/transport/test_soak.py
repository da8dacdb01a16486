"""Many streams that say nothing for long: what each costs, and that each still ends well."""

import asyncio
import os
import resource
import sys
from pathlib import Path

import pytest

from engine.transport.pool import Pool
from tests.engine.transport.wire import Running, ready, request

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

KB_PER_STREAM = 100
"""Ten times what was measured."""
SERVER = """
import asyncio, sys
async def serve(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n{}")
    writer.write(b"HTTP/1.1 200 OK\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n5\\r\\nhello\\r\\n")
    writers.append(writer)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for writer in writers:
        writer.write(b"3\\r\\nend\\r\\n0\\r\\n\\r\\n")
        await writer.drain()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
writers = []
asyncio.run(main())
"""


def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def streams(count):
    """Hold `count` idle streams, then let them end; returns bytes per stream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        port = int(await server.stdout.readline())
        async with Running(Pool({}, per_origin=count)) as running:
            return await hold(running.http, server, port, count)
    finally:
        server.stdin.write(b"\n\n")
        server.stdin.close()
        await server.wait()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def hold(pool, server, port, count):
    bodies = [[] for _ in range(count)]

    async def stream(got):
        answer = await pool.send(request(port, first_byte=60, idle=60, total=120, connect=30))
        await answer.pump(lambda data: got.append(data) or True, ready)
        answer.close()

    before = rss()
    tasks = [asyncio.create_task(stream(got)) for got in bodies]
    while not all(bodies):
        await asyncio.sleep(0.02)
    each = (rss() - before) / count
    assert (pool.connections, len(pool._active)) == (count, count)
    server.stdin.write(b"\n")
    await asyncio.gather(*tasks)
    assert all(b"".join(got) == b"helloend" for got in bodies)
    return each


async def test_fifty_idle_streams():
    await streams(10)
    assert await streams(50) < KB_PER_STREAM * 1024


@pytest.mark.soak
async def test_two_thousand_idle_streams():
    await streams(50)
    each = await streams(2000)
    print(f"\nan idle stream costs {each / 1024:.1f} KB of the gateway's memory")
    assert each < KB_PER_STREAM * 1024
