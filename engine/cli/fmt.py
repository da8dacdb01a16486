"""`interlock fmt`: policy files as they should be written."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from engine.authoring.format import formatted
from engine.cli.check import DIRECTORIES
from engine.documents import find
from engine.documents.files import TESTS


@click.command("fmt")
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file should be written otherwise.")
@click.option("--diff", is_flag=True, help="Change nothing; show what would change.")
def command(paths: tuple[str, ...], check: bool, diff: bool) -> None:
    """Put policy files in order: fields, spaces in expressions, blanks. Comments stay, and so does the meaning.

    PATHS are files or directories, by default policies/, then rules/. Exit 0: done. 1: with --check, something would
    change. 2: a file cannot be read or does not load; it is left as it is.
    """
    changed = failed = count = 0
    try:
        files = list(_files(paths))
    except OSError as error:
        print(f"{error.filename}: cannot be read ({(error.strerror or '').lower()})", file=sys.stderr)
        sys.exit(2)
    for name, path in files:
        count += 1
        done = _one(name, Path(path), write=not check and not diff, diff=diff)
        changed += done == 1
        failed += done == 2
    summary = [f"{changed} {'to change' if check or diff else 'changed'}", f"{count - changed - failed} in order"]
    print(", ".join(summary + ([f"{failed} not read"] if failed else [])), file=sys.stderr)
    sys.exit(2 if failed else int(check and changed > 0))


def _files(paths: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """List the files that are meant; raises OSError."""
    chosen = paths or tuple(name for name in DIRECTORIES if Path(name).is_dir())[:1]
    if not chosen:
        print("no directory of policies here: name files or directories", file=sys.stderr)
        sys.exit(2)
    for path in chosen:
        if Path(path).is_dir():
            yield from find(path)
        elif not path.endswith(TESTS):
            yield path, path


def _one(name: str, path: Path, *, write: bool, diff: bool) -> int:
    """Format one file; return 0 in order, 1 changed, 2 failed."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "not UTF-8").lower()
        print(f"{name}: cannot be read ({reason})", file=sys.stderr)
        return 2
    done = formatted(text, name)
    if done.problems:
        print("\n".join(map(str, done.problems)), file=sys.stderr)
        return 2
    if done.left:
        print(f"{name}: {done.left}", file=sys.stderr)
    if done.text == text:
        return 0
    if diff:
        before, after = (one.splitlines(keepends=True) for one in (text, done.text))
        sys.stdout.writelines(difflib.unified_diff(before, after, name, name))
    else:
        print(name)
    if write:
        _write(path.resolve(), done.text)
    return 1


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: the gateway may be watching it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_bytes(text.encode())
    beside.chmod(path.stat().st_mode & 0o7777)
    beside.replace(path)
