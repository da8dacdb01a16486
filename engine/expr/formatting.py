"""`"%s costs %.2f".format([model, cost])`: clauses, each of which says what it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from engine.expr.faults import too_long, type_name
from engine.expr.times import duration_text, timestamp_text
from engine.expr.values import MAX_TEXT, Duration, EvaluationError, LimitError, Timestamp, TypeValue, Uint

MAX_PRECISION: Final = 1_000
MAX_NESTING: Final = 64

_CLAUSE: Final = re.compile(r"%(?:%|(?:\.([0-9]{1,9}))?([sdfebxXo]))", re.ASCII)
_DOUBLED: Final = frozenset((str, bytes))
_INVALID: Final = re.compile("[\udc80-\udcff]+")


def format_text(text: Any, arguments: Any) -> str:
    """Return the text with its clauses replaced by the arguments, in order."""
    if type(text) is not str or not isinstance(arguments, list):
        raise EvaluationError(f"no such overload: format({type_name(text)}, {type_name(arguments)})")
    written = _Written()
    end, used = 0, 0
    for start, clause in _clauses(text):
        written.add(text[end:start])
        end = clause.end()
        if clause[2] is None:
            written.add("%")
            continue
        if used == len(arguments):
            raise EvaluationError(f"format: the text has more clauses than the list has values, {used}")
        _write(written, clause, arguments[used], used)
        used += 1
    written.add(text[end:])
    return "".join(written.parts)


class _Written:
    """What has been written, and that it is not too long."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0

    def add(self, text: str) -> None:
        self.size += len(text)
        if self.size > MAX_TEXT:
            raise too_long(str)
        self.parts.append(text)


def _clauses(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    at = text.find("%")
    while at >= 0:
        clause = _CLAUSE.match(text, at)
        if clause is None:
            raise EvaluationError(f"format: no such clause at position {at}: use one of %s %d %f %e %b %o %x %X %%")
        yield at, clause
        at = text.find("%", clause.end())


def _write(written: _Written, clause: re.Match[str], value: Any, position: int) -> None:
    letter = clause[2]
    if letter == "s":
        for part in _shown(value, MAX_NESTING):
            written.add(part)
        return
    if type(value) in _DOUBLED and 2 * len(value) > MAX_TEXT:
        raise too_long(str)
    precision = int(clause[1] or 6)
    if precision > MAX_PRECISION:
        raise EvaluationError(f"format: a precision over {MAX_PRECISION:,}")
    made = _CLAUSES[letter](value, precision)
    if made is None:
        raise EvaluationError(f"format: %{letter} does not take value {position} of the list, a {type_name(value)}")
    written.add(made)


def _shown(value: Any, depth: int) -> Iterator[str]:
    """Yield a value's text in parts, for a list may hold one value many times."""
    write = _SHOWN.get(type(value))
    if write is not None:
        yield write(value)
    elif not isinstance(value, (list, dict)):
        raise EvaluationError(f"format: %s does not take a value of type {type_name(value)}")
    elif depth == 0:
        raise LimitError(f"format: values nested deeper than {MAX_NESTING} levels")
    elif isinstance(value, list):
        yield "["
        for number, one in enumerate(value):
            if number:
                yield ", "
            yield from _shown(one, depth - 1)
        yield "]"
    else:
        yield "{"
        named = sorted(((_key(key), one) for key, one in value.items()), key=lambda entry: entry[0])
        for number, (key, one) in enumerate(named):
            yield f", {key}: " if number else f"{key}: "
            yield from _shown(one, depth - 1)
        yield "}"


def _key(key: Any) -> str:
    return "".join(_shown(key, 0))


def _plain(number: float) -> str:
    """Write the shortest digits that read back the same, without an exponent."""
    special = _special(number)
    if special is not None:
        return special
    text = repr(number)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def _special(number: float) -> str | None:
    if math.isfinite(number):
        return None
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _decimal(value: Any, _precision: int) -> str | None:
    kind = type(value)
    if kind is int or kind is Uint:
        return int.__repr__(value)
    return _plain(value) if kind is float else None


def _fixed(value: Any, precision: int) -> str | None:
    kind = type(value)
    if kind is float:
        return _special(value) or f"{value:.{precision}f}"
    return f"{float(value):.{precision}f}" if kind is int or kind is Uint else None


def _scientific(value: Any, precision: int) -> str | None:
    kind = type(value)
    if kind is float:
        return _special(value) or f"{value:.{precision}e}"
    return f"{float(value):.{precision}e}" if kind is int or kind is Uint else None


def _binary(value: Any, _precision: int) -> str | None:
    kind = type(value)
    if kind is bool:
        return "1" if value else "0"
    return f"{int(value):b}" if kind is int or kind is Uint else None


def _octal(value: Any, _precision: int) -> str | None:
    kind = type(value)
    return f"{int(value):o}" if kind is int or kind is Uint else None


def _hexadecimal(value: Any, _precision: int) -> str | None:
    kind = type(value)
    if kind is str:
        return str(value).encode(errors="replace").hex()
    if kind is bytes:
        return bytes(value).hex()
    return f"{int(value):x}" if kind is int or kind is Uint else None


def _upper_hexadecimal(value: Any, precision: int) -> str | None:
    made = _hexadecimal(value, precision)
    return made.upper() if made is not None else None


def _bytes_text(data: bytes) -> str:
    return _INVALID.sub("\ufffd", data.decode(errors="surrogateescape"))


_CLAUSES: Final[dict[str, Callable[[Any, int], str | None]]] = {
    "d": _decimal,
    "f": _fixed,
    "e": _scientific,
    "b": _binary,
    "o": _octal,
    "x": _hexadecimal,
    "X": _upper_hexadecimal,
}
_SHOWN: Final[dict[type, Callable[[Any], str]]] = {
    str: str,
    int: repr,
    Uint: int.__repr__,
    float: _plain,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    bytes: _bytes_text,
    Timestamp: timestamp_text,
    Duration: duration_text,
    TypeValue: str.__str__,
}
