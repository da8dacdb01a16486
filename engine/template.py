"""The head of a message that was parsed before: one that differs in nothing but the digits of its length says the same.

Clients and servers that keep a connection send the same head over and over. What llhttp has accepted once, byte for byte,
need not be parsed again; anything else goes to llhttp, whose state between two messages is the same either way.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

LARGEST = 4096
"""Bytes of a head that is worth remembering."""
DIGITS = 9
MISSES = 4
"""Heads in a row that were not the one remembered, after which a connection stops comparing."""
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]{1,9})\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)

V = TypeVar("V")


class Template(Generic[V]):
    """A head with a hole for its content-length, and what it was parsed to."""

    __slots__ = ("_after", "_before", "_reach", "value")

    def __init__(self, before: bytes, after: bytes, value: V) -> None:
        self._before = before
        self._after = after
        self._reach = len(before) + DIGITS + len(after)
        self.value = value

    def __repr__(self) -> str:
        return f"<Template {len(self._before) + len(self._after)} bytes>"

    def body(self, data: bytes | memoryview) -> int:
        """Return where the body begins of a message with this head that is whole in `data`, and ends with it; else 0."""
        start = bytes(data[: self._reach])
        at = len(self._before)
        if not start.startswith(self._before):
            return 0
        end = start.find(b"\r", at)
        digits = start[at:end]
        if not digits.isdigit() or not start.startswith(self._after, end):
            return 0
        begin = end + len(self._after)
        return begin if begin + int(digits) == len(data) else 0


def template(data: bytes, value: V) -> Template[V] | None:
    """Remember the head that `data` begins with; None where its length is not told by one content-length."""
    end = data.find(b"\r\n\r\n", 0, LARGEST) + 4
    head = data[:end]
    lengths = list(_LENGTH.finditer(head))
    if end < 4 or len(lengths) != 1 or _CHUNKED.search(head):
        return None
    return Template(head[: lengths[0].start(1)], head[lengths[0].end(1) :], value)
