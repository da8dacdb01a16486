"""The syntax tree: the parser makes it, the checker names and types it, the code generator reads it.

A tree may be as deep as the expression is long (`1 + 1 + 1 ...`), so nobody walks it by recursion: visits are generators
that yield the nodes whose results they need, and `walk` drives them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine.expr.schema import DYN, Function, Type

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Node:
    """A part of an expression; `at` is where in the source its operator, field or name stands."""

    at: int
    type: Type = field(default=DYN, init=False)

    def children(self) -> Iterator[Node]:
        """Return the parts this one is made of, in order."""
        return iter(())


@dataclass(slots=True, eq=False)
class Constant(Node):
    """A value known at load."""

    value: Any


@dataclass(slots=True, eq=False)
class Name(Node):
    """An identifier as written; `absolute` has a dot before it. The checker leaves none."""

    name: str
    absolute: bool = False


@dataclass(slots=True, eq=False)
class Variable(Node):
    """A variable of the activation, by its full name."""

    name: str


@dataclass(slots=True, eq=False)
class Local(Node):
    """A variable of a macro, by a number of its own."""

    name: str
    slot: int


@dataclass(slots=True, eq=False)
class Select(Node):
    """`operand.field`, or `operand.?field`."""

    operand: Node
    field: str
    optional: bool = False

    def children(self) -> Iterator[Node]:
        """Return the operand."""
        yield self.operand


@dataclass(slots=True, eq=False)
class Has(Node):
    """`has(operand.field)`."""

    operand: Node
    field: str

    def children(self) -> Iterator[Node]:
        """Return the operand."""
        yield self.operand


@dataclass(slots=True, eq=False)
class Index(Node):
    """`operand[key]`, or `operand[?key]`."""

    operand: Node
    key: Node
    optional: bool = False

    def children(self) -> Iterator[Node]:
        """Return operand and key."""
        yield self.operand
        yield self.key


@dataclass(slots=True, eq=False)
class Call(Node):
    """`name(args)` or `receiver.name(args)`; once checked, `function` is known and a receiver is the first argument."""

    name: str
    receiver: Node | None
    args: list[Node]
    absolute: bool = False
    function: Function | None = None

    def children(self) -> Iterator[Node]:
        """Return receiver and arguments."""
        if self.receiver is not None:
            yield self.receiver
        yield from self.args


@dataclass(slots=True, eq=False)
class Unary(Node):
    """`!operand` or `-operand`."""

    sign: str
    operand: Node

    def children(self) -> Iterator[Node]:
        """Return the operand."""
        yield self.operand


@dataclass(slots=True, eq=False)
class Binary(Node):
    """`left sign right`, but for the logic of `&&` and `||`."""

    sign: str
    left: Node
    right: Node

    def children(self) -> Iterator[Node]:
        """Return both sides."""
        yield self.left
        yield self.right


@dataclass(slots=True, eq=False)
class Logic(Node):
    """`a && b && ...` or `a || b || ...`, in one node however long."""

    sign: str
    operands: list[Node]

    def children(self) -> Iterator[Node]:
        """Return the operands."""
        return iter(self.operands)


@dataclass(slots=True, eq=False)
class Conditional(Node):
    """`test ? yes : no`."""

    test: Node
    yes: Node
    no: Node

    def children(self) -> Iterator[Node]:
        """Return test and branches."""
        yield self.test
        yield self.yes
        yield self.no


@dataclass(slots=True, eq=False)
class ListLiteral(Node):
    """`[a, ?b]`; `optionals` are the positions of items with a question mark."""

    items: list[Node]
    optionals: frozenset[int] = frozenset()

    def children(self) -> Iterator[Node]:
        """Return the items."""
        return iter(self.items)


@dataclass(slots=True, eq=False)
class MapLiteral(Node):
    """`{k: v, ?k: v}`; `optionals` are the positions of entries with a question mark."""

    keys: list[Node]
    values: list[Node]
    optionals: frozenset[int] = frozenset()

    def children(self) -> Iterator[Node]:
        """Return keys and values, each beside the other."""
        for key, value in zip(self.keys, self.values, strict=True):
            yield key
            yield value


@dataclass(slots=True, eq=False)
class Comprehension(Node):
    """A macro that loops: `range.macro(names, body)`, or with a filter before the body."""

    macro: str
    range: Node
    names: tuple[str, ...]
    filter: Node | None
    body: Node
    slots: tuple[int, ...] = ()

    def children(self) -> Iterator[Node]:
        """Return range, filter and body."""
        yield self.range
        if self.filter is not None:
            yield self.filter
        yield self.body


@dataclass(slots=True, eq=False)
class Bind(Node):
    """`cel.bind(name, value, body)`."""

    name: str
    value: Node
    body: Node
    slot: int = 0

    def children(self) -> Iterator[Node]:
        """Return value and body."""
        yield self.value
        yield self.body


@dataclass(slots=True, eq=False)
class OptionalMap(Node):
    """`operand.optMap(name, body)`; `flat` is `optFlatMap`, whose body is an optional itself."""

    name: str
    operand: Node
    body: Node
    flat: bool
    slot: int = 0

    def children(self) -> Iterator[Node]:
        """Return operand and body."""
        yield self.operand
        yield self.body


def walk(visit: Callable[[Node], Generator[Node, Result, Result]], root: Node) -> Result:
    """Return the visit's result for the root; a visit yields a node to receive the result of visiting it."""
    running = [visit(root)]
    result: Any = None
    while running:
        try:
            child = running[-1].send(result)
        except StopIteration as done:
            running.pop()
            result = done.value
        else:
            running.append(visit(child))
            result = None
    answer: Result = result
    return answer


def every(root: Node) -> Iterator[Node]:
    """Return all nodes of a tree, a node before its parts."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(list(node.children())))
