"""Where texts stand in the decoded frames of a stream, and what a dialect reads without trusting it.

For the dialects: an upstream's bytes may hold anything, so whatever is not what it should be reads as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson

from engine.call import Measured, Usage
from engine.contracts import Channel, Frame, TextSlot

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading an upstream's bytes may raise."""
Member = dict[str, Any]
Place = tuple[Member, str, TextSlot]
"""Where a text stands: the object that holds it, the member's name, and the text."""


def decode(data: bytes) -> Member:
    """Parse a frame's JSON object; anything else is an empty one."""
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return chunk if isinstance(chunk, dict) else {}


def fill(places: Iterable[Place], slots: Sequence[TextSlot]) -> None:
    """Write slots into their places, those of one text in their order; places without a slot are emptied."""
    texts: dict[tuple[Channel, int, int], list[str]] = {}
    for slot in reversed(slots):
        texts.setdefault((slot.channel, slot.choice, slot.index), []).append(slot.text)
    for holder, name, slot in places:
        waiting = texts.get((slot.channel, slot.choice, slot.index))
        holder[name] = waiting.pop() if waiting else ""


def event(body: Member, name: str | bytes = b"", eol: bytes = b"\n") -> bytes:
    """Write a frame; with a `name`, as an event of that name."""
    said = name.encode() if isinstance(name, str) else name
    head = b"event: " + said + eol if said else b""
    return head + b"data: " + orjson.dumps(body) + eol + eol


def again(frame: Frame, body: Member) -> bytes:
    """Write a frame with another body: under its event's name, with its line ends."""
    return event(body, frame.event, b"\r\n" if frame.raw.endswith(b"\r\n") else b"\n")


def kind_of(body: Member) -> str:
    """Read an event's `type`; whatever is none is empty."""
    kind = body.get("type")
    return kind if isinstance(kind, str) else ""


def number(value: object, otherwise: int) -> int:
    """Read an index; whatever is none becomes `otherwise`."""
    return value if type(value) is int else otherwise


def tokens(holder: Member, name: str) -> int:
    """Read a count; whatever is none is 0."""
    value = holder.get(name)
    return value if type(value) is int and value > 0 else 0


def inner(holder: Member, name: str) -> Member:
    """Read a member that is an object; whatever is none is an empty one."""
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Member]:
    """List the objects of an array; whatever is none is left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def measured(usage: Usage) -> Measured:
    """Return a usage that can count more than tokens."""
    if isinstance(usage, Measured):
        return usage
    found = Measured()
    for name in Usage.__slots__:
        setattr(found, name, getattr(usage, name))
    return found
