"""Writing a journal: one write a tick, all of it or nothing, and what happens when the disk refuses."""

from __future__ import annotations

import asyncio
import itertools
import os
import time

import pytest
from structlog.testing import capture_logs

from engine.journal import Journal, Position, backlog, recover
from engine.journal import write as writing
from engine.journal.segment import HEADER, numbers, path_of


@pytest.fixture
def journal(tmp_path):
    opened = Journal.open(tmp_path)
    yield opened
    if not opened._closed:
        opened.close()


@pytest.fixture
def writes(monkeypatch):
    """Count bytes of every write of the process; an entry set in it is the count a coming write stops short at."""
    seen: list[int] = []
    seen_short: list[int] = []
    write = os.write

    def counted(file: int, data: bytes) -> int:
        seen.append(len(data))
        return write(file, data[: seen_short.pop()] if seen_short else data)

    monkeypatch.setattr(os, "write", counted)
    return seen, seen_short


class Full:
    """The disk under a journal, full until `free`: `/dev/full` answers every write as a full disk does."""

    def __init__(self, journal: Journal) -> None:
        self._file = journal._file
        self._real = os.dup(self._file)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, self._file)
        os.close(full)

    def free(self) -> None:
        os.dup2(self._real, self._file)
        os.close(self._real)


async def until(done) -> None:
    """Wait until something is so, ten seconds at most."""
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("ten seconds were not enough")


def read(directory) -> list[bytes]:
    return [payload for _, payload in recover(directory)]


def test_the_records_of_a_tick_go_out_in_one_write(journal, writes, tmp_path):
    soon = []
    journal.soon = soon.append
    entries = [journal.append(b"%d" % number) for number in range(8)]
    assert soon == [journal.tick]
    assert not any(entry.written for entry in entries)
    assert journal.waiting == 8
    soon.pop()()
    assert [entry.end for entry in entries] == [Position(1, HEADER + 9 * (number + 1)) for number in range(8)]
    assert writes[0] == [8 * 9]
    journal.append(b"next")
    assert soon == [journal.tick]
    assert read(tmp_path) == [b"%d" % number for number in range(8)]


def test_who_must_know_has_it_written_at_once_and_pays_once(journal, writes, tmp_path):
    first, second = journal.append(b"first"), journal.append(b"second")
    assert journal.write_now(second)
    assert journal.write_now(first)
    assert journal.write_now()
    assert (len(writes[0]), journal.position) == (1, second.end)
    assert read(tmp_path) == [b"first", b"second"]


async def test_the_loop_writes_once_a_tick_and_the_thread_syncs(journal, writes, monkeypatch):
    threads = []
    sync = journal.sync
    monkeypatch.setattr(journal, "sync", lambda: (threads.append(time.monotonic()), sync()))
    journal.soon = asyncio.get_running_loop().call_soon
    running = asyncio.get_running_loop().create_task(journal.run())
    for number in range(50):
        journal.append(b"%d" % number)
        journal.append(b"%d again" % number)
        await asyncio.sleep(0.01)
    await until(lambda: journal._synced == journal._written)
    synced = len(threads)
    await asyncio.sleep(0.5)
    assert len(threads) == synced
    running.cancel()
    assert len(writes[0]) == 50
    assert len(threads) >= 2
    assert min(later - former for former, later in itertools.pairwise(threads)) >= writing.PAUSE * 0.9


def test_a_full_disk_refuses_holds_and_keeps_settlements(journal, tmp_path):
    before = journal.append(b"before")
    assert journal.write_now(before)
    disk = Full(journal)
    with capture_logs() as logs:
        settled, hold = journal.append(b"settled"), journal.append(b"hold", kept=False)
        assert not journal.write_now(hold)
        assert not journal.write_now(settled)
        journal.append(b"settled later")
        journal.tick()
        assert not journal.revive()
    assert (journal.healthy, journal.reason, journal.waiting) == (False, "No space left on device", 2)
    assert [one["log_level"] for one in logs] == ["error"]
    disk.free()
    again = journal.append(b"hold again", kept=False)
    assert journal.write_now(again)
    assert (journal.healthy, journal.reason, journal.waiting, journal.lost) == (True, "", 0, 0)
    assert settled.written
    assert not hold.written
    assert not journal.write_now(hold)
    assert read(tmp_path) == [b"before", b"settled", b"settled later", b"hold again"]


async def test_a_journal_with_nothing_to_write_heals_by_itself(journal, tmp_path):
    disk = Full(journal)
    assert not journal.write_now(journal.append(b"hold", kept=False))
    running = asyncio.get_running_loop().create_task(journal.run())
    await asyncio.sleep(0.5)
    assert not journal.healthy
    disk.free()
    await until(lambda: journal.healthy)
    running.cancel()
    assert journal.healthy
    assert path_of(tmp_path, 1).stat().st_size == HEADER
    assert journal.write_now(journal.append(b"next"))
    assert read(tmp_path) == [b"next"]


@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 23])
def test_a_short_write_is_cut_back_whole_tick_and_all(journal, writes, tmp_path, count):
    assert journal.write_now(journal.append(b"before"))
    writes[1].append(count)
    tick = [journal.append(b"hold", kept=False), journal.append(b"more")]
    assert not journal.flush()
    assert path_of(tmp_path, 1).stat().st_size == journal.position.offset
    assert not any(entry.written for entry in tick)
    assert not journal.healthy
    assert read(tmp_path) == [b"before"]
    assert journal.flush()
    assert journal.healthy
    assert read(tmp_path) == [b"before", b"more"]


def test_what_could_not_be_cut_back_is_cut_before_the_next_write(journal, writes, monkeypatch, tmp_path):
    writes[1].append(3)
    entry = journal.append(b"settled")
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        assert not journal.flush()
        assert path_of(tmp_path, 1).stat().st_size == HEADER + 3
        assert not journal.flush()
    assert journal.write_now(entry)
    assert read(tmp_path) == [b"settled"]


def test_what_waits_is_bounded_and_what_is_lost_is_counted(journal, monkeypatch, tmp_path):
    monkeypatch.setattr(backlog, "BACKLOG", 10 * 108)
    monkeypatch.setattr(backlog, "TOGETHER", 3 * 108)
    disk = Full(journal)
    for number in range(15):
        journal.append(bytes([number]) * 100)
        journal.tick()
    assert (journal.waiting, journal.lost) == (10, 5)
    disk.free()
    assert journal.revive()
    assert (journal.waiting, journal._backlog.size) == (0, 0)
    assert read(tmp_path) == [bytes([number]) * 100 for number in range(10)]


def test_what_cannot_be_written_at_the_end_is_counted_and_said(journal):
    Full(journal)
    journal.append(b"settled")
    with capture_logs() as logs:
        journal.close()
    assert [one["event"] for one in logs][1:] == ["journal records lost", "journal cannot be synced"]
    assert journal.lost == 1


def test_a_disk_that_cannot_sync_is_unhealthy_until_it_can(journal, monkeypatch):
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        assert not journal.sync()
        assert not journal.sync()
        assert (journal.healthy, journal.reason) == (False, "Input/output error")
    assert len(logs) == 1
    assert journal.sync()
    assert journal.healthy


def test_segments_rotate_by_size_and_go_when_they_are_folded(tmp_path):
    journal = Journal.open(tmp_path, limit=1000)
    entries = []
    for number in range(40):
        entries.append(journal.append(bytes([number]) * 92))
        journal.tick()
    assert [path_of(tmp_path, number).stat().st_size for number in numbers(tmp_path)] == [HEADER + 900] * 4 + [
        HEADER + 400
    ]
    assert len(journal._retired) == 4
    assert journal.sync()
    assert journal._retired == []
    assert journal.drop_through(entries[7].end) == 0
    assert journal.drop_through(entries[8].end) == 1
    whole = recover(tmp_path, entries[17].end)
    assert journal.drop_through(entries[20].end) == 1
    assert [at for at, _ in whole] == [entry.end for entry in entries[18:]]
    assert numbers(tmp_path) == [3, 4, 5]
    assert [at for at, _ in recover(tmp_path, entries[20].end)] == [entry.end for entry in entries[21:]]
    assert journal.drop_through(journal.position) == 2
    assert numbers(tmp_path) == [5]
    journal.close()
    assert read(tmp_path) == [bytes([number]) * 92 for number in range(36, 40)]


def test_a_segment_that_cannot_be_made_leaves_the_old_one_in_use(tmp_path, monkeypatch):
    journal = Journal.open(tmp_path, limit=100)
    journal.append(bytes(50))
    journal.tick()
    with monkeypatch.context() as patch:
        patch.setattr(writing, "create", lambda *_: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        entry = journal.append(b"x" * 50)
        assert not journal.write_now(entry)
    assert journal.reason == "Too many open files"
    assert journal.write_now(entry)
    assert entry.end == (2, HEADER + 58)
    journal.close()
    assert read(tmp_path) == [bytes(50), b"x" * 50]


def test_a_sync_while_the_loop_rotates_closes_only_what_it_synced(tmp_path, monkeypatch):
    journal = Journal.open(tmp_path, limit=100)
    fsync, synced = os.fsync, []

    def rotating(file: int) -> None:
        if len(synced) < 3:
            journal.append(bytes(90))
            journal.tick()
        synced.append(file)
        fsync(file)

    journal.append(bytes(90))
    journal.tick()
    monkeypatch.setattr(os, "fsync", rotating)
    for _ in range(3):
        assert journal.sync()
    assert journal._synced == journal._written
    assert journal._retired == []
    journal.close()
    assert len(read(tmp_path)) == 4


def test_a_segment_that_is_retired_as_a_sync_begins_stays_open_for_it(tmp_path):
    journal = Journal.open(tmp_path, limit=100)

    class Retired(list):
        def __iter__(self):
            if not len(self):
                journal.append(bytes(90))
                journal.tick()
            return super().__iter__()

    journal.append(bytes(90))
    journal.tick()
    journal._retired = Retired()
    assert journal.sync()
    assert journal._synced < journal._written
    assert len(journal._retired) == 1
    assert journal.sync()
    assert (journal._synced, len(journal._retired)) == (journal._written, 0)
    journal._retired = []
    journal.close()


def test_what_a_record_costs(journal):
    """300 bytes, 8 records a tick; the limit is ten times what is promised."""
    payload, ticks = os.urandom(300), 5000
    began = time.perf_counter()
    for _ in range(ticks):
        for _ in range(8):
            journal.append(payload)
        journal.tick()
    cost = (time.perf_counter() - began) / ticks / 8 * 1e6
    began = time.perf_counter()
    read_back = recover(journal._directory).records
    print(f"journal: {cost:.2f} µs a record, recovered at {(time.perf_counter() - began) / read_back * 1e6:.2f} µs")
    assert read_back == ticks * 8
    assert cost < 50
