"""How Redis is reached: passwords, databases, TLS, sentinels; and messages to other processes."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time

import hiredis
import pytest

from adapters.counters.redis import Redis
from adapters.counters.redis.link import command
from bench.ports import free_port
from engine.claims import UNLIMITED, too_large
from engine.contracts import Claim, HoldId
from tests.adapters.counters.counting import Turned, granted, usd
from tests.valkey import Valkey, before, binary, counting, ready, until

PROMISED = 10.0


async def works(counters, number=1):
    money = usd(100, f"money-{number}")
    counters.settle(await granted(counters, number, Claim(money, 10)), {money.id: 4})
    assert await counters.count(money) == (4, 0, None)


@pytest.fixture
def locked(tmp_path):
    users = tmp_path / "users.acl"
    users.write_text("user default on >only@this ~* &* +@all\nuser gateway on >pass:word/1 ~{interlock* &* +@all\n")
    server = Valkey(tmp_path / "locked", "--aclfile", str(users)).start()
    yield server
    server.stop()


@pytest.mark.parametrize(
    "how",
    [{"password": "only@this"}, {"username": "gateway", "password": "pass:word/1"}, {"db": 3, "password": "only@this"}],
)
async def test_passwords_and_databases(locked, how):
    async with counting(locked.settings(**how)) as counters:
        await works(counters)


async def test_a_url_says_it_all(locked):
    url = f"redis://gateway:pass%3Aword%2F1@127.0.0.1:{locked.port}/2"
    async with counting({"url": url, "namespace": "url"}) as counters:
        await works(counters)
        assert "pass" not in repr(counters)


async def test_a_wrong_password_is_said_and_never_shown(locked):
    async with counting(locked.settings(password="no-such-word"), wait=False) as counters:
        await until(lambda: "WRONGPASS" in counters.client.reason)
        assert "no-such-word" not in counters.client.reason + repr(counters) + repr(counters.client.server)


async def test_tls_with_a_certificate_of_an_own_authority(tmp_path, valkey):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(cert),
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    # What the proxy passes on is real; only the handshake is not Valkey's own.
    async with before(valkey, tls) as proxy:
        settings = {"url": f"rediss://localhost:{proxy.port}", "namespace": "tls"}
        async with counting({**settings, "ssl_ca_certs": str(cert)}) as counters:
            await works(counters)
        async with counting({**settings, "ssl_cert_reqs": "none"}) as counters:
            await works(counters, 2)
        async with counting(settings, wait=False) as counters:
            await until(lambda: "certificate verify failed" in counters.client.reason)


class Sentinel:
    """A real sentinel over a master and a replica."""

    def __init__(self, directory, master):
        self.port = free_port()
        file = directory / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {directory}\nsentinel monitor ours 127.0.0.1 {master} 1\n"
            "sentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 3000\n"
        )
        self.process = subprocess.Popen([binary(), str(file), "--sentinel"], stdout=subprocess.DEVNULL)

    def says(self, *words):
        reader = hiredis.Reader(encoding="utf-8")
        with socket.create_connection(("127.0.0.1", self.port), 5) as link:
            link.sendall(command(*words))
            while (reply := reader.gets()) is False:
                reader.feed(link.recv(65_536))
        return repr(reply)

    def stop(self):
        self.process.kill()
        self.process.wait()


async def test_the_master_is_asked_for_and_followed(tmp_path):
    first = Valkey(tmp_path / "first", "--repl-diskless-sync-delay", "0").start()
    second = Valkey(tmp_path / "second", "--replicaof", f"127.0.0.1 {first.port}").start()
    sentinel = Sentinel(tmp_path, first.port)
    try:
        nobody = free_port()
        settings = {
            "sentinel_nodes": [["127.0.0.1", nobody], ["127.0.0.1", sentinel.port]], "service_name": "ours", "namespace": "s",
        }  # fmt: skip
        money = usd(100)
        async with counting(settings) as counters:
            counters.settle(await granted(counters, 1, Claim(money, 10)), {money.id: 4})
            assert (await counters.count(money)).used == 4
            async with counting({"host": "127.0.0.1", "port": second.port}, wait=False) as wrong:
                await until(lambda: "is a replica" in wrong.client.reason)
            await until(lambda: "'ok'" in sentinel.says("SENTINEL", "REPLICAS", "ours"), 60)
            first.kill()
            await until(lambda: not counters.client.ready)
            await ready(counters, 60)
            assert (await counters.count(money)).used == 4
    finally:
        for one in (sentinel, first, second):
            one.stop()


async def test_messages_reach_the_others_and_what_was_missed_is_said(own_valkey):
    heard, lost = [], []
    settings = own_valkey.settings()
    async with counting(settings) as one, counting(settings) as other, counting(own_valkey.settings()) as stranger:
        other.subscribe("keys", heard.append, lambda: lost.append("keys"))
        stranger.subscribe("keys", lambda _: heard.append(b"stranger"), lambda: None)
        other.subscribe("teams", heard.append, lambda: lost.append("teams"))
        await until(lambda: lost == ["keys", "teams"])
        one.publish("keys", b"\x00first\r\n")
        one.publish("teams", b"second")
        one.publish("nobody", b"third")
        await until(lambda: heard == [b"\x00first\r\n", b"second"])
        lost.clear()
        own_valkey.restart()
        await until(lambda: sorted(lost) == ["keys", "teams"])
        await ready(one)
        one.publish("keys", b"again")
        await until(lambda: heard[2:] == [b"again"])
        # Of a message that could not be sent those hear who heard nothing of it.
        lost.clear()
        one.client.link.close("for once")
        one.publish("keys", b"dropped")
        await until(lambda: lost == ["keys"])
        assert heard[2:] == [b"again"]


def test_limits_that_scripts_cannot_count_to_are_too_large():
    assert "where processes share" in too_large(usd(9 * 10**15 + 1))
    assert not too_large(usd(9 * 10**15))
    assert not too_large(usd(UNLIMITED))


async def test_the_greatest_limit_is_exact(valkey):
    money = usd(9 * 10**15)
    async with counting(valkey.settings()) as counters:
        counters.settle(await granted(counters, 1, Claim(money, 9 * 10**15 - 1)), {})
        await granted(counters, 2, Claim(money, 1))
        answer = await counters.reserve(HoldId("call-3", 0), [Claim(money, 1)], ())
        assert answer[1:] == (9 * 10**15 - 1, 1, None)


async def test_what_is_looked_at_is_a_second_old_at_most(valkey):
    settings, money = valkey.settings(), usd(100)
    async with counting(settings) as one, counting(settings) as other:
        assert not other.knows(money)
        assert other.view(money) == (0, 0, None)
        hold = await granted(one, 1, Claim(money, 10))
        assert one.view(money) == (0, 10, None)
        start = time.monotonic()
        await until(lambda: other.view(money) == (0, 10, None))
        one.settle(hold, {money.id: 7})
        assert one.view(money) == (7, 0, None)
        await until(lambda: other.view(money) == (7, 0, None))
        assert time.monotonic() - start < PROMISED * 2
        assert other.knows(money)


async def test_thousands_are_looked_at(valkey):
    settings, every = valkey.settings(), [usd(100, f"money-{one}") for one in range(1_700)]
    async with counting(settings) as one, counting(settings) as other:
        for counter in every:
            other.view(counter)
        for at in range(0, len(every), 50):
            await granted(one, at, *(Claim(counter, 3) for counter in every[at : at + 50]))
        await until(lambda: all(other.view(counter) == (0, 3, None) for counter in every))


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"url": "http://localhost"}, "`url`: must begin with `redis://`"), ({"url": "redis://h:99999"}, "`url`: the port"),
        ({"url": "redis://h/x"}, "`url`: what follows"), ({"sentinel_nodes": [["a", 1]]}, "`service_name`"),
        ({"ssl": True, "ssl_ca_certs": "/none"}, "`ssl_ca_certs`"),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_named(said, named):
    with pytest.raises(ValueError, match=named):
        Redis(Turned(), said)
