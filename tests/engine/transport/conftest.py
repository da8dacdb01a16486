"""Both transports on both event loops, each checked at the end of every test for what it may have left behind."""

import asyncio
import contextlib
import subprocess

import pytest
import uvloop

from engine.transport.pool import Pool
from engine.transport.session import Session
from tests.engine.transport.wire import Running, SecureUpstream, until


def pytest_asyncio_loop_factories(config, item):  # noqa: ARG001 - the hook's own arguments
    """Run on the loop of the product and on the standard one."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture(autouse=True)
async def faults():
    """Fail a test whose callbacks raised into the event loop, where nobody would see it."""
    seen = []

    def keep(_, context):
        # Python 3.11's streams report the cancelled task of a server that stops.
        if not isinstance(context.get("exception"), asyncio.CancelledError):
            seen.append(context)

    asyncio.get_running_loop().set_exception_handler(keep)
    yield seen
    assert seen == []


@pytest.fixture
async def starts():
    """Run transports: `starts(Pool({}))`; each must end with nothing open and nothing remembered."""
    async with contextlib.AsyncExitStack() as stack:
        running = []

        async def start(http):
            running.append(await stack.enter_async_context(Running(http)))
            return http

        yield start
    for one in running:
        await until(lambda one=one: one.http.connections == 0)
        if isinstance(one.http, Pool):
            one.http.tick(asyncio.get_running_loop().time())
            assert not one.http._active


@pytest.fixture
async def pool(starts):
    """Return the own transport, running."""
    return await starts(Pool({}))


@pytest.fixture(params=[lambda: Pool({}), Session], ids=["own", "aiohttp"])
async def http(request, starts):
    """Return each transport, running."""
    return await starts(request.param())


@pytest.fixture
async def listens():
    """Make a listener of streams: given a callback it returns the port; all is cut at the end."""
    servers, writers = [], []

    async def listen(callback, host="127.0.0.1", **options):
        async def serve(reader, writer):
            writers.append(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await callback(reader, writer)

        servers.append(await asyncio.start_server(serve, host, 0, **options))
        return servers[-1].sockets[0].getsockname()[1]

    yield listen
    for server in servers:
        server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Make a self-signed certificate for `localhost` and `upstream.test`; returns the paths of it and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:upstream.test",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
async def secure(certificate):
    """Serve scripted bytes over TLS."""
    server = SecureUpstream(certificate)
    await server.start()
    yield server
    await server.stop()
