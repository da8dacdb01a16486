"""`interlock doctor`: look for what would keep the gateway from running well on this machine, without starting it."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import click

import engine
from engine.data_dir import DEFAULT

DISTRIBUTION = "interlock-gateway"
PACKAGES = ("engine", "policies", "adapters")
OLDEST = (3, 11)
COMPILED = {"uvloop": "uvloop.loop", "httptools": "httptools.parser.parser", "orjson": "orjson.orjson", "msgspec": "msgspec._core"}  # fmt: skip
"""Libraries the request path leans on, and the module of each that must be compiled."""
FILES_NEEDED, FILES_WANTED = 1_024, 12_000
"""Open files without which little works; and those of 10,000 clients and their upstreams."""
DISK_WANTED = 256 * 1024 * 1024
EARLIEST, LATEST = 1_750_000_000, 4_102_444_800
"""Unix seconds, 2025 to 2100, between which a clock is believed."""

Level = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """What one check found, and what to do about it."""

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, self))


@click.command("doctor")
@click.option("--data", type=click.Path(path_type=Path), help="Directory of all state.  [default: ./interlock-data]")
@click.option("--port", default=4000, show_default=True, help="Port to be served.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration that says where counters are.  [default: config.yaml]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(data: Path | None, port: int, config: Path | None, as_json: bool) -> None:
    """Look for what would keep the gateway from running well here."""
    directory = data or Path(os.environ.get("INTERLOCK_DATA") or os.environ.get("LITELLM_DATA") or DEFAULT)
    findings = list(examine(directory, port))
    if not any(finding.level == "fail" for finding in findings):
        # Where libraries are missing no configuration can be read.
        findings += counters(config)
    failed = any(finding.level == "fail" for finding in findings)
    if as_json:
        print(json.dumps({"good": not failed, "findings": [finding._asdict() for finding in findings]}, indent=2))
    else:
        print("\n".join(map(str, findings)))
    sys.exit(int(failed))


def examine(directory: Path, port: int) -> Iterator[Finding]:
    """Make every check."""
    yield python(sys.version_info[:3])
    for library, module in COMPILED.items():
        yield compiled(library, module)
    yield http_parser()
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield from owners(importlib.metadata.packages_distributions())
    yield data_directory(directory)
    yield clock(time.time(), Path(engine.__file__).stat().st_mtime)
    yield free_port(port)


def counters(config: Path | None) -> Iterator[Finding]:
    """Look whether the Redis can be reached that a configuration or the environment names."""
    from engine.config.litellm import load  # noqa: PLC0415 - what it needs may be what is missing
    from engine.contracts import Deps  # noqa: PLC0415 - as above
    from engine.extensions import Extensions  # noqa: PLC0415 - as above
    from engine.outside import Offline, SystemClock  # noqa: PLC0415 - as above

    named = config or (Path("config.yaml") if Path("config.yaml").exists() else None)
    loaded = load(named, os.environ)
    if loaded.spec is None:
        yield Finding(
            "fail", f"counters: nobody knows where, `{named or 'the environment'}` is no good", "see `interlock check`"
        )
        return
    said = loaded.spec.redis
    if said is None:
        yield Finding("ok", "counters: in the memory of one process")
        return
    registry = Extensions(Deps(SystemClock(), Random(), Offline(), os.environ))  # noqa: S311 - nothing is drawn
    try:
        wrong = asyncio.run(registry.counters("redis", SystemClock(), said.mapping()).ping())
    except ValueError as error:
        wrong = str(error)
    what = f"counters: Redis at {said.place}"
    yield Finding("fail", f"{what}: {wrong}", "start it, or correct where it is") if wrong else Finding("ok", what)


def python(version: tuple[int, ...]) -> Finding:
    """Look at the interpreter's version."""
    name = ".".join(map(str, version))
    if version[:2] < OLDEST:
        return Finding("fail", f"python {name} is too old", f"use {'.'.join(map(str, OLDEST))} or newer")
    return Finding("ok", f"python {name}")


def compiled(library: str, module: str) -> Finding:
    """Look whether a library is there with its compiled part."""
    advice = f"install a wheel of it for this machine: pip install --force-reinstall {library}"
    try:
        importlib.import_module(library)
        file = importlib.import_module(module).__file__ or ""
    except ImportError as error:
        missing = error.name == library
        return Finding("fail", f"{library} {'is missing' if missing else 'has no compiled part'}", advice)
    if not file.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
        return Finding("fail", f"{library} is not compiled", advice)
    return Finding("ok", f"{library} is compiled")


def http_parser() -> Finding:
    """Look whether aiohttp parses with its C extension: its Python one is slower, and laxer in what it takes."""
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        return Finding("fail", "aiohttp's C parser is turned off", "unset AIOHTTP_NO_EXTENSIONS")
    found = compiled("aiohttp", "aiohttp._http_parser")
    return found if found.level == "fail" else Finding("ok", "aiohttp's C parser is active")


def open_files(most: int) -> Finding:
    """Look how many files and sockets the process may open; the gateway raises its own limit to the hard one."""
    if most == resource.RLIM_INFINITY or most >= FILES_WANTED:
        return Finding("ok", f"open files: {'unlimited' if most == resource.RLIM_INFINITY else most}")
    advice = "raise the hard limit: `ulimit -Hn 65536`, LimitNOFILE= of systemd, --ulimit of docker"
    if most < FILES_NEEDED:
        return Finding("fail", f"open files: only {most}", advice)
    return Finding("warn", f"open files: {most}, fewer than {FILES_WANTED} for 10,000 clients", advice)


def owners(installed: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Look whether another distribution installs packages of our names, which one would then hide the other."""
    clear = True
    home = Path(engine.__file__).parent.parent
    for package in PACKAGES:
        for other in sorted({name for name in installed.get(package, ()) if name.lower() != DISTRIBUTION}):
            clear = False
            yield Finding("fail", f"`{package}` is also a package of `{other}`", f"pip uninstall {other}, or use a venv of its own")  # fmt: skip
        spec = importlib.util.find_spec(package)
        place = Path(spec.origin).parent.parent if spec is not None and spec.origin else None
        if place != home:
            clear = False
            yield Finding("fail", f"`{package}` is found in `{place}`, not in `{home}`", "remove it there, or look at PYTHONPATH")  # fmt: skip
    if clear:
        yield Finding("ok", "package names are ours alone")


def data_directory(path: Path) -> Finding:
    """Look whether the gateway may keep its state there; nothing is left behind."""
    existing = next((one for one in (path, *path.absolute().parents) if one.exists()), Path("/"))
    advice = "choose another with --data, or give this user the right to write"
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return Finding("fail", f"data directory `{path}`: {reason}", advice)
    free = shutil.disk_usage(existing).free
    if free < DISK_WANTED:
        return Finding("warn", f"data directory `{path}`: {free // 1024**2} MB free", "make room: records need some")
    if path.exists() and path.stat().st_mode & 0o077:
        return Finding("warn", f"data directory `{path}`: others may look into it", f"chmod 700 {path}")
    if _held(path / "lock"):
        return Finding("ok", f"data directory `{path}`: in use by a gateway that runs now")
    return Finding("ok", f"data directory `{path}`")


def clock(now: float, installed: float) -> Finding:
    """Look whether the clock can be believed: keys expire and budgets begin anew by it."""
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if not EARLIEST <= now <= LATEST:
        return Finding("fail", f"clock: {shown} cannot be", "set the clock, for example by NTP")
    if now < installed:
        return Finding("fail", f"clock: {shown} is before this program was installed", "set the clock, for example by NTP")  # fmt: skip
    return Finding("ok", f"clock: {shown}")


def free_port(port: int) -> Finding:
    """Look whether the port is free."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("0.0.0.0", port))  # noqa: S104 - nothing listens: it is bound and let go
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            return Finding("warn", f"port {port}: {reason}", "stop what uses it, or serve another with --port")
    return Finding("ok", f"port {port} is free")


def _held(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
