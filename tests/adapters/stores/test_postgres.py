"""The store `postgres`: where it is, how it comes to its schema, and what it says of what is wrong."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adapters.stores.postgres import Postgres, changes
from adapters.stores.postgres.address import Address
from adapters.stores.postgres.connections import Connections, Limits
from adapters.stores.postgres.migrate import Migration, migrate, migrations
from engine.storing import Amount, Batch, Entity, Kind, LogFilter, Scope, StoreError
from tests.adapters.stores.folding import position_of, rows_of
from tests.postgres import sql

ROOT = Path(__file__).resolve().parents[3]
EVERY = list(range(1, len(migrations()) + 1))
SECRET = "p%40ss-nobody-may-read"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'interlock' ORDER BY tablename"


def numbers(url: str) -> list[int]:
    return [row[0] for row in sql(url, "SELECT number FROM interlock.schema_version ORDER BY number")]


def prepare(url: str, steps: list[Migration]) -> None:
    connections = Connections(Address(url), Limits())
    try:
        migrate(connections, steps)
    finally:
        connections.close()


@pytest.mark.parametrize("old", range(len(EVERY) + 1))
def test_processes_that_open_a_store_together_migrate_it_once(postgres, tmp_path, old):
    url = postgres.database()
    prepare(url, list(migrations()[:old]))
    command = [sys.executable, "-m", "tests.adapters.stores.sharing", "open_together", url, str(tmp_path / "go")]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 2
    assert numbers(url) == EVERY
    assert len(sql(url, "SELECT identity FROM interlock.store")) == 1


@pytest.mark.parametrize("wrong", ["SELECT 1 / 0", "ALTER TABLE nowhere ADD COLUMN x INTEGER", "SELEKT 1"])
def test_a_migration_that_fails_leaves_the_data_and_refuses_to_start(postgres, wrong):
    url = postgres.database()
    store = Postgres({"url": url})
    store.fold(Batch(position_of(0), rows_of(0, 5)))
    store.close()
    before = sql(url, TABLES), sql(url, "SELECT * FROM interlock.spend_logs ORDER BY number")
    half = f"CREATE TABLE half (id INTEGER); {wrong}"
    steps = [*migrations(), Migration("next", f"TRUNCATE spend_logs; {half}")]
    last = EVERY[-1] + 1
    with pytest.raises(StoreError, match=rf"migration {last} \(next\) failed, and changed nothing: "):
        prepare(url, steps)
    assert (sql(url, TABLES), sql(url, "SELECT * FROM interlock.spend_logs ORDER BY number")) == before
    assert numbers(url) == EVERY
    prepare(url, [*migrations(), Migration("next", "CREATE TABLE next (id INTEGER)")])
    assert numbers(url) == [*EVERY, last]
    with pytest.raises(StoreError, match=f"it is of version {last}; this program knows {EVERY[-1]}"):
        Postgres({"url": url})


def test_two_stores_in_one_database_are_kept_apart_by_schema(postgres):
    url = postgres.database()
    first, second = Postgres({"url": url}), Postgres({"url": f"{url}?schema=other"})
    assert first.identity() != second.identity()
    first.put(Entity(Kind.TEAM, "t"))
    assert second.get(Kind.TEAM, "t") is None
    third = Postgres({"url": f"{url}?schema=public"})
    assert third.get(Kind.TEAM, "t") == Entity(Kind.TEAM, "t")
    for store in (first, second, third):
        store.close()


def test_who_may_make_no_schema_may_use_the_one_that_is_there(postgres):
    url = postgres.database()
    name = url.rpartition("/")[2]
    sql(url, f"CREATE ROLE {name}_user LOGIN")
    least = postgres.url(name, f"{name}_user")
    with pytest.raises(StoreError, match="permission denied for database"):
        Postgres({"url": least})
    sql(url, f"CREATE SCHEMA interlock AUTHORIZATION {name}_user")
    Postgres({"url": least}).close()
    assert numbers(url) == EVERY


def test_a_database_of_another_encoding_is_refused(postgres):
    sql(postgres.url(), "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="the database is encoded in LATIN1"):
        Postgres({"url": postgres.url("latin")})


def test_a_password_is_in_no_error_and_no_representation(postgres):
    name = postgres.database().rpartition("/")[2]
    urls = [
        postgres.url("nowhere", password=SECRET),
        f"postgresql://u:{SECRET}@127.0.0.1:1/{name}",
        f"postgresql://u:{SECRET}@127.0.0.1:1/{name}?sslmode=sometimes",
        f"postgresql://u:{SECRET}@127.0.0.1:1/{name}?sslrootcert=/nowhere&sslmode=verify-full",
        f"postgresql://u:{SECRET}/x@127.0.0.1:1/{name}",
        f"postgresql://u:{SECRET}#x@127.0.0.1:1/{name}",
        f"postgresql://u:{SECRET}?x=1@127.0.0.1:1/{name}",
        f"postgresql://u:[{SECRET}@127.0.0.1:1/{name}",
        f"postgresql://u:{SECRET}@127.0.0.1:port/{name}",
        f"mysql://u:{SECRET}@127.0.0.1:1/{name}",
        f"{SECRET}",
    ]
    for url in urls:
        with pytest.raises(StoreError) as caught:
            Postgres({"url": url})
        error: BaseException | None = caught.value
        while error is not None:
            assert "nobody-may-read" not in f"{error!s} {error!r}", url
            error = error.__cause__
    with pytest.raises(StoreError, match=rf"store `postgresql://127.0.0.1:1/{name}`: .*connect"):
        Postgres({"url": urls[1]})
    assert "nobody-may-read" not in repr(Address(urls[1]))


def test_no_value_is_in_an_error(postgres):
    store = Postgres({"url": postgres.database()})
    with pytest.raises(StoreError, match=r"invalid input for query argument \$9 \(value out of int64 range\)$"):
        store.put(Entity(Kind.TEAM, "t", spend=12345678901234567890123))
    with pytest.raises(StoreError, match=r"value out of int64 range\)$"):
        store.fold(Batch((1, 1), counts=[Amount(b"secret", 1, 12345678901234567890123)]))
    store.close()


def test_a_table_that_a_newer_gateway_changes_meanwhile_is_read_as_it_is_then(postgres):
    url = postgres.database()
    store = Postgres({"url": url, "pool_limit": 1})
    store.put(Entity(Kind.TEAM, "t"))
    assert store.get(Kind.TEAM, "t") is not None
    sql(url, "ALTER TABLE interlock.entities ALTER COLUMN alias TYPE VARCHAR(300)")
    assert store.get(Kind.TEAM, "t") == Entity(Kind.TEAM, "t")
    store.close()


@pytest.mark.parametrize(
    ("url", "shown", "dsn"),
    [
        ("postgres://h/d", "h/d", "postgresql://h/d"),
        ("postgresql://u:p%40s%2Fs%25@h:6/d", "h:6/d", "postgresql://u:p%40s%2Fs%25@h:6/d"),
        ("postgresql://u:a@b:c@h/d", "h/d", "postgresql://u:a%40b%3Ac@h/d"),
        ("postgresql://u:100%@h/d", "h/d", "postgresql://u:100%25@h/d"),
        ("postgresql://u@[::1]:6/d", "[::1]:6/d", "postgresql://u@[::1]:6/d"),
        ("postgresql://a:1,b:2/d?target_session_attrs=primary", "a:1,b:2/d", "postgresql://a:1,b:2/d?target_session_attrs=primary"),
        ("postgresql:///d?host=/run/pg&user=u", "/run/pg/d", "postgresql:///d?host=%2Frun%2Fpg&user=u"),
        ("postgresql://%2Frun%2Fpg/d", "/run/pg/d", "postgresql://%2Frun%2Fpg/d"),
        ("postgresql://h/d?sslmode=require&sslrootcert=/a%20b", "h/d", "postgresql://h/d?sslmode=require&sslrootcert=%2Fa%20b"),
        ("postgresql://h/d?options=-c%20work_mem%3D8MB", "h/d", "postgresql://h/d?options=-c%20work_mem%3D8MB"),
        ("postgresql://h/d?schema=public&sslaccept=strict", "h/d", "postgresql://h/d?sslmode=verify-full"),
        ("postgresql://h/d?sslmode=require&sslaccept=strict", "h/d", "postgresql://h/d?sslmode=verify-full"),
    ],
)  # fmt: skip
def test_addresses_are_read_as_people_write_them(url, shown, dsn):
    address = Address(url)
    assert (address.shown, address.dsn) == (f"postgresql://{shown}", dsn)


def test_what_others_say_in_an_address_is_understood():
    address = Address("postgresql://h/d?connection_limit=3&pool_timeout=7&connect_timeout=2&socket_timeout=9&schema=x")
    assert Limits.of(address.limits) == Limits(3, 7, 2, 9)
    assert Limits.of(address.limits, {"pool_limit": 5, "timeout": None}) == Limits(5, 7, 2, 9)
    assert (address.schema, address.shared) == ("x", False)
    assert Address("postgresql://h/d?pgbouncer=true").shared


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("schema=a-b", "`schema` must be a name"),
        ("connection_limit=many", "`connection_limit` must be a whole number"),
        ("colour=red", "unknown parameter `colour`"),
        (
            "connection_limit=0",
            "`database_connection_pool_limit`, or its like in the database's URL, must be above 0, not `0.0`",
        ),
    ],
)
def test_what_cannot_be_in_an_address_is_named(query, why):
    with pytest.raises(StoreError, match=why):
        Postgres({"url": f"postgresql://127.0.0.1:1/d?{query}"})


def test_a_socket_in_the_file_system_will_do(postgres):
    name = postgres.database().rpartition("/")[2]
    store = Postgres({"url": f"postgresql://postgres@/{name}?host={postgres.folder}&port={postgres.port}"})
    store.put(Entity(Kind.TEAM, "t"))
    store.close()


def test_settings_of_the_database_reach_every_transaction_whatever_the_server_says(postgres):
    """A server, or a role, that trades safety for speed must not make a fold forgettable."""
    assert sql(postgres.url(), "SHOW synchronous_commit") == [("off",)]
    store = Postgres({"url": f"{postgres.database()}?options=-c%20default_transaction_isolation%3Dserializable"})

    async def ask(connection):
        names = ("synchronous_commit", "statement_timeout", "search_path", "transaction_isolation", "jit")
        return [await connection.fetchval(f"SHOW {name}") for name in names]

    assert store._connections.run(ask) == ["on", "15s", "interlock", "read committed", "off"]
    store.close()


def test_behind_a_pooler_no_statement_is_kept_and_what_was_not_heard_is_said(postgres, monkeypatch):
    monkeypatch.setattr(changes, "DEAF", 0.05)
    store = Postgres({"url": f"{postgres.database()}?pgbouncer=true"})
    lost = threading.Event()
    store.watch(lambda *_: None, lost.set)
    for number in range(3):
        store.fold(Batch((1, number + 1), rows_of(number, 5)))

    async def kept(connection):
        return await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")

    assert store._connections.run(kept) == 0
    assert lost.wait(2)
    store.close()


def test_more_calls_than_connections_wait_for_their_turn(postgres):
    url = postgres.database()
    store = Postgres({"url": url, "pool_limit": 2})
    failed = []

    def read() -> None:
        try:
            for _ in range(5):
                store.totals(Scope.TEAM)
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sql(url, "SELECT count(*) <= 2 FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
               url.rpartition("/")[2]) == [(True,)]  # fmt: skip
    store.close()


def test_a_turn_that_does_not_come_is_an_error_that_says_what_to_do(postgres):
    url = postgres.database()
    store = Postgres({"url": url, "pool_limit": 1, "pool_timeout": 0.2})
    entered, leave = threading.Event(), threading.Event()

    async def hold(connection):
        entered.set()
        while not leave.is_set():
            await connection.execute("SELECT pg_sleep(0.02)")

    holding = threading.Thread(target=store._connections.run, args=(hold,))
    holding.start()
    assert entered.wait(10)
    with pytest.raises(StoreError, match=r"all 1 connections are in use; raise `database_connection_pool_limit`"):
        store.position()
    leave.set()
    holding.join()
    assert store.position() == (0, 0)
    store.close()


def test_a_store_that_is_closed_leaves_no_connection_and_no_thread(postgres):
    url = postgres.database()
    before = threading.active_count()
    store = Postgres({"url": url})
    store.watch(lambda *_: None, lambda: None)
    store.logs(LogFilter())
    assert threading.active_count() == before + 1
    store.close()
    store.close()
    assert threading.active_count() == before
    there = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    assert any(sql(url, there, url.rpartition("/")[2]) == [(0,)] for _ in range(50))


def test_a_call_from_its_own_thread_is_refused_instead_of_waiting_for_itself(postgres):
    store = Postgres({"url": postgres.database()})

    async def inner(_):
        return store.position()

    with pytest.raises(StoreError, match="called by its own thread"):
        store._connections.run(inner)
    store.close()
