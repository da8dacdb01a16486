"""Strings: searching, cutting, replacing, quoting; positions count code points from 0.

What would exceed its limit is refused before it is made.
"""

from __future__ import annotations

from typing import Any, Final

from engine.expr.faults import no_overload, too_long
from engine.expr.formatting import format_text
from engine.expr.schema import BOOL, DYN, INT, STRING, Function, Signature, list_of
from engine.expr.values import MAX_ITEMS, MAX_TEXT, EvaluationError

_SPACES: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
"""What Unicode calls white space. Python's own list has four control characters more."""
_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_UPPER: Final = {lower: upper for upper, lower in _LOWER.items()}
_ESCAPES: Final = str.maketrans(
    {
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
        "\\": "\\\\",
        '"': '\\"',
        **dict.fromkeys(map(chr, range(0xD800, 0xE000)), "\ufffd"),
    }
)


def contains(text: Any, part: Any) -> bool:
    """Whether the text contains the part."""
    if type(text) is str and type(part) is str:
        return part in text
    raise no_overload("contains", text, part)


def starts_with(text: Any, prefix: Any) -> bool:
    """Whether the text begins with the prefix."""
    if type(text) is str and type(prefix) is str:
        return text.startswith(prefix)
    raise no_overload("startsWith", text, prefix)


def ends_with(text: Any, suffix: Any) -> bool:
    """Whether the text ends with the suffix."""
    if type(text) is str and type(suffix) is str:
        return text.endswith(suffix)
    raise no_overload("endsWith", text, suffix)


def char_at(text: Any, position: Any) -> str:
    """Return the character at a position; behind the last one there is an empty one."""
    if type(text) is not str or type(position) is not int:
        raise no_overload("charAt", text, position)
    if 0 <= position <= len(text):
        return text[position : position + 1]
    raise _out_of_range("charAt", text)


def index_of(text: Any, part: Any, start: Any = 0) -> int:
    """Return where the part begins first, at or behind `start`; -1 if nowhere."""
    if type(text) is not str or type(part) is not str or type(start) is not int:
        raise no_overload("indexOf", text, part, start)
    if 0 <= start <= len(text):
        return text.find(part, start)
    raise _out_of_range("indexOf", text)


def last_index_of(text: Any, part: Any, start: Any = None) -> int:
    """Return where the part begins last, at or before `start`; -1 if nowhere."""
    if type(text) is not str or type(part) is not str:
        raise no_overload("lastIndexOf", text, part)
    if start is None:
        return text.rfind(part)
    if type(start) is not int:
        raise no_overload("lastIndexOf", text, part, start)
    if 0 <= start <= len(text):
        return text.rfind(part, 0, start + len(part))
    raise _out_of_range("lastIndexOf", text)


def substring(text: Any, start: Any, end: Any = None) -> str:
    """Return the characters from `start` up to `end`, or to the last."""
    if end is None and type(text) is str:
        end = len(text)
    if type(text) is not str or type(start) is not int or type(end) is not int:
        raise no_overload("substring", text, start, end)
    if 0 <= start <= end <= len(text):
        return _fitting(text[start:end])
    if end < start and end >= 0 and start <= len(text):
        raise EvaluationError("substring: the end is before the start")
    raise _out_of_range("substring", text)


def trim(text: Any) -> str:
    """Return the text without white space at its ends."""
    if type(text) is str:
        return _fitting(text.strip(_SPACES))
    raise no_overload("trim", text)


def lower_ascii(text: Any) -> str:
    """Return the text with A to Z in lower case."""
    if type(text) is str:
        return _fitting(text).lower() if text.isascii() else _fitting(text).translate(_LOWER)
    raise no_overload("lowerAscii", text)


def upper_ascii(text: Any) -> str:
    """Return the text with a to z in upper case."""
    if type(text) is str:
        return _fitting(text).upper() if text.isascii() else _fitting(text).translate(_UPPER)
    raise no_overload("upperAscii", text)


def replace(text: Any, old: Any, new: Any, limit: Any = -1) -> str:
    """Return the text with all, or the first `limit`, of one part replaced."""
    if type(text) is not str or type(old) is not str or type(new) is not str or type(limit) is not int:
        raise no_overload("replace", text, old, new, limit)
    if len(new) > len(old):
        count = text.count(old)
        if 0 <= limit < count:
            count = limit
        if len(text) + count * (len(new) - len(old)) > MAX_TEXT:
            raise too_long(str)
    return _fitting(text.replace(old, new, max(limit, -1)))


def split(text: Any, separator: Any, limit: Any = -1) -> list[str]:
    """Return the parts between separators, `limit` at most; an empty separator parts all characters."""
    if type(text) is not str or type(separator) is not str or type(limit) is not int:
        raise no_overload("split", text, separator, limit)
    if limit == 0:
        return []
    count = text.count(separator) + 1 if separator else len(text)
    if (min(limit, count) if limit > 0 else count) > MAX_ITEMS:
        raise too_long(list)
    if separator:
        return text.split(separator, max(limit - 1, -1))
    if 0 < limit < len(text):
        return [*text[: limit - 1], text[limit - 1 :]]
    return list(text)


def join(parts: Any, separator: Any = "") -> str:
    """Return a list's strings as one, with a separator between them."""
    if not isinstance(parts, list) or type(separator) is not str:
        raise no_overload("join", parts, separator)
    size = len(separator) * max(len(parts) - 1, 0)
    for part in parts:
        if type(part) is not str:
            raise no_overload("join", parts, part)
        size += len(part)
    if size > MAX_TEXT:
        raise too_long(str)
    return separator.join(parts)


def quote(text: Any) -> str:
    """Return the text in double quotes, with escapes for what is not printed as it is."""
    if type(text) is not str:
        raise no_overload("strings.quote", text)
    return _fitting(f'"{_fitting(text).translate(_ESCAPES)}"')


def _fitting(text: str) -> str:
    """Return a text that is not longer than a result may be: data may hold longer ones."""
    if len(text) <= MAX_TEXT:
        return text
    raise too_long(str)


def _out_of_range(name: str, text: str) -> EvaluationError:
    return EvaluationError(f"{name}: index out of range: the string has {len(text)} characters")


_TEST: Final = (Signature((STRING, STRING), BOOL, method=True),)
_CHANGE: Final = (Signature((STRING,), STRING, method=True),)
_FIND: Final = (
    Signature((STRING, STRING), INT, method=True),
    Signature((STRING, STRING, INT), INT, method=True),
)

FUNCTIONS: Final = (
    Function("contains", contains, _TEST),
    Function("startsWith", starts_with, _TEST),
    Function("endsWith", ends_with, _TEST),
    Function("charAt", char_at, (Signature((STRING, INT), STRING, method=True),)),
    Function("indexOf", index_of, _FIND),
    Function("lastIndexOf", last_index_of, _FIND),
    Function(
        "substring",
        substring,
        (Signature((STRING, INT), STRING, method=True), Signature((STRING, INT, INT), STRING, method=True)),
    ),
    Function("trim", trim, _CHANGE),
    Function("lowerAscii", lower_ascii, _CHANGE),
    Function("upperAscii", upper_ascii, _CHANGE),
    Function(
        "replace",
        replace,
        (
            Signature((STRING, STRING, STRING), STRING, method=True),
            Signature((STRING, STRING, STRING, INT), STRING, method=True),
        ),
    ),
    Function(
        "split",
        split,
        (
            Signature((STRING, STRING), list_of(STRING), method=True),
            Signature((STRING, STRING, INT), list_of(STRING), method=True),
        ),
    ),
    Function(
        "join",
        join,
        (Signature((list_of(STRING),), STRING, method=True), Signature((list_of(STRING), STRING), STRING, method=True)),
    ),
    Function("strings.quote", quote, (Signature((STRING,), STRING),)),
    Function("format", format_text, (Signature((STRING, list_of(DYN)), STRING, method=True),)),
)
