"""Policy files as they should be written: fields in one order, expressions spaced alike, no stray blanks.

Only lines move and spaces change, so that comments, quotes and the author's own line breaks stay. A file is changed only
where what it says is proved to be the same: equal values, and for expressions equal trees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.authoring.expressions import expressions_of
from engine.authoring.spacing import spaced
from engine.authoring.unparse import same
from engine.config.problems import Path, Problem, dotted
from engine.config.yaml import Document, parse_all
from engine.documents import Source, load_policies
from engine.expr.parser import parse
from engine.expr.problems import FaultAt
from engine.extensions import kind

FIRST = ("kind", "name", "description", "match", "matchConditions", "variables")
LAST = ("rules", "failurePolicy", "validationActions")
"""The fields before and behind those of a kind's own."""
_MARKER = re.compile(r"(?:---|\.\.\.)(?:\s|$)")
_ANCHOR = re.compile(r"&\S+\s+")
_BLANKS = re.compile(r"\n{3,}")


class Formatted(NamedTuple):
    """A file as it should be; `left` says what could not be put in order, `problems` why it does not load."""

    text: str
    left: str = ""
    problems: tuple[Problem, ...] = ()


def formatted(text: str, file: str) -> Formatted:
    """Put a policy file in order; one that does not load is left as it is."""
    loaded = load_policies([Source(file, text)], kind)
    if loaded.failed:
        errors = tuple(problem for problem in loaded.problems if problem.severity == "error")
        return Formatted(text, problems=errors)
    cels = {
        policy.head.name: {named.expression.field for named in expressions_of(policy)} for policy in loaded.policies
    }
    steps: Sequence[tuple[str, Callable[[str], str]]] = (
        ("expressions", lambda one: _expressions(one, file, cels)),
        ("the order of fields", lambda one: _ordered(one, file)),
        ("blanks", _tidy),
    )
    left = []
    for what, step in steps:
        after = step(text)
        if _equal(text, after, file, cels):
            text = after
        else:
            left.append(what)
    return Formatted(text, f"left as they are, for they cannot be changed safely: {', '.join(left)}" if left else "")


Fields = dict[str, set[str]]
"""The fields of each policy that hold expressions."""


def _equal(before: str, after: str, file: str, cels: Fields) -> bool:
    """Tell whether two texts say the same, comments included."""
    if before == after:
        return True
    one, other = parse_all(before, file), parse_all(after, file)
    if len(one) != len(other) or any(document.problems for document in other):
        return False
    if sorted(_comments(before)) != sorted(_comments(after)):
        return False
    return all(
        _alike(left.value, right.value, (), cels.get(str(left.value.get("name")), set()))
        for left, right in zip(one, other, strict=True)
    )


def _alike(one: Any, other: Any, path: Path, cels: set[str]) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key], (*path, key), cels) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            _alike(left, right, (*path, at), cels) for at, (left, right) in enumerate(zip(one, other, strict=True))
        )
    if type(one) is not type(other):
        return False
    if one != other and isinstance(one, str) and dotted(path) in cels:
        try:
            return same(parse(one), parse(other))
        except FaultAt:
            return False
    return bool(one == other)


def _comments(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.lstrip().startswith("#")]


def _expressions(text: str, file: str, cels: Fields) -> str:
    """Put the spaces of every expression in order that is written on one line, or in a block of lines."""
    lines = text.split("\n")
    for document in parse_all(text, file):
        fields = cels.get(str(document.value.get("name")), set())
        # From the right to the left: what was changed on a line moves nothing that is still to be changed.
        for path, place in sorted(document.scalars.items(), key=lambda one: one[1][:2], reverse=True):
            if dotted(path) in fields:
                _respace(lines, place, _at(document, path))
    return "\n".join(lines)


def _at(document: Document, path: Path) -> str:
    value: Any = document.value
    for step in path:
        value = value[step]
    return str(value)


def _respace(lines: list[str], place: tuple[int, int, str], source: str) -> None:
    """Rewrite one scalar in its lines, where its text stands there as it is."""
    line, column, style = place
    try:
        after = spaced(source)
    except FaultAt:
        return
    if after == source:
        return
    if style == "|":
        _respace_block(lines, line, source.split("\n"), after.split("\n"))
        return
    anchor = _ANCHOR.match(lines[line - 1], column - 1)
    begin = anchor.end() if anchor else column - 1
    head, rest = lines[line - 1][:begin], lines[line - 1][begin:]
    before = _quoted(source, style)
    if "\n" in source or not rest.startswith(before):
        return
    if style == "" and (": " in after or " #" in after):
        style = "'"
    lines[line - 1] = head + _quoted(after, style) + rest[len(before) :]


def _respace_block(lines: list[str], header: int, before: Sequence[str], after: Sequence[str]) -> None:
    if len(before) != len(after):
        return
    for at, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new and header + at < len(lines) and lines[header + at].endswith(old):
            lines[header + at] = lines[header + at].removesuffix(old) + new


def _quoted(text: str, style: str) -> str:
    """Write text as a scalar of a style; double quotes only hold it where nothing in it needs an escape."""
    if style == "'":
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"' if style == '"' and not {'"', "\\"} & {*text} else text if style == "" else "\0"


def _ordered(text: str, file: str) -> str:
    """Put the fields of every document in order, each with the comments above it."""
    lines = text.split("\n")
    for document in parse_all(text, file):
        starts = sorted(mark.line - 1 for path, mark in document.marks.items() if len(path) == 1 and mark.column == 1)
        if starts and len(starts) == len(document.value):
            end = next((at for at in range(starts[-1] + 1, len(lines)) if _MARKER.match(lines[at])), len(lines))
            lines[starts[0] : end] = _sorted(lines[:end], starts)
    return "\n".join(lines)


def _sorted(lines: Sequence[str], starts: Sequence[int]) -> list[str]:
    """Return the lines from the first field on, field by field in order."""
    begins = [starts[0], *(_begin(lines, start) for start in starts[1:])]
    ends = [*begins[1:], _last(lines)]
    chunks = [(lines[start].partition(":")[0].strip("'\" "), list(lines[a:b])) for start, a, b in zip(starts, begins, ends, strict=True)]  # fmt: skip
    tail = list(lines[ends[-1] :])
    return [line for _, chunk in sorted(chunks, key=lambda one: _rank(one[0])) for line in chunk] + tail


def _begin(lines: Sequence[str], start: int) -> int:
    """Return where a field begins: with the comments directly above it, that belong to no field before."""
    while lines[start - 1].startswith("#"):
        start -= 1
    return start


def _last(lines: Sequence[str]) -> int:
    """Return where the last field ends: what stands behind is between documents."""
    end = len(lines)
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):
        end -= 1
    return end


def _rank(name: str) -> int:
    if name in FIRST:
        return FIRST.index(name)
    return len(FIRST) + (1 + LAST.index(name) if name in LAST else 0)


def _tidy(text: str) -> str:
    """Take away blanks at the ends of lines, blank lines in a row and at the end of the file."""
    lines = "\n".join(line.rstrip() for line in text.split("\n"))
    return _BLANKS.sub("\n\n", lines).strip("\n") + "\n"
