"""What an expression consists of: its parts as a person reads them, each a program of its own.

A part is made by the code generator that makes the whole, so what is shown of it is what it is worth in the whole. What
a loop does is looked at element by element, when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.authoring.unparse import texts_of
from engine.expr.checker import Checker
from engine.expr.library import FUNCTIONS
from engine.expr.names import Names
from engine.expr.nodes import (
    Binary,
    Bind,
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
)
from engine.expr.parser import parse
from engine.expr.program import Program, program_of
from engine.expr.schema import BOOL, Schema

Wrap = Callable[[Node], Node]
"""Puts a part under the `cel.bind` that its variables need."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an expression.

    `at` is its offset in the source; `sign` is `&&`, `||`, `?`, `!` or empty. A `condition` is a truth that a test should
    see both ways.
    """

    text: str
    at: int
    sign: str
    condition: bool
    program: Program
    parts: tuple[Part, ...]
    loop: Loop | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """What a macro does for each element of its range."""

    text: str
    range: Program
    node: Comprehension
    wrap: Wrap
    source: str

    def of(self, values: Sequence[Any]) -> Program:
        """Return what the macro's body comes to for one element, given as its variables' values."""
        node = self.node
        body: Node = node.filter if node.macro == "filter" and node.filter is not None else node.body
        for slot, name, value in zip(node.slots, node.names, values, strict=True):
            body = Bind(node.at, name, Constant(node.at, value), body, slot)
        return program_of(self.wrap(body), self.source)


def anatomy(source: str, schema: Schema) -> Part:
    """Return an expression with its parts; it must be one that compiles against this schema."""
    tree = parse(source)
    texts = texts_of(tree)
    root = Checker(Names(schema, FUNCTIONS, ""), checked=True).check(tree)
    return _Reader(source, texts).part(root, truth=root.type == BOOL)


class _Reader:
    """Takes one expression apart."""

    def __init__(self, source: str, texts: dict[int, str]) -> None:
        self.source = source
        self.texts = texts
        self.wraps: list[Wrap] = []

    def part(self, node: Node, *, truth: bool = False) -> Part:
        """Return a node as a part; one of which `truth` is asked is a condition, or a junction of conditions."""
        sign = _sign(node)
        inner: list[Part] = []
        if isinstance(node, Logic):
            inner = [self.part(operand, truth=True) for operand in node.operands]
        elif isinstance(node, Unary) and sign == "!":
            inner = [self.part(node.operand, truth=truth)]
        elif isinstance(node, Conditional):
            inner = [self.part(node.test, truth=True), *(self.part(one, truth=truth) for one in (node.yes, node.no))]
        elif isinstance(node, Bind):
            inner = [self.part(node.value), self._bound(node, truth=truth)]
        else:
            inner = [part for one in _shown(node) if (part := self.part(one)).program.refs]
        loop = self._loop(node) if isinstance(node, Comprehension) else None
        condition = truth and not sign and not isinstance(node, Bind | Constant)
        return Part(self._text(node), node.at, sign, condition, self._program(node), tuple(inner), loop)

    def _bound(self, node: Bind, *, truth: bool) -> Part:
        self.wraps.append(lambda body: Bind(node.at, node.name, node.value, body, node.slot))
        try:
            return self.part(node.body, truth=truth)
        finally:
            self.wraps.pop()

    def _loop(self, node: Comprehension) -> Loop:
        body = node.filter if node.macro == "filter" and node.filter is not None else node.body
        return Loop(self._text(body), self._program(node.range), node, self._wrapper(), self.source)

    def _program(self, node: Node) -> Program:
        return program_of(self._wrapper()(node), self.source)

    def _wrapper(self) -> Wrap:
        wraps = tuple(self.wraps)

        def wrap(node: Node) -> Node:
            for one in reversed(wraps):
                node = one(node)
            return node

        return wrap

    def _text(self, node: Node) -> str:
        if isinstance(node, Variable | Local):
            return node.name
        return self.texts.get(id(node), "")


def _sign(node: Node) -> str:
    if isinstance(node, Logic):
        return node.sign
    if isinstance(node, Unary) and node.sign == "!":
        return "!"
    return "?" if isinstance(node, Conditional) else ""


def _shown(node: Node) -> list[Node]:
    """Return the parts of a node that say something: no constants, and a path as a whole only."""
    if isinstance(node, OptionalMap):
        children = [node.operand]
    elif isinstance(node, Comprehension):
        children = [node.range]
    elif isinstance(node, Select | Has) and _path(node.operand):
        children = []
    elif isinstance(node, Index) and _path(node.operand):
        children = [node.key]
    elif isinstance(node, Binary) and node.sign == "+":
        children = _terms(node)
    else:
        children = list(node.children())
    return [one for one in children if not isinstance(one, Constant) and (one.type.name != "type")]


def _terms(node: Node) -> list[Node]:
    """Return what a chain of `+` adds up."""
    terms: list[Node] = []
    while isinstance(node, Binary) and node.sign == "+":
        terms.append(node.right)
        node = node.left
    return [node, *reversed(terms)]


def _path(node: Node) -> bool:
    """Whether a node is a variable, or a field of one."""
    while isinstance(node, Select):
        node = node.operand
    return isinstance(node, Variable | Local)
