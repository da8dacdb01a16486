"""What is asked before the first byte of a request leaves: a no lets none leave, and is what the caller is told."""

import pytest

from engine.errors import InternalError
from engine.transport.pool import Pool
from engine.transport.tunnel import offer
from tests.engine.transport.wire import OK, answers, ask, request


def refuses(sent, asked):
    """Let a request ask, and be refused."""

    def begun():
        asked.append(1)
        return InternalError(503, "journal_unavailable", "not written")

    sent.begun = begun
    return sent


@pytest.mark.parametrize("size", [2, 20_000, 200_000], ids=["small", "sent at once", "in pieces"])
async def test_nothing_leaves_where_the_answer_is_no(http, upstream, size):
    upstream.handler = answers(OK)
    asked = []
    for _ in range(3):
        with pytest.raises(InternalError, match="not written"):
            await ask(http, refuses(request(upstream.port, b"x" * size), asked))
    assert (len(asked), upstream.requests) == (3, [])
    sent = request(upstream.port, b"x" * size)
    sent.begun = lambda: None
    assert (await ask(http, sent)).body == b"ok"
    assert len(upstream.requests) == 1


async def test_a_request_beside_one_that_is_refused_goes_out(pool, upstream):
    upstream.handler = answers(OK)
    assert (await ask(pool, request(upstream.port))).body == b"ok"
    with pytest.raises(InternalError):
        await ask(pool, refuses(request(upstream.port), []))
    assert (await ask(pool, request(upstream.port))).body == b"ok"
    assert len(upstream.requests) == 2


async def test_an_offer_of_another_protocol_asks_too(upstream):
    asked = []
    with pytest.raises(InternalError):
        await offer(Pool({})._dialer, refuses(request(upstream.port), asked))
    assert (asked, upstream.requests) == ([1], [])
