"""Records as JSON lines on a real disk: whole lines only, whatever happens."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.sinks.jsonl import LAST, Jsonl

ROOT = Path(__file__).resolve().parents[3]


def line(number: int, size: int = 0) -> bytes:
    return json.dumps({"n": number, "pad": "x" * size}).encode()


def numbers(path: Path) -> list[int]:
    return [json.loads(text)["n"] for text in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records.jsonl"


def test_lines_are_appended_and_nobody_else_reads_them(path):
    sink = Jsonl({"path": path})
    sink.write([line(1), line(2)])
    sink.write([])
    sink.write([line(3)])
    sink.close()
    again = Jsonl({"path": str(path)})
    again.write([line(4)])
    again.close()
    assert numbers(path) == [1, 2, 3, 4]
    assert path.read_bytes().endswith(b"\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_files_are_rotated_by_size_and_the_oldest_goes(path):
    sink = Jsonl({"path": path, "max_bytes": 250, "keep": 2})
    for number in range(1, 8):
        sink.write([line(number, 80)])
    sink.close()
    assert numbers(path) == [7]
    assert numbers(path.with_name("records.jsonl.1")) == [5, 6]
    assert numbers(path.with_name("records.jsonl.2")) == [3, 4]
    assert not path.with_name("records.jsonl.3").exists()


def test_a_batch_larger_than_a_file_is_kept_together(path):
    sink = Jsonl({"path": path, "max_bytes": 10})
    sink.write([line(1), line(2)])
    sink.write([line(3)])
    sink.close()
    assert numbers(path.with_name("records.jsonl.1")) == [1, 2]
    assert numbers(path) == [3]


def test_keeping_no_old_file_keeps_the_new_one(path):
    sink = Jsonl({"path": path, "max_bytes": 10, "keep": 0})
    sink.write([line(1)])
    sink.write([line(2)])
    sink.close()
    assert numbers(path) == [2]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("half", [b'{"n": 2', b"{", b'{"n": 2, "pad": "' + b"x" * (LAST // 2)])
def test_a_half_line_of_a_killed_writer_is_cut_off(path, half):
    path.write_bytes(line(1) + b"\n" + half)
    sink = Jsonl({"path": path})
    sink.write([line(3)])
    sink.close()
    assert numbers(path) == [1, 3]


def test_a_first_line_that_was_never_finished_leaves_nothing(path):
    path.write_bytes(b'{"n": 1')
    Jsonl({"path": path}).close()
    assert path.read_bytes() == b""


def test_a_disk_that_fills_up_leaves_whole_lines(path):
    """A limit on the file's size cuts a write short, as a disk does when it fills up."""
    code = (
        "import sys; from adapters.sinks.jsonl import Jsonl; sink = Jsonl({'path': sys.argv[1]})\n"
        "sink.write([b'{\"n\": 1}'])\n"
        "try: sink.write([b'{\"n\": 2, \"pad\": \"' + b'x' * 200 + b'\"}'])\n"
        "except OSError as error: print(type(error).__name__, error)\n"
        "sink.write([b'{\"n\": 3}'])"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True, preexec_fn=limit,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert "wrote 91 of 220 bytes" in done.stdout
    assert numbers(path) == [1, 3]


def test_a_full_disk_is_an_error(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    sink = Jsonl({"path": tmp_path / "full"})
    with pytest.raises(OSError, match="No space left"):
        sink.write([line(1)])
    sink.close()
