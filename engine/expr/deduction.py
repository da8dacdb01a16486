"""What the checker knows while it walks a tree: names in scope, types bound so far, faults found."""

from __future__ import annotations

from typing import Final, TypeVar

from engine.expr.names import Names
from engine.expr.nodes import Node, Variable
from engine.expr.schema import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    Type,
    list_of,
)
from engine.expr.unify import NUMBERS, Bindings
from engine.expr.values import Duration, Timestamp, TypeValue, Uint

MOST_FAULTS: Final = 20
DEEPEST_TYPE: Final = 32

_CLASSES: Final[dict[type, Type]] = {
    type(None): NULL,
    bool: BOOL,
    int: INT,
    Uint: UINT,
    float: DOUBLE,
    str: STRING,
    bytes: BYTES,
    Timestamp: TIMESTAMP,
    Duration: DURATION,
    TypeValue: TYPE,
    list: list_of(DYN),
}

AnyNode = TypeVar("AnyNode", bound=Node)


def type_of(value: object) -> Type:
    """Return the type of a constant, `dyn` if it is none that has literals."""
    return _CLASSES.get(type(value), DYN)


class Deduction:
    """The state of one check; an unchecked one finds no faults and trusts no declaration."""

    def __init__(self, names: Names, *, checked: bool = True) -> None:
        self.names = names
        self.checked = checked
        self.bindings = Bindings()
        self.faults: list[tuple[int, str]] = []
        self.scope: dict[str, tuple[int, Type]] = {}
        self.slots = 0

    def fault(self, at: int, message: str) -> None:
        """Note what is wrong at an offset."""
        if self.checked and len(self.faults) < MOST_FAULTS and (at, message) not in self.faults:
            self.faults.append((at, message))

    def typed(self, node: AnyNode, one: Type) -> AnyNode:
        """Give a node its type: nobody knows what a variable alone stands for, nor types without end."""
        one = self.shape(one)
        node.type = one if not one.parameters or self.shallow(one) else DYN
        return node

    def shape(self, one: Type) -> Type:
        """Return a type whose name is known: `dyn` instead of a variable that nothing has bound."""
        one = self.bindings.known(one)
        return DYN if one.name[0] == "$" else one

    def shallow(self, one: Type) -> bool:
        """Whether a type is nested less than DEEPEST_TYPE levels."""
        level, depth = [one], 0
        while level and depth < DEEPEST_TYPE:
            level = [self.bindings.known(each) for one in level for each in one.parameters]
            depth += 1
        return not level

    def untrusted(self, found: Node) -> Node:
        """Return a name's node as it is, but unchecked its variable as one of any type."""
        if not self.checked and isinstance(found, Variable):
            found.type = DYN
        return found

    def condition(self, node: Node, law: str) -> None:
        """Fault a node that cannot be a bool."""
        one = self.shape(node.type)
        if one not in {BOOL, DYN}:
            self.fault(node.at, f"{law}, not {self.bindings.final(one)}")

    def declare(self, name: str, one: Type) -> int:
        """Bring a variable of a macro into scope, and return its number."""
        self.slots += 1
        self.scope[name] = (self.slots, self.shape(one))
        return self.slots

    def expect(self, root: Node, result: Type, expects: Type | None) -> None:
        """Fault an expression whose result cannot be of the type that its user needs."""
        if expects is not None and not self.bindings.assignable(result, expects):
            advice = "; write double(…)" if expects == DOUBLE and result.name in NUMBERS else ""
            self.fault(root.at, f"the expression is to be {expects}, not {result}{advice}")
