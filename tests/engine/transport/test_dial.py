"""Names and addresses: which are connected to, which are refused, and how it is said."""

import asyncio
import socket

import pytest

from engine.contracts import Origin
from engine.errors import UpstreamError
from tests.engine.transport.wire import OK, answers, ask, attempt, request, serve_once

FORBIDDEN = [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%lo", "fd00:ec2::254", "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe", "100.100.100.200", "168.63.129.16", "0xa9fea9fe",
]  # fmt: skip


@pytest.fixture
def names(monkeypatch):
    """Make names resolve: `names({"upstream.test": ["127.0.0.1"]})`; returns what was asked."""

    def resolve(table):
        loop = asyncio.get_running_loop()
        real, asked = loop.getaddrinfo, []

        async def getaddrinfo(host, port, **options):
            asked.append(host)
            found = []
            for address in table.get(host, [host]):
                found += await real(address, port, **options)
            return found

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        return asked

    return resolve


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_link_local_and_metadata_addresses_are_refused(http, address):
    with pytest.raises(
        UpstreamError, match="is a link-local or metadata address; set `allow_link_local: true`"
    ) as error:
        await asyncio.wait_for(http.send(request(80, host=address)), 1)
    assert (error.value.status, error.value.sent) == (502, False)
    assert http.connections == 0


@pytest.mark.parametrize("address", ["2852039166", "169.254.43518", "0251.0376.0251.0376"])
async def test_other_spellings_of_them_are_refused(http, address):
    assert await asyncio.wait_for(attempt(http, request(80, host=address)), 1) == (502, False)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254"])
@pytest.mark.parametrize("first", [True, False])
async def test_a_name_that_resolves_to_one_is_refused_even_beside_a_good_address(pool, upstream, names, address, first):
    found = [address, "127.0.0.1"] if first else ["127.0.0.1", address]
    names({"upstream.test": found})
    with pytest.raises(UpstreamError, match=f"`{address}` is a link-local or metadata address"):
        await pool.send(request(upstream.port, host="upstream.test"))
    assert (upstream.connections, pool.connections) == (0, 0)


async def test_the_address_that_was_checked_is_the_one_connected_to(pool, upstream, names):
    asked = names({"upstream.test": ["127.0.0.1"]})
    upstream.handler = answers(OK)
    assert (await ask(pool, request(upstream.port, host="upstream.test"))).body == b"ok"
    assert asked.count("upstream.test") == 1


async def test_allow_link_local_permits_them(http):
    with pytest.raises(UpstreamError) as error:
        await asyncio.wait_for(http.send(request(9, host="fe80::1%lo", link_local=True, connect=0.5)), 2)
    assert "link-local or metadata" not in error.value.message
    assert error.value.sent is False


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".test", "", "a..b"])
async def test_a_name_that_does_not_resolve_is_unreachable(pool, names, host):
    loop = asyncio.get_running_loop()
    names({})
    if host.endswith(".invalid"):  # no question leaves this machine

        async def unknown(*_, **__):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        loop.getaddrinfo = unknown
    with pytest.raises(UpstreamError, match=f"cannot reach `{host}:1`") as error:
        await pool.send(request(1, host=host, connect=2))
    assert (error.value.status, error.value.sent) == (502, False)
    if host.endswith(".invalid"):
        assert error.value.message.endswith("name or service not known")
    assert pool.connections == 0


async def test_the_next_address_is_tried_when_the_first_does_not_answer(pool, upstream, names):
    names({"upstream.test": ["127.0.0.2", "127.0.0.1"]})
    upstream.handler = answers(OK)
    assert (await ask(pool, request(upstream.port, host="upstream.test"))).body == b"ok"


@pytest.mark.parametrize("host", ["::1", "localhost"])
async def test_localhost_and_ipv6_are_dialed(http, listens, host):
    assert (await ask(http, request(await listens(serve_once, host), host=host))).body == b"ok"


def test_an_origin_with_another_guard_is_another_origin():
    assert Origin("http", "a", 1) != Origin("http", "a", 1, allow_link_local=True)
