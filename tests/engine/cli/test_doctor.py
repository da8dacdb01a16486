"""`interlock doctor` as a process, on machines that have each fault for real."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.doctor import clock, open_files, python

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def doctor(tmp_path):
    """Run the command in an empty directory, with `first` searched for modules before ours."""

    def run(*options: str, first: Path | None = None, files: int | None = None, **environ: str):
        def limit() -> None:
            if files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        path = os.pathsep.join(map(str, filter(None, (first, ROOT))))
        plain = {k: v for k, v in os.environ.items() if not k.endswith("_DATA")}
        done = subprocess.run(
            [sys.executable, "-c", "from engine.cli.main import main; main()", "doctor", *options],
            cwd=tmp_path, env={**plain, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **environ},
            capture_output=True, text=True, check=False, preexec_fn=limit,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    return run


def test_here_all_is_well_and_nothing_is_left_behind(doctor, tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    code, out = doctor("--port", str(port))
    assert code == 0, out
    lines = out.splitlines()
    assert {line.split(": ")[0] for line in lines} <= {"ok", "warn"}
    for what in (
        "python 3.",
        "uvloop is compiled",
        "httptools is compiled",
        "orjson is compiled",
        "C parser is active",
    ):
        assert any(line.startswith("ok: ") and what in line for line in lines), what
    assert "ok: package names are ours alone" in lines
    assert "ok: data directory `interlock-data`" in lines
    assert f"ok: port {port} is free" in lines
    assert list(tmp_path.iterdir()) == []


def test_json_says_the_same(doctor, tmp_path):
    (tmp_path / "file").write_text("")
    code, out = doctor("--json", "--data", str(tmp_path / "file" / "below"))
    report = json.loads(out)
    assert code == 1
    assert report["good"] is False
    (failed,) = [one for one in report["findings"] if one["level"] == "fail"]
    assert failed["what"].endswith("not a directory")
    assert "--data" in failed["advice"]
    assert all(set(one) == {"level", "what", "advice"} for one in report["findings"])


def test_another_owner_of_our_names_is_named(doctor, tmp_path):
    info = tmp_path / "site" / "old_motor-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: old-motor\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("engine\n")
    code, out = doctor(first=tmp_path / "site")
    assert code == 1
    assert "fail: `engine` is also a package of `old-motor`: pip uninstall old-motor" in out
    assert "ours alone" not in out


def test_a_package_of_our_name_that_comes_first_is_found(doctor, tmp_path):
    (tmp_path / "site" / "adapters").mkdir(parents=True)
    (tmp_path / "site" / "adapters" / "__init__.py").write_text("")
    code, out = doctor(first=tmp_path / "site")
    assert code == 1
    assert f"fail: `adapters` is found in `{tmp_path / 'site'}`" in out


def test_a_library_without_its_compiled_part_fails(doctor, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "orjson.py").write_text("def dumps(value): ...\n")
    (tmp_path / "site" / "uvloop.py").write_text("raise ImportError('no', name='uvloop')\n")
    code, out = doctor(first=tmp_path / "site", AIOHTTP_NO_EXTENSIONS="1")
    assert code == 1
    assert "fail: orjson has no compiled part: install a wheel" in out
    assert "fail: uvloop is missing: install a wheel" in out
    assert "fail: aiohttp's C parser is turned off: unset AIOHTTP_NO_EXTENSIONS" in out


def test_few_files_fail(doctor):
    code, out = doctor(files=256)
    assert code == 1
    assert "fail: open files: only 256: raise the hard limit" in out


def test_a_port_in_use_and_an_open_directory_only_warn(doctor, tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        code, out = doctor("--port", str(port), INTERLOCK_DATA=str(tmp_path / "state"))
    assert code == 0
    assert f"warn: port {port}: address already in use: stop what uses it" in out
    assert f"others may look into it: chmod 700 {tmp_path / 'state'}" in out


def test_a_directory_that_a_gateway_holds_is_no_fault(doctor, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    with (tmp_path / "state" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, out = doctor("--data", str(tmp_path / "state"))
    assert code == 0
    assert "in use by a gateway that runs now" in out


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (python((3, 10, 4)), "fail: python 3.10.4 is too old: use 3.11 or newer"),
        (python((3, 11, 0)), "ok: python 3.11.0"),
        (open_files(resource.RLIM_INFINITY), "ok: open files: unlimited"),
        (open_files(1_023), "fail: open files: only 1023: raise the hard limit"),
        (open_files(1_024), "warn: open files: 1024, fewer than 12000 for 10,000 clients"),
        (open_files(12_000), "ok: open files: 12000"),
        (clock(0, 0), "fail: clock: 1970-01-01 00:00 UTC cannot be: set the clock"),
        (clock(1_800_000_000, 1_800_000_001), "fail: clock: 2027-01-15 08:00 UTC is before this program was installed"),
        (clock(1_800_000_001, 1_800_000_000), "ok: clock: 2027-01-15 08:00 UTC"),
        (clock(5e9, 0), "fail: clock: 2128-06-11 08:53 UTC cannot be"),
    ],
)
def test_the_bounds(finding, line):
    assert str(finding).startswith(line)


def test_where_counters_are_is_tried(doctor, valkey):
    assert "ok: counters: in the memory of one process" in doctor()[1].splitlines()
    _, out = doctor(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))
    assert f"ok: counters: Redis at 127.0.0.1:{valkey.port}" in out.splitlines()
    code, out = doctor(REDIS_URL=f"redis://u:geheim@127.0.0.1:{valkey.port}/0")
    assert code == 1
    assert (
        f"fail: counters: Redis at 127.0.0.1:{valkey.port}: Redis at 127.0.0.1:{valkey.port} refused: WRONGPASS" in out
    )
    assert "geheim" not in out
    code, out = doctor(REDIS_HOST="127.0.0.1", REDIS_PORT="1")
    assert code == 1
    assert "no connection to 127.0.0.1:1" in out
