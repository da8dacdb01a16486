"""Folding: the store has what the journal had, once, whenever either of them fails or the process ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.stores.sqlite import Sqlite
from adapters.stores.sqlite.file import connect
from engine import folding
from engine.folding import Folder
from engine.journal import Journal, JournalError
from engine.journal.segment import HEADER, numbers, path_of
from engine.outside import SystemClock
from engine.posting import Released, Reset, Settled, encode
from engine.storing import Batch, LogFilter, Scope, StoreError
from engine.windows import NEVER
from tests.engine.settling import COUNTER, held, opened, settled


class Parts:
    """A store, a journal and a folder, all real, in a directory."""

    def __init__(self, directory: Path, **options) -> None:
        self.directory = directory
        self.store, self.journal, self.folder = opened(directory, **options)
        self.estimated = self.folder.catch_up()

    def write(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.journal.append(payload)
        assert self.journal.write_now()

    def used(self) -> int:
        return sum(used for _, _, used in self.store.counts(0))

    def spends(self) -> dict[str, int]:
        rows = self.store.logs(LogFilter(), 1000).rows
        assert len({row.request_id for row in rows}) == len(rows)
        return {row.request_id: row.spend for row in rows}

    def end(self) -> None:
        self.journal.close()
        self.store.close()


@pytest.fixture
def parts(tmp_path):
    made = Parts(tmp_path)
    yield made
    made.end()


async def test_what_was_written_is_folded_and_the_journal_lets_go(tmp_path):
    parts = Parts(tmp_path, limit=2000)
    for number in range(40):
        parts.write(held(f"call-{number}", 9), settled(f"call-{number}", number))
    assert len(numbers(tmp_path / "journal")) > 5
    assert await parts.folder.fold()
    assert parts.spends() == {f"call-{number}": number for number in range(40)}
    assert parts.used() == sum(range(40))
    assert parts.store.position() == parts.folder.position == parts.journal.position
    assert len(numbers(tmp_path / "journal")) == 1
    parts.end()


async def test_a_fold_has_what_was_appended_and_not_yet_written(parts):
    parts.journal.append(settled("call", 5))
    assert await parts.folder.fold()
    assert parts.spends() == {"call": 5}


async def test_calls_at_once_share_a_run(parts, monkeypatch):
    folds = []
    fold = parts.store.fold
    monkeypatch.setattr(parts.store, "fold", lambda *given: (folds.append(threading.current_thread()), fold(*given))[1])
    parts.write(settled("one", 1))
    first = asyncio.create_task(parts.folder.fold())
    await asyncio.sleep(0)
    parts.write(settled("two", 2))
    assert all(await asyncio.gather(first, *(parts.folder.fold() for _ in range(20))))
    assert parts.spends() == {"one": 1, "two": 2}
    assert 1 <= len(folds) <= 2
    assert threading.main_thread() not in folds


async def test_a_run_that_is_cancelled_in_its_thread_folds_nothing_twice(parts):
    for number in range(20):
        parts.write(settled(f"call-{number}", 1))
        running = asyncio.create_task(parts.folder.fold())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
    assert await parts.folder.fold()
    assert (parts.used(), len(parts.spends())) == (20, 20)


async def test_batches_are_bounded_and_end_with_the_time_there_is(parts, monkeypatch):
    monkeypatch.setattr(folding, "TOGETHER", 3)
    monkeypatch.setattr(folding, "CLOSING", -1.0)
    parts.write(*(settled(f"call-{number}", 1) for number in range(10)))
    assert not await parts.folder.close()
    assert (parts.used(), parts.folder.reason) == (3, "")
    monkeypatch.setattr(folding, "CLOSING", 60.0)
    assert await parts.folder.close()
    assert parts.used() == 10


async def test_expired_amounts_go_now_and_then(parts):
    parts.write(encode(Settled("call", 1, [(b"minute", 60 * 10**9, 4), (b"ever", NEVER, 4)], None)))
    assert await parts.folder.fold()
    assert [one.counter for one in parts.store.counts(0)] == [b"ever", b"minute"]
    parts.folder._expire = 0.0
    parts.write(encode(Settled("call", 2, [(b"ever", NEVER, 1)], None)))
    assert await parts.folder.fold()
    assert list(parts.store.counts(0)) == [(b"ever", NEVER, 5)]


def left_behind(directory: Path) -> None:
    """End a process with holds open in the table and in the journal, one that grew, one given back, a counter reset."""
    parts = Parts(directory, limit=1000)
    parts.write(settled("before", 500), encode(Reset(COUNTER)))
    parts.write(held("in the table", 10), held("grew", 1), held("ended", 7), held("given back", 7))
    asyncio.run(parts.folder.fold())
    parts.write(held("grew", 2), held("in the journal", 100), settled("ended", 3), encode(Released("given back", 1)))
    parts.end()


AFTERWARDS = {"before": 500, "in the table": 10, "grew": 2, "in the journal": 100, "ended": 3}
"""A hold's row is its last one; what it holds is all its parts."""


def check_afterwards(parts: Parts) -> None:
    assert parts.spends() == AFTERWARDS
    assert parts.used() == 10 + 3 + 100 + 3
    rows = parts.store.logs(LogFilter()).rows
    estimated = {row.request_id for row in rows if row.metadata == '{"estimated": true}'}
    assert estimated == {"in the table", "grew", "in the journal"}
    assert all(row.status == "success" for row in rows)
    assert parts.store.holds() == []
    assert parts.store.totals(Scope.TEAM)["team-1"].spend == sum(AFTERWARDS.values())


def test_holds_found_open_at_the_start_settle_at_what_they_held(tmp_path):
    left_behind(tmp_path)
    for estimated in (3, 0, 0):
        parts = Parts(tmp_path)
        assert parts.estimated == estimated
        check_afterwards(parts)
        assert len(numbers(tmp_path / "journal")) == 1
        parts.end()


class KilledError(BaseException):
    """Where a process ended."""


@pytest.mark.parametrize("folds", range(8))
@pytest.mark.parametrize("committed", [False, True])
def test_a_start_that_is_interrupted_anywhere_settles_no_hold_twice(tmp_path, monkeypatch, folds, committed):
    monkeypatch.setattr(folding, "TOGETHER", 1)
    left_behind(tmp_path)
    fold, done = Sqlite.fold, 0

    def interrupted(store: Sqlite, batch: Batch, journal: str = "main") -> bool:
        nonlocal done
        done += 1
        if done > folds:
            if committed:
                fold(store, batch, journal)
            raise KilledError
        return fold(store, batch, journal)

    with monkeypatch.context() as patch:
        patch.setattr(Sqlite, "fold", interrupted)
        store, journal, folder = opened(tmp_path)
        try:
            folder.catch_up()
        except KilledError:
            pass
        else:
            assert folds > 4
        journal.close()
        store.close()
    parts = Parts(tmp_path)
    check_afterwards(parts)
    parts.end()


def test_a_second_start_on_a_journal_in_use_leaves_its_holds(parts):
    parts.write(held("running", 5))
    assert asyncio.run(parts.folder.fold())
    again = Folder(parts.journal, parts.store, SystemClock())
    assert again.catch_up() == 0
    assert [one.call for one in parts.store.holds()] == ["running"]


def test_a_journal_cut_at_every_byte_is_folded_up_to_its_last_whole_record(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    parts = Parts(whole)
    ends = [HEADER]
    for number in range(3):
        parts.write(settled(f"call-{number}", 10**number))
        ends.append(parts.journal.position.offset)
        if number == 0:
            assert asyncio.run(parts.folder.fold())
    number = parts.journal.position.segment
    parts.end()
    data = path_of(whole / "journal", number).read_bytes()
    for length in range(ends[1], len(data) + 1, 7):
        directory = tmp_path / str(length)
        shutil.copytree(whole, directory)
        os.truncate(path_of(directory / "journal", number), length)
        for _ in range(2):
            parts = Parts(directory)
            count = sum(end <= length for end in ends) - 1
            assert parts.spends() == {f"call-{number}": 10**number for number in range(count)}
            assert parts.used() == sum(10**number for number in range(count))
            parts.end()
        shutil.rmtree(directory)


def test_a_record_of_another_program_refuses_the_start_and_says_where(tmp_path):
    parts = Parts(tmp_path)
    parts.write(settled("call", 1), b"what is this")
    end = parts.journal.position
    assert not asyncio.run(parts.folder.fold())
    assert f"segment {end.segment}, before offset {end.offset}: " in parts.folder.reason
    parts.end()
    with pytest.raises(JournalError, match=f"segment {end.segment}, before offset {end.offset}: "):
        Parts(tmp_path)


def test_a_store_of_another_journal_is_refused(tmp_path):
    store = Sqlite({"path": tmp_path / "store.sqlite"})
    store.fold(Batch((7, 5)))
    journal = Journal.open(tmp_path / "journal")
    with pytest.raises(JournalError, match="do not belong together"):
        Folder(journal, store, SystemClock()).catch_up()
    journal.close()
    store.close()


def locked(parts: Parts):
    """Lock the store as another process's long transaction does."""
    parts.store._writer.execute("PRAGMA busy_timeout = 1")
    other = connect(parts.directory / "store.sqlite")
    other.execute("BEGIN IMMEDIATE")
    return lambda: (other.execute("COMMIT"), other.close())


def full(parts: Parts):
    """Let the store's file not grow."""
    parts.store._writer.execute("VACUUM")
    pages = parts.store._writer.execute("PRAGMA page_count").fetchone()[0]
    parts.store._writer.execute(f"PRAGMA max_page_count = {pages}")
    return lambda: parts.store._writer.execute("PRAGMA max_page_count = 1000000")


def gone(parts: Parts):
    path = parts.directory / "store.sqlite"
    path.rename(path.with_name("away"))
    return lambda: path.with_name("away").rename(path)


@pytest.mark.parametrize("broken", [locked, full, gone])
async def test_while_the_store_cannot_take_it_the_journal_keeps_it(tmp_path, monkeypatch, broken):
    monkeypatch.setattr(folding, "PAUSE", 0.001)
    parts = Parts(tmp_path, limit=100_000)
    parts.write(held("open", 7), settled("before", 1))
    assert await parts.folder.fold()
    heal = broken(parts)
    many = {f"call-{number}": number for number in range(900)}
    with capture_logs() as logs:
        running = asyncio.create_task(parts.folder.run())
        for name, spend in many.items():
            parts.write(held(name, spend), settled(name, spend))
            await asyncio.sleep(0)
        assert not await parts.folder.fold()
        assert not await parts.folder.fold()
        assert "store.sqlite" in parts.folder.reason
        assert parts.used() < sum(many.values())
        assert len(numbers(tmp_path / "journal")) > 3
        heal()
        while parts.folder.reason or parts.folder.position < parts.journal.position:
            await asyncio.sleep(0.01)
        running.cancel()
    assert [one["log_level"] for one in logs if "spend" in one["event"]] == ["error", "warning"]
    assert parts.folder.reason == ""
    assert parts.spends() == {**many, "before": 1}
    assert parts.used() == sum(many.values()) + 1
    assert [one.call for one in parts.store.holds()] == ["open"]
    assert len(numbers(tmp_path / "journal")) == 1
    parts.end()


async def test_a_transaction_that_was_written_though_it_failed_counts_once(parts, monkeypatch):
    fold = parts.store.fold
    with monkeypatch.context() as patch:
        patch.setattr(parts.store, "fold", lambda *given: fold(*given) and (_ for _ in ()).throw(StoreError("lost")))
        parts.write(held("open", 7), settled("call", 5))
        assert not await parts.folder.fold()
    parts.write(settled("next", 6), settled("open", 1))
    assert await parts.folder.fold()
    assert (parts.spends(), parts.store.holds()) == ({"call": 5, "next": 6, "open": 1}, [])


async def test_what_a_failed_write_left_is_not_folded(parts, monkeypatch):
    parts.write(settled("before", 1))
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:-3]))
        patch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        parts.journal.append(settled("kept", 2))
        parts.journal.append(held("refused", 4), kept=False)
        assert await parts.folder.fold()
        assert parts.spends() == {"before": 1}
    assert await parts.folder.fold()
    assert (parts.spends(), parts.store.holds()) == ({"before": 1, "kept": 2}, [])


async def test_a_segment_that_somebody_took_away_is_said_and_not_passed_over(tmp_path):
    parts = Parts(tmp_path, limit=500)
    parts.write(settled("first", 1))
    assert await parts.folder.fold()
    for number in range(9):
        parts.write(settled(f"call-{number}", 1))
    missing = path_of(tmp_path / "journal", numbers(tmp_path / "journal")[-2])
    data = missing.read_bytes()
    missing.unlink()
    assert not await parts.folder.fold()
    assert missing.name in parts.folder.reason
    missing.write_bytes(data[:-1])
    assert not await parts.folder.fold()
    assert "a record that was written is not there" in parts.folder.reason
    missing.write_bytes(data)
    assert await parts.folder.fold()
    assert len(parts.spends()) == 10
    parts.end()


async def test_the_loop_goes_on_while_a_batch_is_folded(parts):
    parts.write(*(settled(f"call-{number}", 1) for number in range(8000)))
    running = asyncio.create_task(parts.folder.fold())
    turns = 0
    while not running.done():
        await asyncio.sleep(0)
        turns += 1
    assert running.result()
    assert turns > 20


def test_sums_of_rows_are_the_amounts_and_the_rollups(parts):
    for number in range(200):
        parts.write(held(f"call-{number}", number * 3), settled(f"call-{number}", number * 2))
    asyncio.run(parts.folder.fold())
    rows = parts.store.logs(LogFilter(), 1000).rows
    total = sum(row.spend for row in rows)
    assert total == parts.used() == 2 * sum(range(200))
    for scope in (Scope.KEY, Scope.USER, Scope.TEAM, Scope.MODEL, Scope.PROVIDER):
        (sums,) = parts.store.totals(scope).values()
        assert (sums.requests, sums.failed, sums.spend) == (200, 0, total)
        assert (sums.input_tokens, sums.output_tokens) == (600, 400)
    assert json.loads(rows[0].metadata) == {}
