"""Reading a journal back: all that was written whole, and never past damage."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from engine.journal import LONGEST, START, Journal, JournalError, Position, recover
from engine.journal.record import encode
from engine.journal.segment import HEADER, numbers, path_of

PAYLOADS = [b"one", b"", b"three " * 5, b"\0" * 9, b"five"]
LAW = settings(deadline=None, max_examples=100)


def written(directory: Path, payloads=PAYLOADS, **options) -> list[Position]:
    """Write a journal, each record a tick; return the positions behind them."""
    journal = Journal.open(directory, **options)
    positions = []
    for payload in payloads:
        journal.append(payload)
        assert journal.write_now()
        positions.append(journal.position)
    journal.close()
    return positions


def read(directory: Path, since: Position = START) -> list[bytes]:
    return [payload for _, payload in recover(directory, since)]


def test_what_was_written_is_read_with_the_position_behind_it(tmp_path):
    positions = written(tmp_path)
    assert list(recover(tmp_path)) == list(zip(positions, PAYLOADS, strict=True))
    for number, since in enumerate([START, *positions]):
        recovery = recover(tmp_path, since)
        assert [payload for _, payload in recovery] == PAYLOADS[number:]
        assert (recovery.records, recovery.end) == (len(PAYLOADS) - number, positions[-1])


def test_a_record_is_its_length_its_check_and_its_payload():
    """Salt and length cancel out here, so that the check is the published one of CRC-32C for these nine digits."""
    assert encode(b"123456789", 9) == bytes.fromhex("09000000 839206e3") + b"123456789"
    assert encode(b"", 7) == bytes.fromhex("00000000 07000000")


def test_a_payload_that_holds_a_journal_is_no_journal(tmp_path):
    """What a client can write into a record, and a kill can bare, is never taken for a record."""
    written(tmp_path / "one")
    inner = path_of(tmp_path / "one", 1).read_bytes()
    (*_, end) = written(tmp_path / "two", [b"first", inner])
    os.truncate(path_of(tmp_path / "two", 1), end.offset - 1)
    assert read(tmp_path / "two") == [b"first"]


def test_a_journal_cut_at_every_byte_has_all_whole_records_before(tmp_path):
    ends = [HEADER, *(offset for _, offset in written(tmp_path / "whole"))]
    data = path_of(tmp_path / "whole", 1).read_bytes()
    assert len(data) == ends[-1]
    for length in range(len(data)):
        directory = tmp_path / str(length)
        directory.mkdir()
        path_of(directory, 1).write_bytes(data[:length])
        whole = sum(end <= length for end in ends) - 1
        with capture_logs() as logs:
            recovery = recover(directory)
        assert [payload for _, payload in recovery] == PAYLOADS[: max(whole, 0)]
        last = max(end for end in [0, *ends] if end <= length)
        assert recovery.cut == length - last
        assert bool(logs) is (length not in ends)
        # What was cut stays cut, and a writer goes on behind it.
        written(directory, [b"next"])
        assert read(directory) == [*PAYLOADS[: max(whole, 0)], b"next"]
        shutil.rmtree(directory)


@pytest.mark.parametrize("tail", [bytes(5), bytes(5000), b"\x20\0\0\0", b'{"a":1}' * 99])
def test_what_is_no_record_at_the_end_is_cut_off_and_said(tmp_path, tail):
    (*_, end) = written(tmp_path)
    with path_of(tmp_path, 1).open("ab") as file:
        file.write(tail)
    with capture_logs() as logs:
        recovery = recover(tmp_path)
    assert ([payload for _, payload in recovery], recovery.cut) == (PAYLOADS, len(tail))
    assert path_of(tmp_path, 1).stat().st_size == end.offset
    assert [(one["offset"], one["bytes"]) for one in logs] == [(end.offset, len(tail))]


def test_a_flipped_byte_before_the_last_record_is_refused_with_file_and_offset(tmp_path):
    ends = [HEADER, *(offset for _, offset in written(tmp_path))]
    path = path_of(tmp_path, 1)
    data = path.read_bytes()
    for place in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
            if place >= ends[-2]:
                assert read(tmp_path) == PAYLOADS[:-1]
                continue
            offset = max((end for end in ends if end <= place), default=0)
            with pytest.raises(JournalError) as error:
                recover(tmp_path)
            assert str(error.value).startswith(f"`{path}` offset {offset}: ")


def test_damage_at_the_end_of_a_segment_that_others_follow_is_refused(tmp_path):
    positions = written(tmp_path, limit=HEADER + 30)
    assert len(numbers(tmp_path)) > 2
    (*_, end) = [offset for number, offset in positions if number == 1]
    data = path_of(tmp_path, 1).read_bytes()
    for damaged in (data[:-1], data[: HEADER - 1], data[:-1] + bytes([data[-1] ^ 1])):
        path_of(tmp_path, 1).write_bytes(damaged)
        with pytest.raises(JournalError, match=r"000001\.journal` offset \d+: a damaged record, and whole ones in"):
            recover(tmp_path)
    assert end == len(data)


def test_a_segment_that_was_made_and_never_filled_is_no_record(tmp_path):
    """A loss of power leaves the last segments empty or zero, and the one before them cut."""
    written(tmp_path)
    path = path_of(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-1])
    path_of(tmp_path, 2).write_bytes(bytes(4096))
    path_of(tmp_path, 3).write_bytes(b"")
    assert read(tmp_path) == PAYLOADS[:-1]
    assert numbers(tmp_path) == [1]
    written(tmp_path, [b"next"])
    assert numbers(tmp_path) == [1, 2]
    assert read(tmp_path) == [*PAYLOADS[:-1], b"next"]


def test_a_missing_segment_is_refused(tmp_path):
    positions = written(tmp_path, limit=HEADER + 30)
    path_of(tmp_path, 2).unlink()
    with pytest.raises(JournalError, match=r"offset 0: the segment before it, `0+2\.journal`, is missing"):
        recover(tmp_path)
    folded = max(position for position in positions if position.segment == 2)
    assert read(tmp_path, folded) == [one for at, one in zip(positions, PAYLOADS, strict=True) if at > folded]
    path_of(tmp_path, 1).unlink()
    with pytest.raises(JournalError, match="is missing"):
        recover(tmp_path, Position(1, HEADER))


def test_a_missing_segment_of_an_earlier_process_is_refused(tmp_path):
    for payload in PAYLOADS[:3]:
        written(tmp_path, [payload])
    path_of(tmp_path, 2).unlink()
    with pytest.raises(
        JournalError, match=r"0003\.journal` offset 0: the segment before it, `0+2\.journal`, is missing"
    ):
        recover(tmp_path)


def test_a_recovery_that_is_interrupted_is_done_again(tmp_path, monkeypatch):
    """The second segment lost its only record with the power, the third never had one: both go, the last one first."""
    written(tmp_path, [b"one", b"two", b"three"], limit=HEADER + 12)
    for number in (2, 3):
        os.truncate(path_of(tmp_path, number), HEADER + 5 * (3 - number))
    unlink = Path.unlink

    def interrupted(path: Path) -> None:
        unlink(path)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(JournalError, match=f"^journal `{tmp_path}`: input/output error$"):
            recover(tmp_path)
    assert read(tmp_path) == [b"one"]
    assert numbers(tmp_path) == [1]


def test_a_segment_under_another_name_or_of_another_version_is_refused(tmp_path):
    written(tmp_path)
    data = path_of(tmp_path, 1).read_bytes()
    path_of(tmp_path, 1).rename(path_of(tmp_path, 2))
    with pytest.raises(JournalError, match=r"0002\.journal` offset 0: damaged, not the header of this segment"):
        recover(tmp_path)
    path_of(tmp_path, 2).write_bytes(data[:8] + b"\x02" + data[9:])
    with pytest.raises(JournalError, match="a journal of version 2; this program reads version 1"):
        recover(tmp_path)


def test_a_position_inside_a_record_is_refused_and_one_past_the_end_is_folded(tmp_path):
    positions = written(tmp_path)
    with pytest.raises(JournalError, match="the position to start from is inside a record"):
        recover(tmp_path, Position(1, positions[-1].offset - 1))
    assert read(tmp_path, Position(1, positions[-1].offset + 50)) == []
    assert read(tmp_path, Position(9, 0)) == []
    journal = Journal.open(tmp_path, since=Position(9, 0))
    assert journal.position == (10, HEADER)
    journal.close()


def test_a_number_is_never_given_twice_and_empty_segments_do_not_pile_up(tmp_path):
    for number in range(1, 6):
        journal = Journal.open(tmp_path)
        assert journal.position == (number, HEADER)
        journal.close()
        since = journal.position
    assert numbers(tmp_path) == [5]
    written(tmp_path, since=since)
    assert numbers(tmp_path) == [6]
    assert read(tmp_path, since) == PAYLOADS


def test_a_second_owner_is_refused_until_the_first_has_gone(tmp_path):
    first = Journal.open(tmp_path)
    with pytest.raises(JournalError) as error:
        Journal.open(tmp_path)
    assert str(error.value) == f"journal `{tmp_path}` is in use by another process; stop it first"
    first.close()
    Journal.open(tmp_path).close()


@pytest.mark.parametrize("known", [False, True], ids=["new", "used before"])
def test_a_directory_that_cannot_be_written_is_refused(known):
    directory = Path(tempfile.mkdtemp(prefix="interlock-"))
    if known:
        (directory / "lock").touch()
        (directory / "lock").chmod(0o666)
    directory.chmod(0o555)
    me = os.geteuid()
    try:
        if me == 0:
            # Nothing is read-only to root.
            os.seteuid(65534)
        with pytest.raises(JournalError, match=f"^journal `{directory}`: permission denied$"):
            Journal.open(directory)
    finally:
        os.seteuid(me)
        directory.chmod(0o700)
    # The lock of a refused start is free again.
    Journal.open(directory).close()
    shutil.rmtree(directory)


def test_files_are_for_their_owner_alone(tmp_path):
    written(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a" / "b").iterdir()} == {0o600}


def test_a_payload_that_is_too_long_is_refused_at_once(tmp_path):
    journal = Journal.open(tmp_path)
    with pytest.raises(ValueError, match="16777216 at most"):
        journal.append(bytes(LONGEST + 1))
    assert journal.waiting == 0
    journal.append(bytes(LONGEST))
    assert journal.write_now()
    journal.close()
    assert read(tmp_path) == [bytes(LONGEST)]


@LAW
@given(st.lists(st.lists(st.binary(max_size=80), max_size=9), max_size=12), st.integers(HEADER, 600), st.data())
def test_any_payloads_in_any_ticks_and_segments_come_back(tmp_path_factory, ticks, limit, data):
    directory = tmp_path_factory.mktemp("journal")
    entries, payloads = [], []
    journal = Journal.open(directory, limit=limit)
    for tick in ticks:
        for payload in tick:
            entries.append(journal.append(payload))
            payloads.append(payload)
        assert journal.write_now()
        what = data.draw(st.sampled_from(["go on", "sync", "open anew"]))
        if what == "sync":
            journal.sync()
        elif what == "open anew":
            journal.close()
            journal = Journal.open(directory, limit=limit)
    journal.close()
    expected = [(entry.end, payload) for entry, payload in zip(entries, payloads, strict=True)]
    assert list(recover(directory)) == expected
    since = data.draw(st.sampled_from([START, *(end for end, _ in expected)]))
    assert list(recover(directory, since)) == [one for one in expected if one[0] > since]
    shutil.rmtree(directory)
