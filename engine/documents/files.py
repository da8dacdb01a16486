"""Which files of a directory are policies, and what they hold: read only when nobody is writing them.

Laws of this file:
1. A file is read when inode, size and time of change have stood still for a while, and then whole.
2. An empty file is an error, and so is a directory that cannot be read: what parses as "no rules" must not open the gate.
3. Kubernetes swaps a mounted ConfigMap by one symlink, `..data`: it is resolved once, so that one reading never mixes two.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from engine.config.problems import Mark, Problem

SUFFIXES = (".yaml", ".yml")
TESTS = ("_test.yaml", "_test.yml")
STILL = 0.05
"""Seconds for which a file must not have changed."""
ATTEMPTS = 20
LARGEST = 4 * 1024 * 1024
_SWAPPED = "..data"

Signature = tuple[int, int, int]


class Source(NamedTuple):
    """One policy file: the name a person knows it by, and its text."""

    path: str
    text: str


def find(directory: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """List policy files below a directory in order, each by its name and the path it is read from; raises OSError."""
    return sorted(_walk(os.fspath(directory), set()))


def _walk(directory: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    real = os.path.realpath(directory)
    if real in seen:
        return
    seen.add(real)
    swapped = os.path.realpath(os.path.join(directory, _SWAPPED))  # noqa: PTH118 - names here are text throughout
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name.endswith(("~", ".swp", *TESTS)):
                continue
            path = entry.path
            if entry.is_symlink():
                head, slash, rest = os.readlink(path).partition("/")  # noqa: PTH115 - names here are text throughout
                if head == _SWAPPED and slash:
                    path = f"{swapped}/{rest}"
            if entry.is_dir():
                yield from _walk(entry.path, seen)
            elif name.endswith(SUFFIXES):
                yield entry.path, path


def read_stable(directory: str | os.PathLike[str], still: float = STILL) -> tuple[list[Source], list[Problem]]:
    """Read every policy file once none has changed for `still` seconds; never raises, problems are in the answer."""
    gone: FileNotFoundError | None = None
    for _ in range(ATTEMPTS):
        try:
            found = find(directory)
            before = [_signature(path) for _, path in found]
            if still:
                time.sleep(still)
                if found != find(directory):
                    continue
            texts = [_whole(path, signature) for (_, path), signature in zip(found, before, strict=True)]
        except FileNotFoundError as error:
            if not os.path.isdir(directory):  # noqa: PTH112 - names here are text throughout
                return [], [_unreadable(os.fspath(directory), error)]
            gone = error
            time.sleep(still)
            continue
        except OSError as error:
            return [], [_unreadable(str(error.filename or directory), error)]
        if all(text is not None for text in texts):
            return _decoded([name for name, _ in found], [text or b"" for text in texts])
        gone = None
        time.sleep(still)
    if gone is not None:
        return [], [_unreadable(str(gone.filename), gone)]
    message = "is being written all the time: it is read once it stands still"
    return [], [Problem("error", None, os.fspath(directory), message)]


def _signature(path: str) -> Signature:
    stat = os.stat(path)  # noqa: PTH116 - names here are text throughout
    if not S_ISREG(stat.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _whole(path: str, signature: Signature) -> bytes | None:
    """Read a file that is still as it was; None when it is not."""
    if _signature(path) != signature:
        return None
    content = Path(path).read_bytes() if signature[1] <= LARGEST else b""
    return content if signature[1] > LARGEST or len(content) == signature[1] else None


def _decoded(names: Sequence[str], contents: Sequence[bytes]) -> tuple[list[Source], list[Problem]]:
    sources, problems = [], []
    for name, content in zip(names, contents, strict=True):
        if not content.strip():
            message = "is empty, or too large: a file without policies may be half of one that is being written"
            problems.append(Problem("error", Mark(name, 1, 1), "", message))
            continue
        try:
            sources.append(Source(name, content.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            problems.append(Problem("error", Mark(name, line, 1), "", "is not UTF-8 here: save the file as UTF-8"))
    return sources, problems


def _unreadable(name: str, error: OSError) -> Problem:
    reason = (error.strerror or str(error)).lower()
    return Problem("error", None, name, f"cannot be read ({reason}): the policies that were in force stay")
