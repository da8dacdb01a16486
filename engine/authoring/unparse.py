"""A syntax tree back to text that parses to the same tree: one space around operators, parentheses where they are needed.

What the tree does not know is lost: how a literal was spelled, comments, lines, parentheses that change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple

from engine.expr.nodes import (
    Binary,
    Bind,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Has,
    Index,
    ListLiteral,
    Local,
    Logic,
    MapLiteral,
    Name,
    Node,
    OptionalMap,
    Select,
    Unary,
    Variable,
    walk,
)
from engine.expr.patterns import Pattern
from engine.expr.values import TypeValue, Uint

CHOICE, UNARY, MEMBER = 0, 6, 7
_RANKS: Final = {
    "||": 1, "&&": 2, "<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "in": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_PLAIN: Final = re.compile(r"(?!(?:true|false|null|in)$)[A-Za-z_][A-Za-z0-9_]*$")
_ESCAPES: Final = {
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
}


class Piece(NamedTuple):
    """Text of a node, and how tightly it binds."""

    text: str
    rank: int

    def within(self, rank: int) -> str:
        """Return the text, in parentheses where it binds less tightly than its surroundings."""
        return self.text if self.rank >= rank else f"({self.text})"


Visit = Generator[Node, Piece, Piece]


def unparse(root: Node) -> str:
    """Return the text of a parsed tree."""
    return walk(_visit, root).text


def texts_of(root: Node) -> dict[int, str]:
    """Return the text of every node of a parsed tree, by the node's id."""
    found: dict[int, str] = {}

    def visit(node: Node) -> Visit:
        piece = yield from _visit(node)
        found[id(node)] = piece.text
        return piece

    walk(visit, root)
    return found


def same(one: Node, other: Node) -> bool:
    """Tell whether two trees say the same, wherever their parts stand."""
    pending: list[tuple[Any, Any]] = [(one, other)]
    while pending:
        left, right = pending.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, Node):
            pending += [(getattr(left, name), getattr(right, name)) for name in _parts(type(left))]
        elif isinstance(left, list | tuple):
            if len(left) != len(right):
                return False
            pending += zip(left, right, strict=True)
        elif left != right or repr(left) != repr(right):
            return False
    return True


def literal(value: object) -> str:
    """Write a constant."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return next((write(value) for kind, write in _LITERALS.items() if isinstance(value, kind)), str(value))


def quoted(text: str) -> str:
    """Write a string: raw where it has backslashes and nothing that would need one."""
    quote = "'" if '"' in text and "'" not in text else '"'
    if "\\" in text and quote not in text and text.isprintable():
        return f"r{quote}{text}{quote}"
    return quote + "".join(f"\\{one}" if one == quote else _character(one) for one in text) + quote


def _double(value: float) -> str:
    return repr(value) if value - value == 0 else ("1e999" if value > 0 else "-1e999")


def _character(one: str) -> str:
    if one in _ESCAPES or one.isprintable():
        return _ESCAPES.get(one, one)
    return f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08x}"


def _byte(one: int) -> str:
    return chr(one) if 32 <= one < 127 and one not in b'"\\' else f"\\x{one:02x}"


_LITERALS: Final[Mapping[type, Callable[[Any], str]]] = {
    Pattern: lambda value: quoted(value.text),
    TypeValue: str,
    str: quoted,
    bytes: lambda value: 'b"' + "".join(map(_byte, value)) + '"',
    float: _double,
    Uint: lambda value: f"{int(value)}u",
}


def _parts(kind: type[Node]) -> list[str]:
    return [one.name for one in fields(kind) if one.name not in ("at", "type", "function", "slot", "slots")]


def _each(nodes: Iterable[Node]) -> Generator[Node, Piece, list[Piece]]:
    pieces = []
    for node in nodes:
        piece = yield node
        pieces.append(piece)
    return pieces


def _visit(node: Node) -> Visit:
    return _VISITS[type(node)](node)


def _constant(node: Constant) -> Visit:
    yield from ()
    return Piece(literal(node.value), MEMBER)


def _name(node: Name | Variable | Local) -> Visit:
    yield from ()
    return Piece(f".{node.name}" if getattr(node, "absolute", False) else node.name, MEMBER)


def _field(name: str) -> str:
    return name if _PLAIN.match(name) else f"`{name}`"


def _select(node: Select) -> Visit:
    operand = (yield node.operand).within(MEMBER)
    return Piece(f"{operand}.{'?' if node.optional else ''}{_field(node.field)}", MEMBER)


def _has(node: Has) -> Visit:
    operand = (yield node.operand).within(MEMBER)
    return Piece(f"has({operand}.{_field(node.field)})", MEMBER)


def _index(node: Index) -> Visit:
    operand = (yield node.operand).within(MEMBER)
    return Piece(f"{operand}[{'?' if node.optional else ''}{(yield node.key).text}]", MEMBER)


def _call(node: Call) -> Visit:
    before = "." if node.absolute else ""
    if node.receiver is not None:
        before = (yield node.receiver).within(MEMBER) + "."
    args = yield from _each(node.args)
    return Piece(f"{before}{node.name}({', '.join(one.text for one in args)})", MEMBER)


def _unary(node: Unary) -> Visit:
    operand = yield node.operand
    text = operand.within(UNARY)
    number = node.sign == "-" and text[:1] in "0123456789."
    mixed = isinstance(node.operand, Unary) and node.operand.sign != node.sign
    if number or mixed or (node.sign == "!" and text[:1] == "-"):
        text = f"({text})"
    return Piece(node.sign + text, UNARY)


def _binary(node: Binary) -> Visit:
    rank = _RANKS[node.sign]
    left = (yield node.left).within(rank)
    return Piece(f"{left} {node.sign} {(yield node.right).within(rank + 1)}", rank)


def _logic(node: Logic) -> Visit:
    rank = _RANKS[node.sign]
    operands = yield from _each(node.operands)
    return Piece(f" {node.sign} ".join(one.within(rank + 1) for one in operands), rank)


def _conditional(node: Conditional) -> Visit:
    test, yes = (yield node.test).within(1), (yield node.yes).within(1)
    return Piece(f"{test} ? {yes} : {(yield node.no).text}", CHOICE)


def _list(node: ListLiteral) -> Visit:
    items = []
    for at, item in enumerate(node.items):
        items.append(("?" if at in node.optionals else "") + (yield item).text)
    return Piece(f"[{', '.join(items)}]", MEMBER)


def _map(node: MapLiteral) -> Visit:
    entries = []
    for at, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
        name = (yield key).text
        entries.append(f"{'?' if at in node.optionals else ''}{name}: {(yield value).text}")
    return Piece(f"{{{', '.join(entries)}}}", MEMBER)


def _comprehension(node: Comprehension) -> Visit:
    over = (yield node.range).within(MEMBER)
    args = list(node.names)
    if node.filter is not None:
        args.append((yield node.filter).text)
    if node.macro != "filter":
        args.append((yield node.body).text)
    return Piece(f"{over}.{node.macro}({', '.join(args)})", MEMBER)


def _bind(node: Bind) -> Visit:
    value = (yield node.value).text
    return Piece(f"cel.bind({node.name}, {value}, {(yield node.body).text})", MEMBER)


def _optional_map(node: OptionalMap) -> Visit:
    operand = (yield node.operand).within(MEMBER)
    macro = "optFlatMap" if node.flat else "optMap"
    return Piece(f"{operand}.{macro}({node.name}, {(yield node.body).text})", MEMBER)


_VISITS: Final[Mapping[type[Node], Callable[[Any], Visit]]] = {
    Constant: _constant,
    Name: _name,
    Variable: _name,
    Local: _name,
    Select: _select,
    Has: _has,
    Index: _index,
    Call: _call,
    Unary: _unary,
    Binary: _binary,
    Logic: _logic,
    Conditional: _conditional,
    ListLiteral: _list,
    MapLiteral: _map,
    Comprehension: _comprehension,
    Bind: _bind,
    OptionalMap: _optional_map,
}
