"""Every framing of an answer arrives the same, whole or byte by byte, read or pumped, over both transports."""

import asyncio
import os

import pytest

from engine.errors import UpstreamError
from tests.engine.transport.wire import answers, ask, drips, request, take

LINES = b"HTTP/1.1 200 OK\r\n"
CHUNKED = LINES + b"transfer-encoding: chunked\r\n"

WHOLE = {
    "content-length": (LINES + b"content-length: 5\r\n\r\nhello", 200, b"hello"),
    "empty": (LINES + b"content-length: 0\r\n\r\n", 200, b""),
    "chunked": (CHUNKED + b"\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 200, b"hello!"),
    "chunked, nothing in it": (CHUNKED + b"\r\n0\r\n\r\n", 200, b""),
    "extensions": (CHUNKED + b'\r\n5;a=b;c="d"\r\nhello\r\n0;last\r\n\r\n', 200, b"hello"),
    "trailers": (CHUNKED + b"trailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n", 200, b"hello"),
    "upper-case hex": (CHUNKED + b"\r\nA\r\n0123456789\r\n00\r\n\r\n", 200, b"0123456789"),
    "204": (b"HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n", 204, b""),
    "204 with a length of zero": (b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204, b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", 304, b""),
    "no reason phrase": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "100 before": (b"HTTP/1.1 100 Continue\r\n\r\n" + LINES + b"content-length: 2\r\n\r\nok", 200, b"ok"),
    "100 and 103 before": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
        + CHUNKED
        + b"\r\n2\r\nok\r\n0\r\n\r\n",
        200,
        b"ok",
    ),
    "an error": (b"HTTP/1.1 429 Slow Down\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nwait", 429, b"wait"),
    "a redirect is an answer": (b"HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n", 302, b""),
}
UNTIL_CLOSE = {
    "close-delimited": (LINES + b"\r\nhello", 200, b"hello"),
    "close-delimited, nothing in it": (LINES + b"connection: close\r\n\r\n", 200, b""),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nx-a: b\r\n\r\nhello", 200, b"hello"),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello"),
    "connection: close with a length": (LINES + b"connection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
}
BIG = os.urandom(1 << 20) * 2


@pytest.mark.parametrize("by", ["pump", "read"])
@pytest.mark.parametrize("case", [*WHOLE, *UNTIL_CLOSE])
async def test_an_answer_is_the_same_whole_and_byte_by_byte(http, upstream, case, by):
    data, status, body = (WHOLE | UNTIL_CLOSE)[case]
    close = case in UNTIL_CLOSE
    upstream.handler = answers(data, close=close)
    whole = await ask(http, request(upstream.port), by)
    assert (whole.status, whole.body) == (status, body)
    upstream.handler = drips([data[i : i + 1] for i in range(len(data))], close=close)
    assert await ask(http, request(upstream.port), by) == whole


async def test_headers_keep_their_order_and_repetitions_in_lower_case(http, upstream):
    head = b"HTTP/1.1 200 OK\r\nX-B: 2\r\nSet-Cookie: a=1\r\nx-a:  spaced \r\nset-cookie: b=2\r\nX-Empty:\r\n"
    upstream.handler = answers(head + b"Content-Length: 0\r\n\r\n")
    assert (await ask(http, request(upstream.port))).headers == [
        (b"x-b", b"2"), (b"set-cookie", b"a=1"), (b"x-a", b"spaced"), (b"set-cookie", b"b=2"), (b"x-empty", b""),
        (b"content-length", b"0"),
    ]  # fmt: skip


async def test_headers_of_informational_answers_and_trailers_are_no_headers_of_the_answer(http, upstream):
    upstream.handler = answers(
        b"HTTP/1.1 103 Early Hints\r\nx-early: 1\r\n\r\n" + CHUNKED + b"\r\n2\r\nok\r\n0\r\nx-late: 1\r\n\r\n"
    )
    assert (await ask(http, request(upstream.port))).headers == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("by", ["pump", "read"])
@pytest.mark.parametrize("framing", ["content-length", "chunked", "close"])
async def test_two_megabytes_arrive_unchanged(http, upstream, framing, by):
    if framing == "chunked":
        chunks = [BIG[i : i + 70_001] for i in range(0, len(BIG), 70_001)]
        data = CHUNKED + b"\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    elif framing == "close":
        data = LINES + b"\r\n" + BIG
    else:
        data = LINES + b"content-length: %d\r\n\r\n" % len(BIG) + BIG
    upstream.handler = answers(data, close=framing == "close")
    assert (await ask(http, request(upstream.port), by)).body == BIG


async def test_what_exceeds_the_limit_of_read_is_still_pumped_whole(http, upstream):
    upstream.handler = answers(LINES + b"content-length: %d\r\n\r\n" % len(BIG) + BIG)
    for limit in (0, 10_000, 1 << 20, len(BIG) - 1):
        answer = await http.send(request(upstream.port))
        assert await answer.read(limit) is None
        assert (await take(answer)).body == BIG


async def test_read_takes_a_body_of_exactly_its_limit(http, upstream):
    upstream.handler = answers(LINES + b"content-length: 5\r\n\r\nhello")
    for limit, expected in ((5, b"hello"), (4, None), (6, b"hello")):
        answer = await http.send(request(upstream.port))
        assert await answer.read(limit) == expected
        answer.close()


@pytest.mark.parametrize(
    "early",
    [
        b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nearly",
        b"HTTP/1.1 103 Early Hints\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n",
    ],
)
async def test_a_body_of_an_informational_answer_never_gets_into_the_answer(pool, upstream, early):
    upstream.handler = answers(early + LINES + b"content-length: 2\r\n\r\nok")
    with pytest.raises(UpstreamError) as error:
        await ask(pool, request(upstream.port))
    assert error.value.status == 502


@pytest.mark.parametrize("rest", [b"", b"hello"])
async def test_a_204_has_no_body_whatever_its_length_says(pool, upstream, rest):
    upstream.handler = answers(b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n" + rest)
    async with asyncio.timeout(2):
        assert (await ask(pool, request(upstream.port))).body == b""
        assert (await ask(pool, request(upstream.port))).status == 204
    assert upstream.connections == 2


@pytest.mark.parametrize(
    "tail",
    [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond", b"garbage", b"HTTP/1.1 500", b"\0"],
    ids=["answer", "garbage", "part of an answer", "nul"],
)
@pytest.mark.parametrize("framing", ["length", "chunked", "last"])
async def test_what_follows_an_answer_in_the_same_segment_is_not_part_of_it(pool, upstream, framing, tail):
    first = {
        "length": LINES + b"content-length: 5\r\n\r\nfirst",
        "chunked": CHUNKED + b"\r\n5\r\nfirst\r\n0\r\n\r\n",
        "last": LINES + b"connection: close\r\ncontent-length: 5\r\n\r\nfirst",
    }[framing]
    upstream.handler = answers(first + tail)
    async with asyncio.timeout(2):
        for _ in range(2):
            assert (await ask(pool, request(upstream.port))).body == b"first"
    assert upstream.connections == 2
