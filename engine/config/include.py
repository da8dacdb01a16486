"""A configuration file with the files it includes, as one document whose marks keep their own file."""

from __future__ import annotations

import os
from typing import Any

from engine.config.problems import Path, Problem, dotted, kind_of_value, shown
from engine.config.yaml import Document, read


def gather(path: str | os.PathLike[str]) -> tuple[Document, tuple[str, ...]]:
    """Read a file and its includes, and name every file read; each is read once, what includes itself is an error."""
    file = os.fspath(path)
    document = read(file)
    seen = {os.path.realpath(file): file} if document.readable else {}
    _include(document, file, (file,), seen)
    return document, tuple(seen.values())


def _include(document: Document, file: str, trail: tuple[str, ...], seen: dict[str, str]) -> None:
    """Merge into a document what it includes; `trail` holds the files that led here."""
    wanted = document.value.pop("include", None)
    if wanted is not None and not isinstance(wanted, (str, list)):
        _fault(document, ("include",), f"expected a list of files, found {kind_of_value(wanted)}")
        return
    for index, name in enumerate([wanted] if isinstance(wanted, str) else wanted or []):
        at: Path = ("include",) if isinstance(wanted, str) else ("include", index)
        if not isinstance(name, str):
            _fault(document, at, f"expected the name of a file, found {kind_of_value(name)}")
            continue
        target = os.path.join(os.path.dirname(file), name)  # noqa: PTH118, PTH120 - marks show the path as written
        part = read(target)
        if not part.readable:
            _fault(document, at, f"`{shown(target)}` {part.problems[0].message}")
            continue
        identity = os.path.realpath(target)
        if identity in {os.path.realpath(step) for step in trail}:
            way = " -> ".join(f"`{shown(step)}`" for step in (*trail, target))
            _fault(document, at, f"files include each other in a circle ({way}): remove this line")
        elif identity not in seen:
            seen[identity] = target
            _include(part, target, (*trail, target), seen)
            document.problems += part.problems
            _merge(document, part, (document.value, part.value), ())


def _merge(into: Document, part: Document, values: tuple[dict[str, Any], dict[str, Any]], path: Path) -> None:
    """Merge a part: lists are joined, mappings merged, of two scalars the including file's stays."""
    mine, theirs = values
    for name, value in theirs.items():
        at = (*path, name)
        own = mine.get(name)
        if own is None:
            mine[name] = value
            _adopt(into, part, (at, at), value)
        elif isinstance(own, dict) and isinstance(value, dict):
            _merge(into, part, (own, value), at)
        elif isinstance(own, list) and isinstance(value, list):
            for index, item in enumerate(value):
                _adopt(into, part, ((*at, index), (*at, len(own))), item)
                own.append(item)
        elif value is not None and own != value:
            message = f"is already set at {into.marks[at]}, which wins: remove one of the two"
            into.problems.append(Problem("warning", part.marks[at], dotted(at), message))


def _adopt(into: Document, part: Document, move: tuple[Path, Path], value: Any) -> None:
    """Take over the places and number texts of a value that moves from one path to another."""
    source, target = move
    if source in part.marks:
        into.marks[target] = part.marks[source]
    if source in part.texts:
        into.texts[target] = part.texts[source]
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in steps:
        _adopt(into, part, ((*source, step), (*target, step)), item)


def _fault(document: Document, path: Path, message: str) -> None:
    document.problems.append(Problem("error", document.marks.get(path), dotted(path), message))
