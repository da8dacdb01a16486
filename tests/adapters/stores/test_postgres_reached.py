"""How PostgreSQL is reached: by a password over TLS, and by nothing less where that is asked for."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from adapters.stores.postgres import Postgres
from engine.storing import Entity, Kind, StoreError
from tests.postgres import STARTING, sql

PASSWORD = "p@ss/w:rd#1?%é"


@pytest.fixture
def certificate(tmp_path):
    key, cert = tmp_path / "server.key", tmp_path / "server.crt"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(cert),
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert


class Tls:
    """Takes connections as a server does that takes none in clear, and passes on what is said to one that knows no TLS."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.taken = 0
        self._port = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, certificate.with_name("server.key"))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            # A length of eight, and the number that asks for TLS.
            if client.recv(8) != struct.pack("!ii", 8, 80877103):
                return
            client.sendall(b"S")
            with (
                self._context.wrap_socket(client, server_side=True) as safe,
                socket.create_connection(("127.0.0.1", self._port)) as server,
            ):
                self.taken += 1
                pass_on(safe, server)


def pass_on(one: ssl.SSLSocket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        ready = [one] if one.pending() else select.select([one, other], [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)


@pytest.fixture
def locked(postgres_alone, certificate):
    """Let `locked` in by a password, over TLS only; give what takes it in, and the URL behind its credentials."""
    rules = postgres_alone.folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all locked all scram-sha-256\n{rules.read_text()}")
    url = postgres_alone.database()
    quoted = PASSWORD.replace("'", "''")
    sql(url, f"CREATE ROLE locked SUPERUSER LOGIN PASSWORD '{quoted}'")
    sql(url, "SELECT pg_reload_conf()")
    deadline = time.monotonic() + STARTING
    with contextlib.suppress(asyncpg.InvalidPasswordError):
        while sql(url.replace("postgres@", "locked:wrong@"), "SELECT 1"):
            assert time.monotonic() < deadline
    tls = Tls(postgres_alone.port, certificate)
    yield tls, f"127.0.0.1:{tls.port}/{url.rpartition('/')[2]}"
    tls.close()


@pytest.mark.parametrize("mode", ["", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-full&sslrootcert={}", "?sslmode=verify-ca&sslrootcert={}"])  # fmt: skip
def test_a_password_over_tls(locked, certificate, mode):
    tls, where = locked
    store = Postgres({"url": f"postgresql://locked:{quote(PASSWORD, safe='')}@{where}{mode.format(certificate)}"})
    store.put(Entity(Kind.TEAM, "t"))
    assert tls.taken >= 1
    store.close()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("?sslmode=disable", "connection"),
        ("?sslmode=verify-full", "certificate verify failed|root certificate|sslrootcert"),
        ("?sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "no such file|/nowhere/ca.crt"),
    ],
)
def test_what_is_not_trusted_is_not_reached(locked, mode, why):
    with pytest.raises(StoreError, match=why) as caught:
        Postgres({"url": f"postgresql://locked:{quote(PASSWORD, safe='')}@{locked[1]}{mode}"})
    assert "w:rd" not in str(caught.value)


def test_a_wrong_password_is_said_without_it(locked):
    with pytest.raises(StoreError, match="password authentication failed for user") as caught:
        Postgres({"url": f"postgresql://locked:not-the-word@{locked[1]}"})
    assert "not-the-word" not in str(caught.value)


def test_a_server_without_tls_is_not_spoken_to_in_clear_where_tls_is_asked_for(postgres):
    with pytest.raises(StoreError, match="rejected SSL upgrade"):
        Postgres({"url": f"{postgres.database()}?sslmode=require"})
