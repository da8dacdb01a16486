"""Frames of a stream that are alike but for one text: the text is read out of their bytes, and another put there.

Most frames of a stream say a few letters amid hundreds of bytes that never change. From one such frame, read by its dialect,
a shape is made: what stands before the text, and behind. A frame that begins and ends so, with one JSON string between, is the
same JSON with another string in one place. That what a dialect makes of it depends on nothing in that place, a probe has shown.
"""

from __future__ import annotations

import re

import orjson

from engine.contracts import Dialect, Frame, TextSlot
from engine.frames import parse
from engine.places import decode

PROBE = "\u2042interlock\u2042"
_SAID = PROBE.encode()
_PADDING = re.compile(rb'"(?:obfuscation|p)":"([A-Za-z0-9]*+)"|( ++)\}\n\n\Z')
"""What OpenAI, Mistral and Anthropic pad frames with, so that their lengths tell nothing."""
_PLAIN = re.compile(rb"[A-Za-z0-9 ]*+")
_PLACES = 3
"""Places in a frame that may say its text, for one is tried after the other: a model's name may be a word of its answer."""
_TRIES = 3
"""Shapes that are made without one other frame of theirs, before a stream is left alone."""


class Shape:
    """Frames whose bytes are `head`, a text and `tail`; written with another text they begin and end as the dialect would have them.

    Both have the text's quotes. Of a padded frame `tail` goes on until the padding, and `rest` is what stands behind that.
    """

    __slots__ = ("_end", "_head", "_out_head", "_out_tail", "_rest", "_start", "_tail", "slot")

    def __init__(self, slot: TextSlot, came: tuple[bytes, bytes], written: tuple[bytes, bytes]) -> None:
        self.slot = slot
        self._head, tail = came
        padding = _PADDING.search(tail)
        start, end = padding.span(padding.lastindex or 0) if padding is not None else (len(tail), len(tail))
        self._tail, self._rest = tail[:start], tail[end:]
        self._out_head, self._out_tail = written
        self._start, self._end = len(self._head) - 1, 1 - len(tail)

    def text(self, raw: bytes) -> str | None:
        """Return the text of a frame; None for one of another shape, and for one to be read more closely."""
        if not raw.startswith(self._head):
            return None
        end = self._padded(raw) if self._rest else self._end if raw.endswith(self._tail) else 0
        if not end:
            return None
        try:
            text = orjson.loads(raw[self._start : end])
        except orjson.JSONDecodeError:
            return None
        return text if isinstance(text, str) else None

    def _padded(self, raw: bytes) -> int:
        """Return where the text of a padded frame ends; 0 for a frame of another shape."""
        at = raw.rfind(self._tail, self._start)
        padding = raw[at + len(self._tail) : len(raw) - len(self._rest)]
        return at + 1 if at > 0 and raw.endswith(self._rest) and _PLAIN.fullmatch(padding) else 0

    def write(self, text: str) -> bytes:
        """Write a frame of this shape with another text."""
        return self._out_head + orjson.dumps(text)[1:-1] + self._out_tail


class Shapes:
    """Learns the shape that a stream's frames have now."""

    __slots__ = ("_dialect", "_left", "now")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._left = _TRIES
        self.now: Shape | None = None

    def learn(self, frame: Frame, slots: tuple[TextSlot, ...], *, worked: bool) -> None:
        """Take the shape of a frame that ends nothing; `worked` says whether the last shape had other frames."""
        said = [slot for slot in slots if slot.text]
        self._left = _TRIES if worked else self._left - 1
        self.now = self._shape(frame, said[0]) if self._left > 0 and len(said) == 1 else None

    def _shape(self, frame: Frame, slot: TextSlot) -> Shape | None:
        raw, said = frame.raw, orjson.dumps(slot.text)
        at = -1
        for _ in range(_PLACES):
            at = raw.find(said, at + 1)
            if at < 0:
                return None
            head, tail = raw[: at + 1], raw[at + len(said) - 1 :]
            probing = parse(head + _SAID + tail)
            slots = self._dialect.texts(probing)
            if [one for one in slots if one.text] == [slot._replace(text=PROBE)]:
                written = self._dialect.replace(probing, slots)
                before, found, behind = written.partition(_SAID)
                alone = found and _SAID not in behind and not self._dialect.ends(probing)
                # What is left out of a frame that is written anew says its text again: each such frame is to be read.
                same = decode(parse(written).data) == decode(probing.data)
                return Shape(slot, (head, tail), (before, behind)) if alone and same else None
        return None
