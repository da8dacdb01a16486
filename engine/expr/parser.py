"""Tokens to a syntax tree, macros expanded.

Nesting is what costs Python's own stack here, four frames a level; chains (`a + b + c`, `a.b.c`, `x ? y : z ? ...`) are
loops and may be as long as the bound on nodes allows.
"""

from __future__ import annotations

from typing import Final, TypeVar

from engine.expr.lexer import END, NAME, QUOTED, VALUE, Token, tokens_of
from engine.expr.macros import expand
from engine.expr.nodes import (
    Binary,
    Call,
    Conditional,
    Constant,
    Index,
    ListLiteral,
    Logic,
    MapLiteral,
    Name,
    Node,
    Select,
    Unary,
)
from engine.expr.problems import FaultAt
from engine.expr.values import MAX_INT

MAX_SOURCE: Final = 8 * 1024
MAX_NESTING: Final = 64
MAX_NODES: Final = 2_000

_RANKS: Final = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!=", "in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
}
_KEYWORDS: Final = {"true": True, "false": False, "null": None}
_RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "namespace",
        "package",
        "return",
        "var",
        "void",
        "while",
    ]
)
_HINTS: Final = {
    "and": "conjunction is written `&&`",
    "or": "disjunction is written `||`",
    "not": "negation is written `!`",
    "is": "equality is written `==`",
}

AnyNode = TypeVar("AnyNode", bound=Node)


def parse(source: str, *, macros: bool = True) -> Node:
    """Return the tree of an expression; raises FaultAt, and nothing else, if it has none."""
    if len(source) > MAX_SOURCE or len(source.encode(errors="replace")) > MAX_SOURCE:
        raise FaultAt(0, f"an expression has {MAX_SOURCE:,} bytes at most")
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise FaultAt(error.start, "half of a surrogate pair is not a character") from None
    return _Parser(tokens_of(source), macros=macros).whole()


class _Parser:
    def __init__(self, tokens: list[Token], *, macros: bool) -> None:
        self.tokens = tokens
        self.position = 0
        self.token = tokens[0]
        self.nesting = -1
        self.nodes = 0
        self.macros = macros

    def whole(self) -> Node:
        """Read all tokens as one expression."""
        root = self.expression()
        if self.token.kind != END:
            raise self.unexpected("an operator or the end")
        return root

    def advance(self) -> Token:
        """Move on, and return the token left behind."""
        token = self.token
        self.position += 1
        self.token = self.tokens[self.position]
        return token

    def symbol(self) -> str:
        """Return the token's text if it is a symbol."""
        return "" if self.token.kind in {VALUE, QUOTED} else self.token.text

    def skip(self, symbol: str) -> bool:
        """Move past the symbol if it is here."""
        if self.symbol() != symbol:
            return False
        self.advance()
        return True

    def expect(self, symbol: str, instead: str = "") -> Token:
        """Move past a symbol that must be here."""
        if self.symbol() != symbol:
            raise self.unexpected(instead or f"`{symbol}`")
        return self.advance()

    def unexpected(self, wanted: str) -> FaultAt:
        """Return the fault of the token that is here."""
        kind, text, at, _ = self.token
        if kind == END:
            return FaultAt(at, f"the expression ends too early; expected {wanted}")
        hint = f"; {_HINTS[text]}" if kind == NAME and text in _HINTS else ""
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        return FaultAt(at, f"unexpected `{shown}`; expected {wanted}{hint}")

    def made(self, node: AnyNode) -> AnyNode:
        """Count a node."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise FaultAt(node.at, f"the expression has more than {MAX_NODES:,} parts")
        return node

    def expression(self) -> Node:
        """Read `test ? yes : no`, or what has no question mark."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise FaultAt(self.token.at, f"the expression is nested deeper than {MAX_NESTING}")
        branches: list[tuple[int, Node, Node]] = []
        node = self.operation()
        while self.symbol() == "?":
            at = self.advance().at
            yes = self.operation()
            self.expect(":", "an operator or `:`")
            branches.append((at, node, yes))
            node = self.operation()
        for at, test, yes in reversed(branches):
            node = self.made(Conditional(at, test, yes, node))
        self.nesting -= 1
        return node

    def operation(self) -> Node:
        """Read operands and the operators between them, by rank."""
        operands = [self.operand()]
        waiting: list[Token] = []
        while rank := _RANKS.get(self.symbol(), 0):
            while waiting and _RANKS[waiting[-1].text] >= rank:
                self.join(operands, waiting)
            waiting.append(self.advance())
            operands.append(self.operand())
        while waiting:
            self.join(operands, waiting)
        return operands[0]

    def join(self, operands: list[Node], waiting: list[Token]) -> None:
        """Put the last two operands under the last operator."""
        sign, at = waiting[-1].text, waiting.pop().at
        right, left = operands.pop(), operands[-1]
        if sign not in {"&&", "||"}:
            operands[-1] = self.made(Binary(at, sign, left, right))
        elif isinstance(left, Logic) and left.sign == sign:
            left.operands.append(right)
        else:
            operands[-1] = self.made(Logic(at, sign, [left, right]))

    def operand(self) -> Node:
        """Read one operand, with the signs before it."""
        signs: list[Token] = []
        while self.symbol() in {"!", "-"}:
            if signs and signs[-1].text != self.symbol():
                raise self.unexpected("an operand (put it in parentheses)")
            signs.append(self.advance())
        negative = bool(signs) and signs[-1].text == "-" and self.token.kind == VALUE and self.number()
        if negative:
            signs.pop()
        node = self.member(negative=negative)
        for sign in reversed(signs):
            node = self.made(Unary(sign.at, sign.text, node))
        return node

    def number(self) -> bool:
        """Whether the token is a number that a minus can belong to."""
        return type(self.token.value) in {int, float}

    def member(self, *, negative: bool) -> Node:
        """Read a primary and the fields, calls and indices that follow it."""
        node = self.made(self.primary(negative=negative))
        while True:
            if self.skip("."):
                node = self.made(self.field(node))
            elif self.skip("["):
                at, optional = self.tokens[self.position - 1].at, self.skip("?")
                node = self.made(Index(at, node, self.expression(), optional))
                self.expect("]", "an operator or `]`")
            elif self.symbol() == "{" and isinstance(node, Name | Select):
                raise FaultAt(self.token.at, 'messages are not supported; a map is written {"key": value}')
            else:
                return node

    def field(self, operand: Node) -> Node:
        """Read what follows a dot."""
        optional = self.skip("?")
        token = self.token
        if token.kind not in {NAME, QUOTED} or (token.kind == NAME and (token.text in _KEYWORDS or token.text == "in")):
            raise self.unexpected("the name of a field")
        self.advance()
        if token.kind == NAME and not optional and self.symbol() == "(":
            return self.call(token, operand)
        return Select(token.at, operand, token.text, optional)

    def primary(self, *, negative: bool) -> Node:
        """Read a literal, a name, a call, or an expression in parentheses."""
        kind, text, at, value = self.token
        if kind == VALUE:
            self.advance()
            return Constant(at, self.literal(value, at, negative=negative))
        if kind == NAME:
            return self.named()
        if self.skip("("):
            node = self.expression()
            self.expect(")", "an operator or `)`")
            return node
        if self.skip("["):
            return self.list_literal(at)
        if self.skip("{"):
            return self.map_literal(at)
        if text == "." and kind != END:
            self.advance()
            return self.named(absolute=True)
        raise self.unexpected("an expression")

    @staticmethod
    def literal(value: object, at: int, *, negative: bool) -> object:
        """Return a literal's value with its minus, if an int can hold it."""
        if negative and isinstance(value, int | float):
            return -value
        if type(value) is int and value > MAX_INT:
            raise FaultAt(at, "this number is beyond int, which has 64 bits")
        return value

    def named(self, *, absolute: bool = False) -> Node:
        """Read a keyword, a variable or a call."""
        token = self.token
        if token.kind != NAME or token.text == "in":
            raise self.unexpected("a name")
        if token.text in _RESERVED:
            raise FaultAt(token.at, f"`{token.text}` is a reserved word and cannot be a name")
        if token.text in _KEYWORDS:
            if absolute:
                raise self.unexpected("a name")
            self.advance()
            return Constant(token.at, _KEYWORDS[token.text])
        self.advance()
        if self.symbol() == "(":
            return self.call(token, None, absolute=absolute)
        return Name(token.at, token.text, absolute)

    def call(self, name: Token, receiver: Node | None, *, absolute: bool = False) -> Node:
        """Read arguments, and expand the call if it is a macro's."""
        self.expect("(")
        args: list[Node] = []
        while self.symbol() != ")":
            args.append(self.expression())
            if not self.skip(","):
                break
            if self.symbol() == ")":
                raise self.unexpected("an expression")
        self.expect(")", "`,` or `)`")
        call = Call(name.at, name.text, receiver, args, absolute)
        return expand(call) if self.macros and not absolute else call

    def list_literal(self, at: int) -> Node:
        """Read what follows `[`."""
        items: list[Node] = []
        optionals: set[int] = set()
        while self.symbol() != "]":
            if self.skip("?"):
                optionals.add(len(items))
            items.append(self.expression())
            if not self.skip(","):
                break
        self.expect("]", "`,` or `]`")
        return ListLiteral(at, items, frozenset(optionals))

    def map_literal(self, at: int) -> Node:
        """Read what follows `{`."""
        keys: list[Node] = []
        values: list[Node] = []
        optionals: set[int] = set()
        while self.symbol() != "}":
            if self.skip("?"):
                optionals.add(len(keys))
            keys.append(self.expression())
            self.expect(":")
            values.append(self.expression())
            if not self.skip(","):
                break
        self.expect("}", "`,` or `}`")
        return MapLiteral(at, keys, values, frozenset(optionals))
