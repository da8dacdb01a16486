"""What a checked expression reads, how it loops, and what to warn of."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final

from engine.expr.nodes import (
    Bind,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Has,
    Index,
    Local,
    Logic,
    Node,
    OptionalMap,
    Select,
    Unary,
    Variable,
    walk,
)
from engine.expr.patterns import MAX_PROGRAM, Pattern
from engine.expr.unify import field_of

Path = tuple[str, ...]
Visit = Generator[Node, Path | None, Path | None]

ANY: Final = "*"
_TRANSPARENT: Final = frozenset(["dyn", "value", "orValue", "optional.of"])
"""Functions whose result is a part of what their first argument is."""


class Analysis:
    """The facts about one checked tree."""

    def __init__(self, root: Node) -> None:
        self.refs: set[Path] = set()
        self.warnings: list[tuple[int, str]] = []
        self.loops = 0
        self.patterns = 0
        self.searches = 0
        self.locals: dict[int, Path | None] = {}
        self.guarded: frozenset[Path] = frozenset()
        self.open: list[Path | None] = []
        self.read(walk(self.visit, root))

    def read(self, path: Path | None) -> None:
        """Note that what stands at a path is read as a whole."""
        if path is not None:
            self.refs.add(path)

    def visit(self, node: Node) -> Visit:
        """Return the path whose value a node gives, None if it makes a value of its own."""
        visit: Visit = _VISITS.get(type(node), Analysis.plain)(self, node)
        return visit

    def plain(self, node: Node) -> Visit:
        """Visit what has neither macros nor conditions."""
        if isinstance(node, Select | Has | Index):
            base = yield node.operand
            if isinstance(node, Index):
                self.read((yield node.key))
            path = _step(node, base)
            if path is None:
                self.read(base)
            elif isinstance(node, Select):
                self.warn_of_absence(node, path)
            return path
        for child in node.children():
            self.read((yield child))
        return _path(node, self.locals)

    def warn_of_absence(self, node: Select, path: Path) -> None:
        """Warn of a field that may be missing and that nothing asked for."""
        field = field_of(node.operand.type, node.field)
        if field is None or not field.optional or node.optional or path in self.guarded:
            return
        whole, owner = ".".join(path), ".".join(path[:-1])
        advice = f"write `has({whole}) && …` or `{owner}.?{node.field}.orValue(…)`" if ANY not in path else "use has()"
        self.warnings.append((node.at, f"`{whole}` may be absent, which is an error then: {advice}"))

    def logic(self, node: Logic) -> Visit:
        """Visit a junction: what one operand makes sure of, all may rely on."""
        before = self.guarded
        self.guarded = before.union(*(self.facts(one, holds=node.sign == "&&") for one in node.operands))
        for operand in node.operands:
            self.read((yield operand))
        self.guarded = before
        return None

    def conditional(self, node: Conditional) -> Visit:
        """Visit a condition and its branches, each of which may rely on its outcome."""
        before = self.guarded
        self.read((yield node.test))
        for branch, holds in ((node.yes, True), (node.no, False)):
            self.guarded = before.union(self.facts(node.test, holds=holds))
            self.read((yield branch))
        self.guarded = before
        return None

    def facts(self, node: Node, *, holds: bool) -> Iterator[Path]:
        """Return the paths that exist if a condition holds, or if it does not."""
        pending = [(node, holds)]
        while pending:
            one, truth = pending.pop()
            if isinstance(one, Unary) and one.sign == "!":
                pending.append((one.operand, not truth))
            elif isinstance(one, Logic) and (one.sign == "&&") is truth:
                pending += [(each, truth) for each in one.operands]
            elif isinstance(one, Has) and truth:
                path = _path(one, self.locals)
                if path is not None:
                    yield path

    def binding(self, node: Bind | OptionalMap) -> Visit:
        """Visit a variable with a value: it stands for the value's path, if that has one."""
        operand = node.value if isinstance(node, Bind) else node.operand
        self.locals[node.slot] = yield operand
        path = yield node.body
        if isinstance(node, Bind):
            return path
        self.read(path)
        return None

    def call(self, node: Call) -> Visit:
        """Visit a call; count patterns."""
        first: Path | None = None
        for position, argument in enumerate(node.args):
            path = yield argument
            if position == 0 and node.name in _TRANSPARENT:
                first = path
            else:
                self.read(path)
        if node.name == "matches" and len(node.args) == 2:
            pattern = node.args[1]
            constant = isinstance(pattern, Constant) and isinstance(pattern.value, Pattern)
            self.patterns += pattern.value.size if constant else MAX_PROGRAM  # type: ignore[attr-defined] # narrowed
            self.searches += 1 + len(self.open)
        return first

    def comprehension(self, node: Comprehension) -> Visit:
        """Visit a loop: its variable stands for any element of the range."""
        path = yield node.range
        element = None if path is None else (*path, ANY)
        if path is not None and any(one is not None and path[: len(one)] != one for one in self.open):
            message = f"`{node.macro}` loops within a loop: the time grows with the product of both lengths"
            self.warnings.append((node.at, message))
        keys = node.range.type.name in {"map", "record"}
        slots = node.slots
        self.locals[slots[-1]] = None if keys and len(slots) == 1 else element
        if len(slots) == 2:
            self.locals[slots[0]] = None
        self.open.append(element)
        self.loops = max(self.loops, len(self.open))
        if node.filter is not None:
            self.read((yield node.filter))
        body = yield node.body
        self.open.pop()
        if node.macro == "filter":
            return path
        self.read(body)
        # A loop sees the fields that nobody names: that some are read by name says nothing of the others.
        if path is not None and not any(ref[: len(path) + 1] == (*path, ANY) for ref in self.refs):
            self.read(path)
        return None


_VISITS: Final[Mapping[type, Callable[[Analysis, Any], Visit]]] = {
    Comprehension: Analysis.comprehension,
    Logic: Analysis.logic,
    Conditional: Analysis.conditional,
    Bind: Analysis.binding,
    OptionalMap: Analysis.binding,
    Call: Analysis.call,
}


def _step(node: Select | Has | Index, base: Path | None) -> Path | None:
    """Return the path one step on, None if it is not known at load."""
    if base is None:
        return None
    if not isinstance(node, Index):
        return (*base, node.field)
    if isinstance(node.key, Constant):
        if type(node.key.value) is str:
            return (*base, node.key.value)
        if type(node.key.value) is int:
            return (*base, ANY)
    return None


def _path(node: Node, local: dict[int, Path | None]) -> Path | None:
    """Return the path of a variable, of a macro's variable, and of fields of these."""
    steps: list[Select | Has | Index] = []
    while isinstance(node, Select | Has | Index):
        steps.append(node)
        node = node.operand
    path: Path | None = None
    if isinstance(node, Variable):
        path = (node.name,)
    elif isinstance(node, Local):
        path = local.get(node.slot)
    for step in reversed(steps):
        path = _step(step, path)
    return path
