"""Spend rows in the store `sqlite`: found by whatever they are asked for, and kept by a migration."""

from __future__ import annotations

import hashlib

import pytest

from adapters.stores.sqlite import Sqlite
from adapters.stores.sqlite.file import connect, prepare
from adapters.stores.sqlite.schema import MIGRATIONS
from engine.storing import Batch, LogFilter, SpendRow
from tests.adapters.stores.folding import START, rows_of


@pytest.fixture
def store(tmp_path):
    opened = Sqlite({"path": tmp_path / "store.sqlite"})
    yield opened
    opened.close()


def test_rows_of_before_callers_were_kept_apart_stay_as_they_were(tmp_path):
    path = tmp_path / "store.sqlite"
    prepare(path, MIGRATIONS[:4])
    before = connect(path)
    every = [*rows_of(0), *rows_of(0)[:5]]
    values = [(*row[:23], '["a", "b"]', *row[24:]) for row in every]
    places = ", ".join("?" * len(SpendRow._fields))
    names = ", ".join(SpendRow._fields)
    before.executemany(f"INSERT INTO spend_logs ({names}) VALUES ({places})", values)  # noqa: S608
    before.execute("DELETE FROM spend_logs WHERE number = 400")
    before.close()
    store = Sqlite({"path": path})
    store.fold(Batch((1, 1), [SpendRow("new", START - 1)]))
    kept = [row._replace(request_tags=("a", "b")) for number, row in enumerate(every, 1) if number != 400]
    assert sorted(store.logs(LogFilter(), 1000).rows[:-1]) == sorted(kept)
    assert store.log("call-0-3") == [row for row in kept if row.request_id == "call-0-3"]
    assert len(store.log("call-0-3")) == 2
    assert store._reader.execute("SELECT number FROM spend_logs WHERE request_id = 'new'").fetchone() == (406,)
    store.close()


def test_a_callers_rows_share_what_they_have_in_common_over_batches(store):
    for batch in range(3):
        store.fold(Batch((1, batch + 1), [SpendRow("r", START, api_key="a" * 64, model="m", user="u")] * 4))
    assert store._reader.execute("SELECT count(*) FROM callers").fetchone() == (1,)


def test_a_key_in_clear_text_is_stored_as_its_hash_by_which_its_rows_are_found(store):
    store.fold(Batch((1, 1), [SpendRow("r", START, api_key="sk-clear", end_user="\ud800")]))
    digest = hashlib.sha256(b"sk-clear").hexdigest()
    assert [row.api_key for row in store.logs(LogFilter(api_key=digest)).rows] == [digest]
    assert store._reader.execute("SELECT api_key FROM callers").fetchall() == [(digest,)]
