"""The store `sqlite` as a file on a disk: whole, once, for its owner alone, whatever happens."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from adapters.stores.sqlite import Sqlite
from adapters.stores.sqlite.file import connect, prepare
from adapters.stores.sqlite.schema import MIGRATIONS, Migration
from engine.storing import Batch, Entity, Kind, Scope, SpendRow, Store, StoreError
from tests.adapters.stores.folding import START, position_of, rows_of

ROOT = Path(__file__).resolve().parents[3]
SECRET = "sk-a-key-that-nobody-may-read"
EVERY = list(range(1, len(MIGRATIONS) + 1))
HASH = hashlib.sha256(SECRET.encode()).hexdigest()


def run(task: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.adapters.stores.folding", task, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path):
    opened: Store = Sqlite({"path": path})
    yield opened
    opened.close()


def numbers(path: Path) -> list[int]:
    connection = connect(path)
    found = [row[0] for row in connection.execute("SELECT number FROM migrations ORDER BY number")]
    connection.close()
    return found


def test_the_file_is_its_owners_alone(store, path):
    store.fold(Batch(position_of(0), rows_of(0)))
    files = sorted(path.parent.iterdir())
    assert [one.name for one in files] == ["store.sqlite", "store.sqlite-shm", "store.sqlite-wal"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_a_file_that_others_may_read_is_closed_to_them(path):
    Sqlite({"path": path}).close()
    path.chmod(0o644)
    Sqlite({"path": path}).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_settings_of_the_database(store):
    for connection in (store._writer, store._reader):
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        ]
        assert found == ["wal", 1, 2, 10_000]


def test_migrations_are_applied_once(path):
    for _ in range(3):
        Sqlite({"path": path}).close()
    assert numbers(path) == EVERY


def test_processes_that_open_a_store_together_migrate_it_once(path, tmp_path):
    command = [sys.executable, "-m", "tests.adapters.stores.folding", "open_together", path, tmp_path / "go"]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 3
    assert numbers(path) == EVERY


def dump(path: Path) -> list[str]:
    connection = connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


def broken(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM spend_logs")
    connection.execute("CREATE TABLE half (id INTEGER)")
    raise RuntimeError("a row is not as expected")


@pytest.mark.parametrize("step", [broken, ("DELETE FROM spend_logs", "ALTER TABLE nowhere ADD COLUMN x")])
def test_a_migration_that_fails_leaves_the_data(path, step):
    first = Sqlite({"path": path})
    first.fold(Batch(position_of(0), rows_of(0, 5)))
    first.close()
    before = dump(path)
    with pytest.raises(StoreError, match=rf"migration {EVERY[-1] + 1} \(next\) failed, and changed nothing: "):
        prepare(path, [*MIGRATIONS, Migration("next", step)])
    assert dump(path) == before
    prepare(path, [*MIGRATIONS, Migration("next", ("CREATE TABLE next (id INTEGER)",))])
    assert numbers(path) == [*EVERY, EVERY[-1] + 1]
    with pytest.raises(StoreError, match=f"is of version {EVERY[-1] + 1}; this program knows {EVERY[-1]}"):
        Sqlite({"path": path})


def test_what_is_no_database_is_refused_and_kept(path):
    path.write_text("an important letter " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Sqlite({"path": path})
    assert path.read_text() == "an important letter " * 100


def test_any_path_will_do(tmp_path):
    directory = tmp_path / "a b?mode=ro&c#d%41é"
    directory.mkdir()
    store = Sqlite({"path": str(directory / "50%.sqlite")})
    store.put(Entity(Kind.TEAM, "t"))
    assert {one.name for one in directory.iterdir()} == {"50%.sqlite", "50%.sqlite-shm", "50%.sqlite-wal"}
    store.close()


def test_another_processes_transaction_is_waited_for(store, path):
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    late = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    late.start()
    store.put(Entity(Kind.TEAM, "t"))
    assert late.finished.is_set()
    late.join()
    other.close()
    assert store.get(Kind.TEAM, "t") is not None


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="no such file or directory"):
        Sqlite({"path": tmp_path / "nowhere" / "store.sqlite"})


def expected(batches: int) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = {}
    for batch in range(batches):
        for row in rows_of(batch):
            requests, spend = sums.get(row.team_id, (0, 0))
            sums[row.team_id] = requests + 1, spend + row.spend
    return sums


def test_a_killed_fold_counts_all_or_nothing_and_a_replay_counts_nothing_twice(path):
    kills = [("INSERT INTO spend_logs", 6), ("behind a fold", 1), ("INSERT INTO rollups", 9), ("COMMIT", 2)]
    kills += [("INSERT OR REPLACE INTO positions", 2), ("behind a fold", 2)]
    batches = 8
    for statement, times in kills:
        done = run("fold_until_killed", path, statement, times, batches)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert replayed(path, batches) == position_of(3)


def test_kills_at_any_moment_count_nothing_twice(path):
    batches = 40
    for delay in (0.01, 0.02, 0.05, 0.08, 0.13):
        command = [sys.executable, "-m", "tests.adapters.stores.folding", "fold_until_killed", path, "never", "1", "40"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(delay)
            process.kill()
    assert replayed(path, batches) < position_of(batches - 1)


def replayed(path: Path, batches: int) -> tuple[int, int]:
    """Fold all batches again, check all that is stored, and return the position reached before."""
    store = Sqlite({"path": path})
    reached = store.position()
    folded = [store.fold(Batch(position_of(batch), rows_of(batch))) for batch in range(batches)]
    assert folded == [position_of(batch) > reached for batch in range(batches)]
    sums = {value: (one.requests, one.spend) for value, one in store.totals(Scope.TEAM).items()}
    assert sums == expected(batches)
    count = store._reader.execute("SELECT count(*), count(DISTINCT request_id) FROM spend_logs").fetchone()
    assert count == (400 * batches, 400 * batches)
    assert store._reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
    return reached


def test_a_full_disk_is_an_error_and_loses_nothing(path):
    done = run("fill_the_disk", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"store `{path}`: " in done.stdout
    assert "disk" in done.stdout
    store = Sqlite({"path": path})
    assert {value: (one.requests, one.spend) for value, one in store.totals(Scope.TEAM).items()} == expected(2)
    store.close()


@pytest.mark.parametrize("there", [False, True])
def test_a_read_only_directory_is_an_error_and_loses_nothing(there):
    directory = Path(tempfile.mkdtemp())
    path = directory / "store.sqlite"
    try:
        if there:
            store = Sqlite({"path": path})
            store.fold(Batch(position_of(0), rows_of(0)))
            store.close()
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
        directory.chmod(0o555)
        done = run("write_where_nobody_may", path)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"store `{path}`: its directory cannot be written" in done.stdout
        directory.chmod(0o755)
        store = Sqlite({"path": path})
        assert len(store.totals(Scope.TEAM)) == (50 if there else 0)
        store.close()
    finally:
        directory.chmod(0o755)
        shutil.rmtree(directory)


def test_a_file_that_was_moved_is_written_no_more_until_it_is_back(store, path):
    """SQLite would go on writing to it, and what is folded is let go of elsewhere."""
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(StoreError, match="no such file"):
        store.fold(Batch(position_of(0), rows_of(0)))
    path.touch()
    with pytest.raises(StoreError, match="another file is in its place"):
        store.fold(Batch(position_of(0), rows_of(0)))
    path.with_name("elsewhere").rename(path)
    assert store.fold(Batch(position_of(0), rows_of(0)))


def test_no_secret_reaches_the_disk(store, path):
    for wrong in (SECRET, HASH.upper(), ""):
        with pytest.raises(StoreError, match="by its SHA-256") as caught:
            store.put(Entity(Kind.KEY, wrong))
        assert SECRET not in str(caught.value)
    for document in ({"key": SECRET}, {"metadata": {"notes": ["old", SECRET]}}, {SECRET: 1}):
        with pytest.raises(StoreError, match="clear text is never stored"):
            store.put(Entity(Kind.KEY, HASH, document=document))
        with pytest.raises(StoreError, match="clear text is never stored"):
            store.fold(Batch((1, 1), changes=[Entity(Kind.KEY, HASH, document=document)]))
    store.put(Entity(Kind.KEY, HASH, "mine", document={"key_name": "sk-...read"}))
    store.fold(Batch((1, 1), [SpendRow("one", START, api_key=SECRET, spend=7)]))
    assert store.log("one")[0].api_key == HASH
    assert store.get(Kind.KEY, HASH).spend == 7
    for file in path.parent.iterdir():
        assert SECRET.encode() not in file.read_bytes()


def test_the_example_prints_what_was_spent(tmp_path):
    command = [sys.executable, ROOT / "examples" / "stores" / "report.py", tmp_path]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert [line.split() for line in done.stdout.splitlines()] == [
            ["team", "requests", "failed", "tokens", "USD"],
            ["search", "2", "0", "3080", "0.043500"],
            ["support", "1", "1", "40", "0.000000"],
            ["model", "requests", "failed", "tokens", "USD"],
            ["large", "1", "0", "2100", "0.042000"],
            ["small", "2", "1", "1020", "0.001500"],
        ]
