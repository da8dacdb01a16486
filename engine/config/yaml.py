"""YAML without surprises: plain values, and the place of each.

`no` and `on` are text, `1:30` is text, `010` is text, dates are text; `1e-7` is a number. What one would not see in
an editor (a key written twice, a second document, an alias that unfolds for ever) is an error with its place.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

import yaml

from engine.config.problems import Mark, Path, Problem, dotted, shown

if TYPE_CHECKING:
    from yaml import SafeLoader as _FastLoader
else:
    _FastLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

__all__ = ["Document", "Mark", "parse", "parse_all", "read"]

MAX_NODES: Final = 200_000
MAX_DEPTH: Final = 100
MAX_DIGITS: Final = 300

_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
_FLOAT: Final = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$")
_NULL: Final = re.compile(r"(~|null|Null|NULL|)$")
_BOOLEAN: Final = re.compile(r"(true|True|TRUE|false|False|FALSE)$")


@dataclass(slots=True)
class Document:
    """One file read: its values, their places, and what was wrong with it.

    `texts` holds numbers with a fraction as they were written, so that money can be read exactly.
    """

    value: dict[str, Any] = field(default_factory=dict)
    marks: dict[Path, Mark] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    scalars: dict[Path, tuple[int, int, str]] = field(default_factory=dict)
    """Where text begins (line and column, from 1) and how it is quoted: by `'`, `"`, `|`, `>` or not at all."""
    problems: list[Problem] = field(default_factory=list)
    readable: bool = True


def read(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file whose top level is a mapping; never raises, problems are in the answer."""
    file = os.fspath(path)
    try:
        content = FilePath(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"cannot be read ({reason.lower()}): name a file that exists and that this user may read"
        return Document(problems=[Problem("error", None, file, message)], readable=False)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(content[: error.start].decode("utf-8", "replace"))
        message = "is not UTF-8 here: save the file as UTF-8"
        return Document(problems=[Problem("error", Mark(file, line, column), "", message)])
    return parse(text, file)


def parse(text: str, file: str) -> Document:
    """Read YAML text as the content of `file`; never raises, problems are in the answer."""
    roots = _compose(text, file)
    if isinstance(roots, Problem):
        return Document(problems=[roots])
    document = _build(roots[0] if roots else None, file)
    if len(roots) > 1:
        mark = Mark(file, roots[1].start_mark.line + 1, roots[1].start_mark.column + 1)
        message = "a second document starts here: keep one document in a file"
        document.problems.insert(0, Problem("error", mark, "", message))
    return document


def parse_all(text: str, file: str) -> list[Document]:
    """Read every document of YAML text; never raises, problems are in the answers."""
    roots = _compose(text, file)
    if isinstance(roots, Problem):
        return [Document(problems=[roots])]
    return [_build(root, file) for root in roots]


def _build(root: yaml.Node | None, file: str) -> Document:
    builder = _Builder(file)
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == f"{_TAG}null"):
        return builder.document
    if not isinstance(root, yaml.MappingNode):
        builder.fault(root, (), "expected a mapping at the top level, such as `model_list:`")
        return builder.document
    try:
        builder.document.value = builder.build(root, ())
    except _TooManyError:
        message = f"aliases unfold to more than {MAX_NODES:,} values: write fewer `*` references"
        builder.fault(root, (), message)
    return builder.document


class _Loader(_FastLoader):
    """Composes nodes, with the scalars of this file's promise and a bound on depth."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the parent's attribute
    depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:  # noqa: ARG002 - the parent's signature
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = current_node.start_mark if current_node is not None else None
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)

    def ascend_resolver(self) -> None:
        self.depth -= 1


for _name, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOLEAN, list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", re.compile(r"<<$"), ["<"]),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", _pattern, _first)


def _compose(text: str, file: str) -> list[yaml.Node] | Problem:
    """Return the root of every document, or what the text is broken by."""
    try:
        loader = _Loader(text)
        try:
            roots: list[yaml.Node] = []
            while loader.check_node():
                node = loader.get_node()
                if node is not None:
                    roots.append(node)
            return roots
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        return _syntax_error(error, file)
    except yaml.reader.ReaderError as error:
        found = yaml.reader.Reader.NON_PRINTABLE.search(text)
        mark = Mark(file, *_place(text[: found.start() if found else error.position]))
        return Problem("error", mark, "", "a control character may not stand here: remove it")
    except UnicodeEncodeError as error:
        mark = Mark(file, *_place(text[: error.start]))
        return Problem("error", mark, "", "half of a surrogate pair is not a character: remove it")


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> Problem:
    place = error.problem_mark or error.context_mark
    mark = Mark(file, place.line + 1, place.column + 1) if place else Mark(file, 1, 1)
    words = ", ".join(filter(None, (error.context, error.problem)))
    column = f" (column {mark.column}): check indentation, quotes and brackets"
    return Problem("error", mark, "", f"{shown(words.replace(chr(39), '`'))}{column}")


def _place(before: str) -> tuple[int, int]:
    """Return line and column of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class _TooManyError(Exception):
    """The nodes, aliases unfolded, exceed the bound."""


class _Builder:
    """Turns nodes into values and keeps their places."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.document = Document()
        self.count = 0
        self.open: set[int] = set()

    def fault(self, node: yaml.Node, path: Path, message: str) -> None:
        """Record an error at a node."""
        self.document.problems.append(Problem("error", self.mark(node), dotted(path), message))

    def mark(self, node: yaml.Node) -> Mark:
        """Return the place of a node."""
        return Mark(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def spend(self, nodes: int) -> None:
        """Count nodes against the bound."""
        self.count += nodes
        if self.count > MAX_NODES:
            raise _TooManyError

    def build(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of a node."""
        self.spend(1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open or len(path) > MAX_DEPTH:
            self.fault(node, path, "this alias holds itself, or nests without end: write the values out")
            return None
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self.fault(node, path, f"tag `{node.tag}` is not supported: write plain values")
            return None
        self.open.add(id(node))
        value = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)
        self.open.discard(id(node))
        return value

    def sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        """Return a list, each item with its mark."""
        items = []
        for index, item in enumerate(node.value):
            self.document.marks[*path, index] = self.mark(item)
            items.append(self.build(item, (*path, index)))
        return items

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        """Return a mapping, each key with its mark; what it merges in gives way to what it says itself."""
        entries = self.entries(node, path)
        values = {}
        for name, (key, value) in entries.items():
            self.document.marks[*path, name] = self.mark(key)
            values[name] = self.build(value, (*path, name))
        return values

    def entries(self, node: yaml.MappingNode, path: Path) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return a mapping's entries by key: its own, then those of `<<`."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            name = self.key(key, path)
            if name is None:
                continue
            if name in own:
                first = own[name][0].start_mark.line + 1
                message = f"`{shown(name)}` is already on line {first}: keep one of the two"
                self.fault(key, (*path, name), message)
            else:
                own[name] = key, value
        for source in merged:
            own = {**self.merged(source, path), **own}
        return own

    def merged(self, node: yaml.Node, path: Path) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return the entries that `<<` brings in."""
        if not isinstance(node, yaml.MappingNode) or id(node) in self.open:
            self.fault(node, path, "`<<` takes another mapping or a list of mappings, such as `*defaults`")
            return {}
        self.spend(1 + len(node.value))
        self.open.add(id(node))
        entries = self.entries(node, path)
        self.open.discard(id(node))
        return entries

    def key(self, node: yaml.Node, path: Path) -> str | None:
        """Return a key as text, None when it cannot be one."""
        if isinstance(node, yaml.ScalarNode) and node.tag in (f"{_TAG}str", f"{_TAG}int", f"{_TAG}float"):
            return str(node.value)
        self.fault(node, path, "a key must be text: put it in quotes")
        return None

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        """Return a scalar by its tag, which the loader chose or the file wrote."""
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "str" | "merge":
                start = node.start_mark
                self.document.scalars[path] = (start.line + 1, start.column + 1, node.style or "")
                return text
            case "null" if _NULL.match(text):
                return None
            case "bool" if _BOOLEAN.match(text):
                return text.lower() == "true"
            case "int" if _INTEGER.match(text) and len(text) <= MAX_DIGITS:
                return int(text)
            case "int" | "float" if _FLOAT.match(text) and len(text) <= MAX_DIGITS and math.isfinite(float(text)):
                self.document.texts[path] = text
                return float(text)
            case "null" | "bool" | "int" | "float" as kind:
                self.fault(node, path, f"not a valid {kind} value, or too large: write it in full or in quotes")
            case _:
                self.fault(node, path, f"tag `{node.tag}` is not supported: write plain values")
        return None
