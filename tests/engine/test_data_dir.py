"""The directory of all state: one owner, nobody else looks in."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.data_dir import DataDir, DataDirError

ROOT = Path(__file__).resolve().parents[2]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_for_its_owner_alone(tmp_path):
    held = DataDir.open(tmp_path / "a" / "b")
    assert mode(held.path) == 0o700
    assert mode(held.path / "lock") == 0o600
    held.close()
    assert held.path.is_dir()


def test_a_second_owner_is_refused_until_the_first_has_gone(tmp_path):
    first = DataDir.open(tmp_path)
    with pytest.raises(DataDirError, match="is in use by another gateway; stop it, or choose another with --data"):
        DataDir.open(tmp_path)
    first.close()
    DataDir.open(tmp_path).close()


def test_the_lock_dies_with_its_process(tmp_path):
    code = f"import os, pathlib; from engine.data_dir import DataDir; DataDir.open(pathlib.Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert (tmp_path / "lock").exists()
    DataDir.open(tmp_path).close()


@pytest.mark.parametrize(("below", "reason"), [("file", "file exists"), ("file/below", "not a directory")])
def test_a_path_that_cannot_be_is_refused_with_a_way_out(tmp_path, below, reason):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError) as error:
        DataDir.open(tmp_path / below)
    assert str(error.value).startswith(f"data directory `{tmp_path / below}`: {reason}; ")
    assert "--ephemeral" in str(error.value)


def test_an_ephemeral_one_is_gone_afterwards():
    held = DataDir.ephemeral()
    (held.path / "records.jsonl").write_text("{}\n")
    assert mode(held.path) == 0o700
    held.close()
    assert not held.path.exists()
