"""Frames of a stream that are alike but for one text: the text is read out of their bytes, and another put there.

Most frames of a stream say a few letters amid hundreds of bytes that never change. From one such frame, read by its dialect,
a shape is made: what stands before the text, and behind. A frame that begins and ends so, with one JSON string between, is the same
JSON with another string in one place. What a dialect makes of frames
depends on nothing in that place, which a probe has shown for this very shape.
"""

from __future__ import annotations

import orjson

from engine.contracts import Dialect, Frame, TextSlot
from engine.frames import parse

PROBE = "\u2042interlock\u2042"
_SAID = PROBE.encode()
_PADDED = b'"obfuscation":"'
"""OpenAI pads frames with a text of no meaning, so that their lengths tell nothing."""
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
        before, padded, behind = tail.partition(_PADDED)
        self._tail = before + padded
        self._rest = behind[behind.index(b'"') :] if padded else b""
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
        plain = at > 0 and raw.endswith(self._rest) and padding.isascii() and padding.isalnum()
        return at + 1 if plain else 0

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
        """Take the shape of a frame that has one text and ends nothing; `worked` says whether the last shape had other frames."""
        self._left = _TRIES if worked else self._left - 1
        self.now = self._shape(frame, slots[0]) if self._left > 0 and len(slots) == 1 and slots[0].text else None

    def _shape(self, frame: Frame, slot: TextSlot) -> Shape | None:
        raw, said = frame.raw, orjson.dumps(slot.text)
        probe = slot._replace(text=PROBE)
        at = -1
        for _ in range(_PLACES):
            at = raw.find(said, at + 1)
            if at < 0:
                return None
            head, tail = raw[: at + 1], raw[at + len(said) - 1 :]
            probing = parse(head + _SAID + tail)
            if self._dialect.texts(probing) == (probe,) and not (
                self._dialect.ends(probing) or self._dialect.repeats(probing)
            ):
                before, found, behind = self._dialect.replace(probing, (probe,)).partition(_SAID)
                return Shape(slot, (head, tail), (before, behind)) if found and _SAID not in behind else None
        return None
