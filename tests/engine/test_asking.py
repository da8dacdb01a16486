"""How a service is asked, apart from any service: a few at once, nothing left behind, nothing quoted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.asking import AT_ONCE, LARGEST, Service, each, pieces, together
from engine.detecting import DetectorError, Finding
from engine.outbound import address
from engine.transport.pool import Pool


class Crowd:
    """Answers after a moment and knows how many were asked at once."""

    def __init__(self, failing=()):
        self.failing = failing
        self.now = self.most = self.done = 0

    async def __call__(self, text):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001 if text in self.failing else 0.01)
        self.now -= 1
        if text in self.failing:
            raise DetectorError("no")
        self.done += 1
        return Finding(refused=text)


async def test_a_few_are_asked_at_once_and_blank_texts_not_at_all():
    crowd = Crowd()
    texts = [f"{place}" if place % 3 else " " for place in range(50)]
    assert [finding.refused for finding in await each(crowd, texts)] == [text.strip() for text in texts]
    assert (crowd.most, crowd.done) == (AT_ONCE, 33)


async def test_where_one_fails_none_goes_on_behind_the_back_of_who_asked():
    crowd = Crowd(failing={"1"})
    with pytest.raises(DetectorError, match="no"):
        await each(crowd, [f"{place}" for place in range(20)])
    assert (crowd.now, crowd.done) == (0, AT_ONCE - 1)


async def test_who_stops_waiting_stops_all():
    crowd = Crowd()
    asking = asyncio.create_task(each(crowd, ["a", "b", "c"]))
    await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.03)
    assert crowd.done == 0


async def test_texts_together_come_back_at_their_places():
    asked = []

    async def ask(texts):
        asked.append(texts)
        return [Finding(refused=text) for text in texts]

    assert [finding.refused for finding in await together(ask, ["a", "", "b", "\n"])] == ["a", "", "b", ""]
    assert await together(ask, ["", " "]) == [Finding()] * 2
    assert asked == [["a", "b"]]


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 17, 18, 19, 100])
def test_pieces_are_the_text_and_every_seam_is_seen_twice(length):
    text = "".join(chr(0x100 + place) for place in range(length))
    found = pieces(text, 10, 2)
    assert found[0] + "".join(piece[2:] for piece in found[1:]) == text
    assert all(len(piece) <= 10 for piece in found)
    # Whatever is no longer than the overlap and one character more lies whole in some piece.
    for start in range(max(0, length - 2)):
        assert any(text[start : start + 3] in piece for piece in found)


@pytest.mark.parametrize("headers", [{"x": "a\r\nb: c"}, {"x": "ü"}, {"x:": "a"}, {"x y": "a"}, {"x\n": "a"}])
def test_headers_that_would_break_the_request_are_refused(headers):
    with pytest.raises(ValueError, match="holds characters that no header can") as error:
        Service("s", Pool({}), address("http://host"), dict[str, Any], headers)
    assert "b: c" not in str(error.value)


async def test_an_answer_of_the_most_bytes_is_read_and_one_more_is_not(upstream):
    pool = Pool({})
    service = Service("s", pool, address(f"http://127.0.0.1:{upstream.port}/x?a=b"), str, {})
    for size in (LARGEST, LARGEST + 1):
        body = b'"' + b"x" * (size - 2) + b'"'
        upstream.handler = lambda exchange, body=body: exchange.send(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        if size == LARGEST:
            assert len(await service.ask({})) == size - 2
            assert upstream.requests[-1].line == "POST /x?a=b HTTP/1.1"
        else:
            with pytest.raises(DetectorError, match=f"`s` answered more than {LARGEST} bytes"):
                await service.ask({})
    await pool.close()


async def test_an_exchange_that_ended_badly_frees_its_connection(upstream):
    pool = Pool({}, per_origin=1)
    service = Service("s", pool, address(f"http://127.0.0.1:{upstream.port}"), str, {})
    refused = b"HTTP/1.1 500 Status\r\ncontent-length: 99999\r\n\r\nbegun"
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + b" " * (LARGEST + 1)
    for answer in (refused, endless) * 3:
        upstream.handler = lambda exchange, answer=answer: exchange.send(answer)
        with pytest.raises(DetectorError, match="`s` answered"):
            await asyncio.wait_for(service.ask({}), 5)
    upstream.handler = lambda exchange: exchange.json("fine")
    assert await asyncio.wait_for(service.ask({}), 5) == "fine"
    assert pool.connections == 1
    await pool.close()


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://[fe80::1]/"])
async def test_addresses_of_the_link_are_not_reached(url):
    pool = Pool({})
    with pytest.raises(DetectorError, match="`s` could not be asked: ") as error:
        await asyncio.wait_for(Service("s", pool, address(url), str, {}).ask({}), 5)
    assert "allowLinkLocal" in str(error.value) or "link-local" in str(error.value)
    await pool.close()
