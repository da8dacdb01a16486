"""Disks that are full, read-only, damaged or taken: no call is taken that cannot be recorded, and no record is lost or doubled."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.digest import digest
from tests.end_to_end.books import closed, lines, logged, metric, nano, spent
from tests.end_to_end.wires import Wire, chat, eventually, post, threaded
from tests.running import MASTER, Gateway

KEY = "sk-disk-0123456789abcdef"
IN, OUT = nano(0.001), nano(0.002)
WORDS = " ".join(f"word{number}" for number in range(80))
LONG = " ".join(f"word{number}" for number in range(700))
DISK = 16 * 1024 * 1024
PRICE = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.002}
CONFIG = yaml.safe_dump(
    {
        "model_list": [
            {"model_name": "echo", "litellm_params": {"model": "echo/echo", **PRICE}},
            {"model_name": "late", "litellm_params": {"model": "echo/echo", "echo_delay_ms": 1500, **PRICE}},
            {"model_name": "slow", "litellm_params": {"model": "echo/echo", "echo_frame_delay_ms": 30, **PRICE}},
        ],
        "general_settings": {"master_key": MASTER},
        "litellm_settings": {"virtual_keys": [{"api_key": KEY, "max_budget": 1000}]},
    }
)


class Mounted:
    """A small disk of its own, as root can make one."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "disk" / "data"
        self._disk = folder / "disk"
        self._disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", self._disk], check=True)

    def fill(self, running: Gateway) -> None:
        """Leave no block; what is left of the last one of a file is used up by calls of no budget."""
        with (self._disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        assert running.process is not None
        if running.process.poll() is None:
            assert eventually(lambda: running.chat("word", max_tokens=16).status == 503)

    def free(self, running: Gateway) -> None:
        del running
        (self._disk / "ballast").unlink()

    def protect(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self._disk], check=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", self._disk], check=True)


class Limited:
    """No file of the gateway may grow any more: so a full disk looks to any user's process."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"

    def fill(self, running: Gateway) -> None:
        self._limit(running, 0)

    def free(self, running: Gateway) -> None:
        self._limit(running, resource.RLIM_INFINITY)

    def _limit(self, running: Gateway, size: int) -> None:
        assert running.process is not None
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def close(self) -> None:
        """Nothing is left of it."""


@pytest.fixture(params=[Limited, Mounted])
def disk(request, tmp_path) -> Iterator[Any]:
    try:
        made = request.param(tmp_path)
    except (subprocess.CalledProcessError, OSError):
        pytest.skip("this user may mount nothing")
    yield made
    made.close()


@pytest.fixture
def start(tmp_path) -> Iterator[Any]:
    """Start gateways on a data directory; each is stopped at the end."""
    runs: list[Gateway] = []
    with threaded() as upstream:
        lab = {
            "kind": "PassThrough",
            "name": "lab",
            "path": "/lab",
            "target": f"http://127.0.0.1:{upstream.port}",
            "cost": 0.5,
        }
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "p.yaml").write_text(yaml.safe_dump(lab))
        policies = ("--policies", str(tmp_path / "policies"))

        def one(data: Path) -> Gateway:
            runs.append(Gateway(tmp_path / f"run{len(runs)}", CONFIG, ("--data", str(data), *policies), {}))
            return runs[-1].start()

        yield one
        for run in runs:
            run.stop(seconds=40)


def kill(running: Gateway) -> None:
    assert running.process is not None
    running.process.kill()
    running.process.wait()


def refused(running: Gateway) -> str:
    """Check that a start was refused; return what was said."""
    assert running.process is not None
    assert running.process.wait(10) == 2
    assert "Traceback" not in running.log
    return running.log


def unavailable(running: Gateway) -> None:
    """Check that no call is taken, whatever it is."""
    for path, body in (
        ("/v1/chat/completions", chat()),
        ("/v1/chat/completions", chat(stream=True)),
        ("/v1/embeddings", {"model": "echo", "input": "hello"}),
        ("/lab/x", {}),
    ):
        answer = running.post(path, body, KEY)
        error = answer.json()["error"]
        assert (answer.status, error["type"]) == (503, "journal_unavailable")
        assert error["message"].startswith("spend cannot be recorded (")
        assert error["message"].endswith("), so no call is taken; try again soon")
    ready = running.get("/health/readiness", key=None)
    assert (ready.status, ready.json()["status"]) == (503, "unhealthy")
    assert ready.json()["journal"] in {"File too large", "No space left on device", "only a part was written"}
    assert running.get("/health/liveliness", key=None).status == 200


def healthy(running: Gateway) -> bool:
    return eventually(lambda: running.get("/health/readiness", key=None).status == 200)


def test_a_full_disk_takes_no_call_loses_none_under_way_and_heals_by_itself(disk, start):
    running = start(disk.data)
    assert running.chat("one two", key=KEY, max_tokens=16).status == 200
    with Wire(running) as late, Wire(running) as stream, Wire(running) as long:
        late.send(post(chat("late", WORDS, max_tokens=80), key=KEY))
        stream.send(post(chat("slow", WORDS, max_tokens=80, stream=True), key=KEY)).until(b'"content":"word0')
        long.send(post(chat("echo", LONG), "connection: close", key=KEY)).until(b"\r\n\r\n")
        disk.fill(running)
        unavailable(running)
        said = stream.until(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert b"word79" in said
        answer = late.answer()
    assert (answer.status, answer.headers["x-litellm-response-cost"]) == (200, "0.240000000")
    unavailable(running)
    assert metric(running, "interlock_journal_records_waiting") >= 2
    assert metric(running, "interlock_open_holds") == 0
    disk.free(running)
    assert healthy(running)
    assert metric(running, "interlock_journal_records_waiting") == 0
    assert running.chat("one two", key=KEY, max_tokens=16).status == 200
    costs = sorted([2 * (IN + OUT), 2 * (IN + OUT), 80 * (IN + OUT), 80 * (IN + OUT), 700 * (IN + OUT)])
    rows = logged(running, api_key=KEY)
    assert sorted(nano(row["spend"]) for row in rows) == costs
    assert [row["metadata"] for row in rows] == [{}] * 5
    assert spent(running, KEY) == sum(costs)
    assert "journal can be written again" in running.log
    # A log on the full disk is without the line that says so.
    assert isinstance(disk, Limited) or "journal cannot be written" in running.log
    kill(running)
    again = start(disk.data)
    assert sorted(row.spend for row in lines(disk.data) if row.api_key == digest(KEY)) == costs
    assert spent(again, KEY) == sum(costs)


def test_a_stream_that_can_hold_no_more_is_ended_well_and_pays_what_was_said(disk, start):
    running = start(disk.data)
    with Wire(running) as wire:
        wire.send(post(chat("slow", LONG, stream=True), "connection: close", key=KEY)).until(b'"content":"word0')
        disk.fill(running)
        said = wire.rest()
    assert b"\n: spend cannot be recorded (" in said
    assert said.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert said.count(b'"finish_reason":"length"') == 1
    assert closed(running)
    disk.free(running)
    assert healthy(running)
    (row,) = logged(running, api_key=KEY)
    assert 200 < row["completion_tokens"] <= 256
    assert nano(row["spend"]) == 700 * IN + row["completion_tokens"] * OUT == spent(running, KEY)


@pytest.mark.parametrize("disk", [Limited], indirect=True)
def test_a_kill_on_a_full_disk_charges_what_was_held(disk, start):
    running = start(disk.data)
    with Wire(running) as wire:
        wire.send(post(chat("late", "one two", max_tokens=80), key=KEY))
        assert eventually(lambda: metric(running, "interlock_open_holds") == 1)
        disk.fill(running)
        assert wire.answer().status == 200
    kill(running)
    again = start(disk.data)
    (row,) = lines(disk.data)
    assert (row.spend, row.estimated) == (2 * IN + 80 * OUT, True)
    assert spent(again, KEY) == row.spend


def test_a_gateway_that_finds_its_disk_full_refuses_to_start_and_starts_once_there_is_room(tmp_path, start):
    try:
        disk = Mounted(tmp_path)
    except (subprocess.CalledProcessError, OSError):
        pytest.skip("this user may mount nothing")
    try:
        running = start(disk.data)
        assert running.chat("one two", key=KEY, max_tokens=16).status == 200
        kill(running)
        disk.fill(running)
        log = refused(start(disk.data))
        assert str(disk.data) in log
        disk.free(running)
        again = start(disk.data)
        assert again.chat("one two", key=KEY, max_tokens=16).status == 200
        assert [nano(row["spend"]) for row in logged(again, api_key=KEY)] == [2 * (IN + OUT)] * 2
        again.stop()
    finally:
        disk.close()


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_a_data_directory_that_is_read_only_keeps_a_gateway_from_starting(tmp_path, start, used):
    try:
        disk: Any = Mounted(tmp_path) if os.geteuid() == 0 else Limited(tmp_path)
    except (subprocess.CalledProcessError, OSError):
        pytest.skip("root may write everywhere, and cannot mount anything here")
    try:
        disk.data.mkdir()
        if used:
            assert start(disk.data).stop() == 0
        disk.protect() if isinstance(disk, Mounted) else disk.data.chmod(0o500)
        log = refused(start(disk.data))
        assert str(disk.data) in log
        assert "read-only" in log or "cannot be written" in log or "permission denied" in log
    finally:
        disk.close()


def test_a_second_gateway_is_refused_by_whatever_name_the_directory_goes(tmp_path, start):
    first = start(tmp_path / "data")
    assert first.chat("one two", key=KEY, max_tokens=16).status == 200
    (tmp_path / "alias").symlink_to(tmp_path / "data")
    log = refused(start(tmp_path / "alias"))
    assert f"data directory `{tmp_path / 'alias'}` is in use by another gateway" in log
    assert first.chat("one two", key=KEY, max_tokens=16).status == 200
    assert len(logged(first, api_key=KEY)) == 2


def whole(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("damage", ["garbage", "first page", "newer", "folder"])
def test_a_database_that_cannot_be_opened_keeps_a_gateway_from_starting_and_stays_as_it_was(tmp_path, start, damage):
    data = tmp_path / "data"
    first = start(data)
    assert first.chat("one two", key=KEY, max_tokens=16).status == 200
    kill(first)
    path = data / "interlock.db"
    good = {name: (data / name).read_bytes() for name in ("interlock.db", "interlock.db-wal")}
    if damage == "newer":
        newer(path)
    else:
        for name in good:
            (data / name).unlink()
        if damage == "folder":
            path.mkdir()
        else:
            path.write_bytes(b"x" * 8192 if damage == "garbage" else b"SQLite format 3\0" + b"\xff" * 8176)
    before = whole(data)
    log = refused(start(data))
    assert f"store `{path}`" in log
    assert {**whole(data), "interlock.db-shm": b""} == {**before, "interlock.db-shm": b""}
    path.rmdir() if damage == "folder" else path.unlink()
    for name, content in good.items():
        (data / name).write_bytes(content)
    again = start(data)
    assert [nano(row["spend"]) for row in logged(again, api_key=KEY)] == [2 * (IN + OUT)]


def test_a_database_that_goes_away_meanwhile_stops_no_call_and_has_them_all_once_it_is_back(tmp_path, start):
    data = tmp_path / "data"
    running = start(data)
    assert running.chat("one two", key=KEY, max_tokens=16).status == 200
    assert len(logged(running, api_key=KEY)) == 1
    (data / "interlock.db").rename(tmp_path / "away")
    for _ in range(3):
        assert running.chat("one two", key=KEY, max_tokens=16).status == 200
    assert eventually(lambda: running.get("/health/readiness", key=None).json()["db"] != "connected")
    ready = running.get("/health/readiness", key=None)
    assert (ready.status, ready.json()["journal"]) == (200, "healthy")
    assert str(data / "interlock.db") in ready.json()["db"]
    (tmp_path / "away").rename(data / "interlock.db")
    assert eventually(lambda: running.get("/health/readiness", key=None).json()["db"] == "connected", 60)
    assert [nano(row["spend"]) for row in logged(running, api_key=KEY)] == [2 * (IN + OUT)] * 4
    (data / "interlock.db").rename(tmp_path / "away")
    assert running.chat("one two", key=KEY, max_tokens=16).status == 200
    assert running.chat("one two", key=KEY, max_tokens=16).status == 200
    kill(running)
    (tmp_path / "away").rename(data / "interlock.db")
    again = start(data)
    assert [row.spend for row in lines(data)] == [2 * (IN + OUT)] * 6
    assert spent(again, KEY) == 12 * (IN + OUT)


def newer(path: Path) -> None:
    """Let a program of a later version have had the database."""
    code = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute(\"INSERT INTO migrations VALUES (99, 'to come', 'x')\")\n"
        "connection.commit()\n"
        "connection.close()\n"
    )
    subprocess.run(["python3", "-c", code, str(path)], check=True)
