"""Text to tokens, each with its offset in the source."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from engine.expr.literals import bytes_value, integer_value, string_value
from engine.expr.problems import FaultAt
from engine.expr.values import Uint

END: Final = "end"
NAME: Final = "name"
QUOTED: Final = "quoted"
VALUE: Final = "value"
SYMBOL: Final = "symbol"

_TOKEN: Final = re.compile(
    r"""(?P<space>(?:[ \t\r\n\f]|//[^\n\r]*)+)
    |(?P<string>[bB]?[rR]?(?:\"{3}|'{3}|"|'))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<double>(?:[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+))
    |(?P<integer>(?:0x[0-9a-fA-F]+|[0-9]+)[uU]?)
    |(?P<symbol>&&|\|\||[<>=!]=|[-+*/%!?:.,()\[\]{}<>])
    |`(?P<quoted>[A-Za-z0-9_./ -]+)`
    """,
    re.VERBOSE,
)
_REST: Final = {
    '"': re.compile(r'((?:[^"\\\n\r]|\\[^\n\r])*)"'),
    "'": re.compile(r"((?:[^'\\\n\r]|\\[^\n\r])*)'"),
    '"""': re.compile(r'((?:[^\\]|\\.)*?)"""', re.DOTALL),
    "'''": re.compile(r"((?:[^\\]|\\.)*?)'''", re.DOTALL),
}
_RAW_REST: Final = {
    '"': re.compile(r'([^"\n\r]*)"'),
    "'": re.compile(r"([^'\n\r]*)'"),
    '"""': re.compile(r'(.*?)"""', re.DOTALL),
    "'''": re.compile(r"(.*?)'''", re.DOTALL),
}
_HINTS: Final = {
    "=": "equality is written `==`",
    "&": "conjunction is written `&&`",
    "|": "disjunction is written `||`",
    "`": "between backquotes stands a field name: letters, digits and `_./-` or spaces, on one line",
}


class Token(NamedTuple):
    """A word of the language; `value` is what a literal means."""

    kind: str
    text: str
    at: int
    value: Any = None


def tokens_of(source: str) -> list[Token]:
    """Return the tokens of an expression, the last of them END; raises FaultAt."""
    found: list[Token] = []
    at, length, match = 0, len(source), _TOKEN.match
    while at < length:
        word = match(source, at)
        if word is None:
            raise _unreadable(source, at)
        kind, text = str(word.lastgroup), word[0]
        end = word.end()
        if kind == "string":
            token, end = _string(source, at, text, end)
            found.append(token)
        elif kind == "double":
            found.append(Token(VALUE, text, at, float(text)))
        elif kind == "integer":
            found.append(_integer(text, at))
        elif kind == QUOTED:
            found.append(Token(QUOTED, word[QUOTED], at))
        elif kind != "space":
            found.append(Token(kind, text, at))
        at = end
    found.append(Token(END, "", length))
    return found


def _integer(text: str, at: int) -> Token:
    """Return an integer as it stands, its bounds unchecked: a minus before it belongs to it."""
    value = integer_value(text, at)
    return Token(VALUE, text, at, Uint(value) if text[-1] in "uU" else value)


def _string(source: str, at: int, opening: str, begin: int) -> tuple[Token, int]:
    """Return a string or bytes literal, and where it ends."""
    prefix = opening.rstrip("\"'").lower()
    quote = opening[len(prefix) :]
    raw = "r" in prefix
    body = (_RAW_REST if raw else _REST)[quote].match(source, begin)
    if body is None:
        what = "on this line; a text of many lines stands between triple quotes" if len(quote) == 1 else "anywhere"
        raise FaultAt(at, f"this {quote} is not closed {what}")
    text, end = body[1], body.end()
    decode = bytes_value if "b" in prefix else string_value
    return Token(VALUE, source[at:end], at, decode(text, begin, raw=raw)), end


def _unreadable(source: str, at: int) -> FaultAt:
    sign = source[at]
    hint = _HINTS.get(sign)
    if hint is None:
        hint = "text stands between quotes" if sign.isalpha() else "it is no sign of the language"
    return FaultAt(at, f"unexpected {ascii(sign) if not sign.isprintable() else f'`{sign}`'}; {hint}")
