"""Forward proxies: the tunnel, its credentials, its refusals, and who goes without."""

import asyncio

import pytest

from engine.errors import UpstreamError
from engine.transport.pool import Pool
from engine.transport.session import Session
from tests.engine.transport.wire import CLOSED_WITHIN, OK, answers, ask, request, serve_once, until


class Forward:
    """A forward proxy that speaks CONNECT and maps every name to loopback; `heads` is what it was asked."""

    def __init__(self, refusal=b""):
        self.refusal = refusal
        self.heads = []

    async def __call__(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self.refusal:
            writer.write(self.refusal)
            writer.close()
            return
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection Established\r\nvia: test\r\n\r\n")
        await asyncio.gather(carry(reader, up_writer), carry(up_reader, writer))


async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


def through(port, **more):
    """Return the environment of a proxy with credentials."""
    return {"https_proxy": f"http://us%40er:p%3Ass@127.0.0.1:{port}", **more}


MAKES = pytest.mark.parametrize("make", [Pool, Session], ids=["own", "aiohttp"])


@MAKES
async def test_a_proxy_is_asked_for_a_tunnel_with_its_credentials(
    starts, listens, secure, certificate, monkeypatch, make
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    proxy = Forward()
    http = await starts(make(through(await listens(proxy))))
    secure.handler = answers(OK)
    sent = request(secure.port, b"x" * 100_000, scheme="https", host="upstream.test")
    for _ in range(2):
        assert (await ask(http, sent)).body == b"ok"
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT upstream.test:%d HTTP/1.1\r\n" % secure.port)
    assert make is Session or b"\r\nhost: upstream.test:%d\r\n" % secure.port in head
    assert head.lower().count(b"proxy-authorization: basic ") == 1
    assert b"dXNAZXI6cDpzcw==" in head
    assert secure.requests[0].header("proxy-authorization") is None


@MAKES
@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.0 403 No\r\n\r\n"])
async def test_a_proxy_that_refuses_is_named_as_the_reason(starts, listens, secure, make, answer):
    http = await starts(make(through(await listens(Forward(answer)))))
    with pytest.raises(UpstreamError, match=rf"the proxy refused the tunnel \({answer[9:12].decode()}\)") as error:
        await http.send(request(secure.port, scheme="https", host="upstream.test"))
    assert (error.value.status, error.value.sent) == (502, False)
    assert not secure.requests
    await until(lambda: http.connections == 0)


@pytest.mark.parametrize("answer", [b"\n", b"HTTP/1.1 200", b"x" * 20_000], ids=["empty", "half", "endless"])
async def test_a_proxy_that_talks_nonsense_is_a_502(starts, listens, answer):
    pool = await starts(Pool(through(await listens(Forward(answer)))))
    with pytest.raises(UpstreamError) as error:
        await asyncio.wait_for(pool.send(request(1, scheme="https", host="upstream.test")), 2)
    assert (error.value.status, error.value.sent) == (502, False)


async def test_a_proxy_that_is_silent_counts_as_connecting_and_sees_a_cancelled_call_go(starts, listens):
    async def silent(reader, _):
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await reader.read()
        ended.set()

    reached, ended = asyncio.Event(), asyncio.Event()
    pool = await starts(Pool(through(await listens(silent))))
    with pytest.raises(UpstreamError, match=r"could not connect to `upstream\.test:1`") as error:
        await pool.send(request(1, scheme="https", host="upstream.test", connect=0.2))
    assert (error.value.status, error.value.sent) == (504, False)
    await asyncio.wait_for(ended.wait(), CLOSED_WITHIN)
    reached.clear(), ended.clear()
    task = asyncio.create_task(pool.send(request(1, scheme="https", host="upstream.test")))
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(ended.wait(), CLOSED_WITHIN)


@MAKES
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_loopback_is_reached_without_the_proxy(starts, listens, make, host):
    proxy = Forward(b"HTTP/1.1 403 No\r\n\r\n")
    port = await listens(proxy)
    http = await starts(make({"http_proxy": f"127.0.0.1:{port}", **through(port)}))
    assert (await ask(http, request(await listens(serve_once, host), host=host))).body == b"ok"
    assert not proxy.heads


@pytest.mark.parametrize(
    ("listed", "through_proxy"),
    [("upstream.test", 0), (".test", 0), ("other.test, upstream.test", 0), ("*", 0), ("other.test", 1), ("", 1)],
)
async def test_no_proxy_lists_names_that_are_reached_directly(starts, listens, upstream, listed, through_proxy):
    proxy = Forward()
    pool = await starts(Pool({"HTTP_PROXY": f"http://127.0.0.1:{await listens(proxy)}", "NO_PROXY": listed}))
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo
    loop.getaddrinfo = lambda _, port, **more: real("127.0.0.1", port, **more)
    upstream.handler = answers(OK)
    assert (await ask(pool, request(upstream.port, host="upstream.test"))).body == b"ok"
    assert len(proxy.heads) == through_proxy


@MAKES
async def test_a_metadata_address_is_refused_behind_a_proxy_too(starts, listens, make):
    proxy = Forward()
    http = await starts(make(through(await listens(proxy))))
    with pytest.raises(UpstreamError, match="link-local or metadata"):
        await http.send(request(443, scheme="https", host="169.254.169.254"))
    assert not proxy.heads
