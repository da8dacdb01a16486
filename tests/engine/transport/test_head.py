"""The request goes out as composed; an answer's head has a size."""

import asyncio

import pytest

from engine.errors import UpstreamError
from tests.engine.transport.wire import OK, answers, ask, request, until

HEAD = b"Authorization: Bearer k\r\nx-b: 2\r\nx-a: 1\r\nx-b: caf\xe9\r\ncookie: a=b; c=d\r\n"


@pytest.mark.parametrize("size", [0, 2, 65_535, 65_536, 300_000])
async def test_our_request_is_the_bytes_that_were_composed_and_one_length(pool, upstream, size):
    upstream.handler = answers(OK)
    body = b"x" * size
    await ask(pool, request(upstream.port, body, head=HEAD))
    (exchange,) = upstream.requests
    assert exchange.head == b"POST /v1/x HTTP/1.1\r\nhost: upstream\r\n" + HEAD + b"content-length: %d\r\n\r\n" % size
    assert exchange.body == body


@pytest.mark.parametrize("size", [0, 2, 300_000])
async def test_aiohttps_request_has_the_same_lines_and_no_other(http, upstream, size):
    upstream.handler = answers(OK)
    await ask(http, request(upstream.port, b"x" * size, head=HEAD))
    (exchange,) = upstream.requests
    line, *headers = exchange.head.rstrip(b"\r\n").split(b"\r\n")
    assert line == b"POST /v1/x HTTP/1.1"
    expected = [
        *HEAD.replace(b"caf\xe9", b"cafe").rstrip().split(b"\r\n"),
        b"host: upstream",
        b"content-length: %d" % size,
    ]
    found = [h.replace("é".encode(), b"e").replace(b"\xe9", b"e") for h in headers]
    assert sorted(lower_name(h) for h in found) == sorted(lower_name(h) for h in expected)


def lower_name(header):
    name, _, value = header.partition(b": ")
    return name.lower(), value


async def test_the_target_goes_out_as_it_is(http, upstream):
    upstream.handler = answers(OK)
    sent = request(upstream.port)
    sent.target = b"/v1/a%2Fb/%7Ec?x=%20y&z=a+b&e=%C3%A9"
    await ask(http, sent)
    assert upstream.requests[0].line == f"POST {sent.target.decode()} HTTP/1.1"


async def test_cookies_of_one_answer_do_not_go_with_the_next_request(http, upstream):
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\nset-cookie: tenant=1; path=/\r\ncontent-length: 2\r\n\r\nok")
    for _ in range(2):
        await ask(http, request(upstream.port, host="localhost"))
    assert upstream.requests[1].header("cookie") is None


async def test_credentials_in_a_netrc_do_not_go_with_a_request(http, upstream, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine localhost login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    upstream.handler = answers(OK)
    await ask(http, request(upstream.port, host="localhost"))
    await ask(http, request(upstream.port, host="localhost", head=b"authorization: Bearer k\r\n"))
    assert [e.header("authorization") for e in upstream.requests] == [None, "Bearer k"]


@pytest.mark.parametrize(
    "head",
    [b"x-a: " + b"a" * 70_000 + b"\r\n", b"".join(b"x-%d: %b\r\n" % (i, b"a" * 1000) for i in range(100))],
    ids=["one", "many"],
)
async def test_a_header_section_over_64_kib_is_a_502(pool, upstream, head):
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\n" + head + b"content-length: 2\r\n\r\nok")
    with pytest.raises(UpstreamError) as error:
        await ask(pool, request(upstream.port))
    assert error.value.status == 502
    await until(lambda: pool.connections == 0)


async def test_a_header_of_60_kib_is_taken(http, upstream):
    upstream.handler = answers(b"HTTP/1.1 200 OK\r\nx-a: %b\r\ncontent-length: 2\r\n\r\nok" % (b"a" * 60_000))
    assert dict((await ask(http, request(upstream.port))).headers)[b"x-a"] == b"a" * 60_000


ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header name": (b"HTTP/1.1 200 OK\r\n", b"x"),
    "header value": (b"HTTP/1.1 200 OK\r\nx-a: ", b"a"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x-a: a\r\n"),
    "informational answers": (b"", b"HTTP/1.1 103 Hint\r\nlink: x\r\n\r\n"),
    "chunk extension": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a"),
    "trailer": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-a: ", b"a"),
    "trailers": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"x-a: a\r\n"),
    "empty lines": (b"", b"\r\n"),
}


@pytest.mark.parametrize("case", ENDLESS)
async def test_what_never_ends_and_brings_nothing_is_a_502_before_it_fills_memory(pool, upstream, case):
    start, again = ENDLESS[case]
    written = 0

    async def forever(exchange):
        nonlocal written
        await exchange.send(start)
        while True:
            block = again * (16_384 // len(again))
            await exchange.send(block)
            written += len(block)
            await asyncio.sleep(0)

    upstream.handler = forever
    with pytest.raises(UpstreamError) as error:
        async with asyncio.timeout(3):
            await ask(pool, request(upstream.port))
    assert error.value.status == 502
    await until(lambda: pool.connections == 0)
    assert written < 16 << 20
