"""TLS with a certificate of our own: trusted, not trusted, for another name."""

import asyncio

import pytest

from engine.errors import UpstreamError
from engine.transport.pool import Pool
from engine.transport.session import Session
from tests.engine.transport.wire import CLOSED_WITHIN, OK, Hanging, answers, ask, greet, request, take, until


@pytest.fixture(params=[lambda: Pool({}), Session], ids=["own", "aiohttp"])
async def trusting(request, starts, certificate, monkeypatch):
    """Return each transport, started where `SSL_CERT_FILE` names our certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    return await starts(request.param())


async def test_a_certificate_that_nobody_signed_is_refused_before_a_byte_goes_out(http, secure):
    with pytest.raises(UpstreamError, match=r"localhost:\d+`: self.signed certificate") as error:
        await http.send(request(secure.port, scheme="https", host="localhost"))
    assert (error.value.status, error.value.sent) == (502, False)
    assert not secure.requests
    await until(lambda: http.connections == 0)


async def test_a_certificate_for_another_name_is_refused(trusting, secure):
    with pytest.raises(UpstreamError, match=r"`127.0.0.1:\d+`: .*(mismatch|not valid for)") as error:
        await trusting.send(request(secure.port, scheme="https"))
    assert (error.value.status, error.value.sent) == (502, False)
    assert not secure.requests


async def test_an_upstream_that_speaks_no_tls_is_refused_in_words(pool, listens):
    port = await listens(greet)
    with pytest.raises(UpstreamError, match=r"no TLS with `127\.0\.0\.1:") as error:
        await pool.send(request(port, scheme="https"))
    assert (error.value.status, error.value.sent) == (502, False)


async def test_a_trusted_certificate_works_and_only_http_1_is_offered(trusting, secure):
    secure.handler = answers(OK)
    for _ in range(3):
        assert (
            await ask(trusting, request(secure.port, b"x" * 200_000, scheme="https", host="localhost"))
        ).body == b"ok"
    assert (secure.connections, secure.spoken) == (1, ["http/1.1"])


async def test_two_megabytes_over_tls_with_a_reader_that_is_often_full(trusting, secure):
    body = bytes(range(256)) * 8192
    secure.handler = answers(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    answer = await trusting.send(request(secure.port, scheme="https", host="localhost"))
    got = []
    await answer.pump(lambda data: got.append(data) or False, lambda: asyncio.sleep(0.001))
    answer.close()
    assert b"".join(got) == body


@pytest.mark.parametrize(
    "framing", [b"transfer-encoding: chunked\r\n\r\n5\r\nhel", b"\r\nhel"], ids=["chunked", "close"]
)
async def test_an_upstream_that_ends_over_tls(trusting, secure, framing):
    secure.handler = answers(b"HTTP/1.1 200 OK\r\n" + framing, close=True)
    answer = await trusting.send(request(secure.port, scheme="https", host="localhost"))
    if framing.startswith(b"\r\n"):
        assert (await take(answer)).body == b"hel"
    else:
        with pytest.raises(UpstreamError):
            await take(answer)
    await until(lambda: trusting.connections == 0)


async def test_an_idle_tls_connection_that_the_upstream_leaves_is_not_reused(trusting, secure):
    secure.handler = answers(OK)
    for count in (1, 2):
        await ask(trusting, request(secure.port, scheme="https", host="localhost"))
        assert secure.connections == count
        secure.requests[-1].close()
        await asyncio.sleep(0.03)


async def test_cancelling_ends_a_tls_connection_at_once(trusting, secure):
    secure.handler = hanging = Hanging()
    task = asyncio.create_task(trusting.send(request(secure.port, scheme="https", host="localhost")))
    await hanging.reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(hanging.ended.wait(), CLOSED_WITHIN)
