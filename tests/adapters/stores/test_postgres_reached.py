"""How PostgreSQL is reached: by a password over TLS, and by nothing less where that is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from urllib.parse import quote

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


@pytest.fixture
def locked(postgres_alone, certificate):
    """Let `locked` in by a password over TLS only; return the URL behind its credentials."""
    data = postgres_alone.folder / "data"
    for name in ("server.key", "server.crt"):
        shutil.copy(certificate.with_name(name), data / name)
        (data / name).chmod(0o600)
        os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
    rules = data / "pg_hba.conf"
    rules.write_text(f"hostssl all locked all scram-sha-256\nhost all locked all reject\n{rules.read_text()}")
    url = postgres_alone.database()
    quoted = PASSWORD.replace("'", "''")
    sql(url, f"CREATE ROLE locked SUPERUSER LOGIN PASSWORD '{quoted}'")
    sql(url, "ALTER SYSTEM SET ssl = on")
    sql(url, "SELECT pg_reload_conf()")
    deadline = time.monotonic() + STARTING
    while sql(url, "SHOW ssl") != [("on",)]:
        assert time.monotonic() < deadline
    return url.partition("@")[2]


@pytest.mark.parametrize("mode", ["", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-full&sslrootcert={}", "?sslmode=verify-ca&sslrootcert={}"])  # fmt: skip
def test_a_password_over_tls(locked, certificate, mode):
    store = Postgres({"url": f"postgresql://locked:{quote(PASSWORD, safe='')}@{locked}{mode.format(certificate)}"})
    store.put(Entity(Kind.TEAM, "t"))

    async def encrypted(connection):
        return await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    assert store._connections.run(encrypted) is True
    store.close()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("?sslmode=disable", "no encryption|rejects connection"),
        ("?sslmode=verify-full", "certificate verify failed|root certificate|sslrootcert"),
        ("?sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "no such file|/nowhere/ca.crt"),
    ],
)
def test_what_is_not_trusted_is_not_reached(locked, mode, why):
    with pytest.raises(StoreError, match=why) as caught:
        Postgres({"url": f"postgresql://locked:{quote(PASSWORD, safe='')}@{locked}{mode}"})
    assert "w:rd" not in str(caught.value)


def test_a_wrong_password_is_said_without_it(locked):
    with pytest.raises(StoreError, match="password authentication failed for user") as caught:
        Postgres({"url": f"postgresql://locked:not-the-word@{locked}"})
    assert "not-the-word" not in str(caught.value)


def test_a_server_without_tls_is_not_spoken_to_in_clear_where_tls_is_asked_for(postgres):
    with pytest.raises(StoreError, match="rejected SSL upgrade"):
        Postgres({"url": f"{postgres.database()}?sslmode=require"})
