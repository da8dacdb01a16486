"""The store `postgres` when its server is stopped, killed or stands still: said at once, nothing lost, nothing doubled."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from adapters.stores.postgres import Postgres, changes
from engine.storing import (
    Batch,
    Entity,
    EntityFilter,
    EntityPage,
    Kind,
    LogFilter,
    Scope,
    SpendRow,
    StoreError,
    UsageQuery,
)
from tests.adapters.stores.test_postgres_shared import HEALED, Heard, check, started
from tests.postgres import sql

TIMES = {"connect_timeout": 0.3, "timeout": 0.5}
GIVEN_UP = 8.0
"""Seconds in which every call has given up: ten times the limits it was given."""
ENDS = ["stop", "kill", "freeze"]
EVERY = {
    "put": lambda store: store.put(Entity(Kind.TEAM, "t")),
    "get": lambda store: store.get(Kind.TEAM, "t"),
    "entities": lambda store: list(store.entities(Kind.TEAM)),
    "delete": lambda store: store.delete(Kind.TEAM, ["t"]),
    "list": lambda store: store.list(Kind.TEAM, EntityFilter(), EntityPage()),
    "block": lambda store: store.block(Kind.TEAM, "t", 1.0),
    "set_spend": lambda store: store.set_spend(Kind.TEAM, "t", 1),
    "position": lambda store: store.position(),
    "fold": lambda store: store.fold(Batch((9, 9))),
    "counts": lambda store: list(store.counts(0)),
    "holds": lambda store: store.holds(),
    "usage": lambda store: store.usage(UsageQuery(Scope.TEAM)),
    "totals": lambda store: store.totals(Scope.TEAM),
    "logs": lambda store: store.logs(LogFilter()),
    "log": lambda store: store.log("r"),
}


def patiently(work):
    """Do what is to succeed while a server is there, however slow a busy machine makes it."""
    deadline = time.monotonic() + HEALED
    while True:
        try:
            return work()
        except StoreError:
            if time.monotonic() > deadline:
                raise


def opened(url: str) -> Postgres:
    return patiently(lambda: Postgres({"url": url, **TIMES}))


def back(server, end: str) -> None:
    if end == "freeze":
        server.thaw()
    else:
        server.start()


@contextlib.contextmanager
def cut_behind(port: int) -> Iterator[tuple[int, list[bytes]]]:
    """Pass connections on to a port; when a client says a word that is in the list, cut it once that is passed on."""
    listening = socket.create_server(("127.0.0.1", 0))
    left: list[bytes] = []

    def carry(source: socket.socket, target: socket.socket, *, asked: bool) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(65536):
                if asked and left and left[0] in data:
                    # Before the server hears it, or its answer might be faster.
                    source.shutdown(socket.SHUT_RDWR)
                    left.clear()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR if asked else socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", port))
                threading.Thread(target=carry, args=(client, server), kwargs={"asked": True}, daemon=True).start()
                threading.Thread(target=carry, args=(server, client), kwargs={"asked": False}, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listening.getsockname()[1], left
    listening.close()


def test_a_fold_whose_answer_was_lost_is_asked_for_and_not_done_twice(postgres):
    url = postgres.database()
    straight = Postgres({"url": url})
    with cut_behind(postgres.port) as (port, words):
        store = opened(url.replace(f":{urlsplit(url).port}/", f":{port}/"))
        row = SpendRow("r", 0.0, team_id="t", spend=7)
        store.fold(Batch((1, 1), [row]))
        words.append(b"COMMIT\0")
        with pytest.raises(StoreError):
            store.fold(Batch((1, 2), [row]))
        deadline = time.monotonic() + HEALED
        while store.position() != (1, 2):
            assert time.monotonic() < deadline
        assert not store.fold(Batch((1, 2), [row]))
        assert straight.totals(Scope.TEAM)["t"].spend == 14
        store.close()
    straight.close()


@pytest.mark.parametrize("end", ENDS)
def test_every_call_says_soon_that_the_server_is_gone_and_heals_by_itself(postgres_alone, end):
    url = postgres_alone.database().replace("//postgres@", "//postgres:very-secret@")
    store = opened(url)
    getattr(postgres_alone, end)()
    slowest = 0.0
    for ask in EVERY.values():
        begin = time.perf_counter()
        with pytest.raises(StoreError) as caught:
            ask(store)
        slowest = max(slowest, time.perf_counter() - begin)
        assert str(caught.value).startswith(f"store `postgresql://127.0.0.1:{postgres_alone.port}/test_")
        assert "very-secret" not in str(caught.value)
    print(f"\n{end}: said after {slowest * 1000:.0f} ms at most: {caught.value}")
    assert slowest < GIVEN_UP
    with pytest.raises(StoreError):
        Postgres({"url": url, **TIMES})
    back(postgres_alone, end)
    deadline = time.monotonic() + HEALED
    for ask in EVERY.values():
        while True:
            try:
                ask(store)
                break
            except StoreError:
                assert time.monotonic() < deadline
    store.close()


@pytest.mark.parametrize("end", ENDS)
def test_no_batch_is_lost_or_doubled_when_the_server_ends_in_the_midst_of_folds(postgres_alone, end):
    url = postgres_alone.database()
    store = Postgres({"url": url})
    for number in range(7):
        store.put(Entity(Kind.TEAM, f"t{number}"))
    store.close()
    # The server of the tests forgets what only its own memory had; what a commit wrote is found again.
    processes = [started("fold_many", url, f"journal-{offset}", offset, 150) for offset in range(2)]
    for _ in range(2):
        time.sleep(0.4)
        getattr(postgres_alone, end)()
        time.sleep(2.5 if end == "freeze" else 0.2)
        back(postgres_alone, end)
    told = "".join(process.communicate(timeout=120)[0] for process in processes)
    assert told.count("failed") >= 2
    print(f"\n{end}: {told.count('failed')} failed, {told.count('folded already')} of them were written all the same")
    check(url, range(2), 150)


def test_one_that_watches_hears_again_when_a_server_that_stood_still_goes_on(postgres_alone, monkeypatch):
    monkeypatch.setattr(changes, "ALIVE", 0.2)
    url = postgres_alone.database()
    store = opened(url)
    heard = Heard(store)
    postgres_alone.freeze()
    time.sleep(1.5)
    postgres_alone.thaw()
    assert heard.next(HEALED) == "lost"
    patiently(lambda: store.put(Entity(Kind.TEAM, "t")))
    assert heard.next(HEALED) == (Kind.TEAM, "t")
    store.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_one_that_watches_hears_again_after_a_restart(postgres_alone, end):
    url = postgres_alone.database()
    store, other = opened(url), opened(url)
    heard = Heard(store)
    getattr(postgres_alone, end)()
    time.sleep(0.3)
    postgres_alone.start()
    patiently(lambda: other.put(Entity(Kind.TEAM, "while it was deaf, or not")))
    told = heard.next(HEALED)
    while told != "lost":
        told = heard.next(HEALED)
    sql(url, "SELECT 1")
    patiently(lambda: other.put(Entity(Kind.TEAM, "t")))
    while told != (Kind.TEAM, "t"):
        told = heard.next()
    store.close()
    other.close()


def test_a_server_that_is_not_there_at_the_start_is_said(postgres_alone):
    url = postgres_alone.database()
    postgres_alone.stop()
    begin = time.perf_counter()
    with pytest.raises(StoreError, match=rf"store `postgresql://127.0.0.1:{postgres_alone.port}/test_\d+`: "):
        Postgres({"url": url})
    assert time.perf_counter() - begin < GIVEN_UP
