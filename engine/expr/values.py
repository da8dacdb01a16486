"""What a CEL value is in Python, and the two ways an evaluation fails.

| CEL | Python | | CEL | Python |
|---|---|---|---|---|
| null | `None` | | list | `list` |
| bool | `bool` | | map | `dict`; a literal whose keys are not all text: `Map` |
| int | `int`, of this very class | | timestamp | `Timestamp`, ns since 1970 |
| uint | `Uint` | | duration | `Duration`, ns |
| double | `float` | | optional | `Optional` |
| string | `str` | | type | `TypeValue` |
| bytes | `bytes` | | ip, cidr | `IpValue`, `CidrValue` of `network.py` |

Parsed JSON is a CEL value as it is: nothing is ever converted. `True` is not `1` here, though Python says so: whoever
compares looks at the class first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

MIN_INT = -(2**63)
MAX_INT = 2**63 - 1
MAX_UINT = 2**64 - 1


class EvaluationError(Exception):
    """An expression has no value: no such key, no such overload, overflow.

    `&&`, `||` and the macros absorb it as CEL says. The message names types and positions, never values.
    """


class LimitError(Exception):
    """An evaluation took more than it may; nothing in an expression absorbs this."""


class Uint(int):
    """An unsigned 64-bit integer."""

    __slots__ = ()


class Timestamp(int):
    """An instant, in nanoseconds since 1970-01-01T00:00:00Z."""

    __slots__ = ()


class Duration(int):
    """A span of time, in nanoseconds."""

    __slots__ = ()


class TypeValue(str):
    """A type as a value, by its CEL name: `int`, `list`, `google.protobuf.Timestamp`; no text equals it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is TypeValue and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class Optional:
    """A value that may be missing (`optional.of(x)`, `optional.none()`)."""

    __slots__ = ("present", "value")

    def __init__(self, value: object = None, *, present: bool = True) -> None:
        self.value = value
        self.present = present

    def __getitem__(self, key: str) -> Optional:
        """Return the optional of a field, as `optional.field` says."""
        if not self.present:
            return self
        if isinstance(self.value, dict):
            return Optional(self.value[key]) if key in self.value else NONE
        raise EvaluationError("no such overload: a field of what is no map")

    def __repr__(self) -> str:
        return "<Optional present>" if self.present else "<Optional none>"


NONE = Optional(present=False)
"""The one optional without a value."""


MAX_TEXT = 1 << 20
"""The longest string or bytes that an operation makes: one MiB."""
MAX_ITEMS = 1 << 17
"""The longest list that an operation makes: one MiB of references."""


class _Truth:
    """A bool as Python's dict may hold it beside numbers."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value


_TRUE, _FALSE, _ABSENT = _Truth(value=True), _Truth(value=False), _Truth(value=False)


def _held(key: object) -> object:
    """Return a key as a `Map` holds it: `1`, `1u` and `1.0` are one, `true` is not."""
    kind = type(key)
    if kind is str or kind is int or kind is Uint:
        return key
    if kind is bool:
        return _TRUE if key else _FALSE
    if isinstance(key, float) and key.is_integer():
        return int(key)
    return _ABSENT


class Map(dict[Any, Any]):
    """A map whose keys are not all text: ints, uints, bools and strings, each found as CEL equality says.

    Made from pairs of distinct keys of these types; never changed afterwards.
    """

    __slots__ = ()

    def __init__(self, pairs: Iterable[tuple[object, object]] = ()) -> None:
        super().__init__((_held(key), value) for key, value in pairs)

    def __getitem__(self, key: object) -> Any:
        return super().__getitem__(_held(key))

    def __contains__(self, key: object) -> bool:
        return super().__contains__(_held(key))

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            yield key.value if type(key) is _Truth else key

    def __reduce__(self) -> tuple[type[Map], tuple[list[tuple[Any, Any]]]]:
        return Map, (self.items(),)

    def get(self, key: object, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        return super().get(_held(key), default)

    def keys(self) -> Any:
        """Return the keys as they were written."""
        return list(self)

    def items(self) -> Any:
        """Return keys as they were written, with their values."""
        return list(zip(self, self.values(), strict=True))
