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
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]{1,9})(?=\r\n)", re.IGNORECASE)
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


class LastHead(Generic[V]):
    """The head that a connection saw last; heads that keep differing are not compared for ever."""

    __slots__ = ("_misses", "_template")

    def __init__(self) -> None:
        self._template: Template[V] | None = None
        self._misses = 0

    def again(self, data: bytes | memoryview) -> tuple[V, int] | None:
        """Return what the head was parsed to and where the body begins; None leaves the message to the parser."""
        last = self._template
        if last is None:
            return None
        begin = last.body(data)
        if not begin:
            self._misses += 1
            self._template = None
            return None
        self._misses = 0
        return last.value, begin

    def keep(self, data: bytes, value: V) -> None:
        """Remember the head that `data` begins with, where its length is told by one content-length."""
        if self._misses >= MISSES:
            return
        end = data.find(b"\r\n\r\n", 0, LARGEST) + 4
        head = data[:end]
        lengths = list(_LENGTH.finditer(head))
        if end >= 4 and len(lengths) == 1 and not _CHUNKED.search(head):
            self._template = Template(head[: lengths[0].start(1)], head[lengths[0].end(1) :], value)
