"""What numbers, strings and bytes mean as they are written."""

from __future__ import annotations

import re
from typing import Final

from engine.expr.problems import FaultAt
from engine.expr.values import MAX_INT, MAX_UINT

_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|([0-3][0-7]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.DOTALL
)
_SIGNS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_DIGITS: Final = 20


def integer_value(text: str, at: int) -> int:
    """Return an int or uint literal; an int may be one more than the largest, for a minus may stand before it."""
    unsigned = text[-1] in "uU"
    digits = text.rstrip("uU")
    number = digits[2:].lstrip("0") if digits[:2] == "0x" else digits.lstrip("0")
    if len(number) <= _DIGITS:
        value = int(number or "0", 16 if digits[:2] == "0x" else 10)
        if value <= (MAX_UINT if unsigned else MAX_INT + 1):
            return value
    raise FaultAt(
        at, f"this number is beyond {'uint, which ends at 2^64 - 1' if unsigned else 'int, which has 64 bits'}"
    )


def string_value(text: str, at: int, *, raw: bool) -> str:
    """Return what stands between the quotes of a string, its escapes decoded."""
    if raw or "\\" not in text:
        return text

    def decoded(found: re.Match[str]) -> str:
        sign, two, octal, four, eight, other = found.groups()
        if sign is not None:
            return _SIGNS.get(sign, sign)
        if other is not None:
            raise _unknown(found, at)
        code = int(octal, 8) if octal is not None else int(two or four or eight, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise FaultAt(at + found.start(), f"`{found[0]}` is not a character")
        return chr(code)

    return _ESCAPE.sub(decoded, text)


def bytes_value(text: str, at: int, *, raw: bool) -> bytes:
    """Return what stands between the quotes of bytes: text as UTF-8, escapes as single bytes."""
    if raw or "\\" not in text:
        return text.encode()
    parts: list[bytes] = []
    end = 0
    for found in _ESCAPE.finditer(text):
        parts.append(text[end : found.start()].encode())
        end = found.end()
        sign, two, octal, four, eight, other = found.groups()
        if four is not None or eight is not None:
            raise FaultAt(at + found.start(), f"`{found[0]}` is a character: bytes take \\x00 to \\xff")
        if other is not None:
            raise _unknown(found, at)
        if sign is not None:
            parts.append(_SIGNS.get(sign, sign).encode())
        else:
            parts.append(bytes([int(octal, 8) if octal is not None else int(two, 16)]))
    parts.append(text[end:].encode())
    return b"".join(parts)


def _unknown(found: re.Match[str], at: int) -> FaultAt:
    return FaultAt(at + found.start(), f"unknown escape `{found[0]}`; a backslash itself is written `\\\\`")
