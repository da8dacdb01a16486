"""The third way to relay a stream: its texts pass guards, which may hold back, mask or cut.

Frames whose texts come out of the guards unchanged leave as the bytes they came in. Text that a guard still holds when
its choice ends leaves first, in the manner of the last frame that carried it (handed to the dialect without its `raw`: of
that frame only the text is said again): so a guard never loses text, and never lets any of it pass unseen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.call import Usage
from engine.contracts import EVERY, Channel, Dialect, Frame, TextGuard, TextSlot
from engine.detecting import Blocked
from engine.errors import GatewayError
from engine.frames import Frames, cut, parse
from engine.shape import Shape, Shapes

FILTERED = "content_filter"
"""What OpenAI calls an answer that was cut for what it says; each dialect has a word of its own."""
DONE = b"[DONE]"
_AGAIN = re.compile(rb'(?:[lL]ogprobs(?:Result)?|groundingMetadata|citationMetadata)"\s*+:\s*+[^n\s]')
"""What says the text of a frame, or of those before, again: likelihoods of tokens, and what is cited."""
TextId = tuple[Channel, int, int]
"""Which text: channel, choice, index."""


class Unchanged:
    """The guard that lets everything pass at once."""

    def feed(self, slot: TextSlot) -> str:
        """Return the piece as it is."""
        return slot.text

    def flush(self, channel: Channel, choice: int, index: int) -> str:
        """Return nothing: nothing is held."""
        del channel, choice, index
        return ""


class Texts:
    """Relay decoded frames through guards, in their order."""

    __slots__ = ("_dialect", "_final", "_frames", "_guards", "_last", "_late", "_passes", "_shapes", "blocked")

    def __init__(self, dialect: Dialect, guards: Sequence[TextGuard], *, hide_usage: bool = False) -> None:
        self._dialect = dialect
        self._guards = tuple(guards)
        self._frames = Frames(dialect, hide_usage=hide_usage)
        self._shapes = Shapes(dialect)
        self._passes = 0
        """Frames that the shape of now has spared from being read."""
        self._last: dict[TextId, bytes] = {}
        """Of each text that goes on the last frame that carried it."""
        self._late = False
        """Whether text leaves later than it came: a frame may then say another's, and what else it holds would say its own."""
        self._final = b""
        self.blocked: Blocked | None = None
        """Why nothing more may leave; None while all is well."""

    @property
    def usage(self) -> Usage | None:
        """The usage that the stream has reported so far."""
        return self._frames.usage

    @property
    def tokens(self) -> int:
        """How many tokens have passed, by guess."""
        return self._frames.tokens

    def feed(self, data: bytes) -> bytes:
        """Return the guarded form of the frames that `data` completes; of one that must not pass, and what follows, nothing."""
        shape = self._shapes.now
        if shape is not None and self._frames.between_frames and self.blocked is None:
            text = shape.text(data)
            if text is not None:
                self._frames.passed_alike(len(data))
                try:
                    return self._alike(data, shape, text)
                except Blocked as found:
                    self.blocked = found
                    return b""
        whole = self._frames.feed(data)
        return self._passed(whole) if whole else b""

    def end(self) -> bytes:
        """Return the last frame, then what the guards still hold."""
        out = self._passed(self._frames.end())
        try:
            return out if self.blocked is not None else out + self._flush(EVERY)
        except Blocked as found:
            self.blocked = found
            return out

    def stopped(self, said: str) -> bytes:
        """Write what ends the stream because of what was found, in the manner of its last frame, with a comment that says why."""
        return f": {said}\n\n".encode() + self._dialect.finish(parse(self._final), FILTERED)

    def _passed(self, frames: bytes) -> bytes:
        out: list[bytes] = []
        if self.blocked is not None:
            return b""
        for raw in cut(frames):
            shape = self._shapes.now
            text = shape.text(raw) if shape is not None else None
            try:
                if shape is not None and text is not None:
                    out.append(self._alike(raw, shape, text))
                else:
                    out.append(self._pass(parse(raw)))
            except Blocked as found:
                self.blocked = found
                break
        return b"".join(out)

    def broken(self, error: GatewayError) -> bytes:
        """Say what happened; text still held stays held, for nobody has cleared it."""
        return self._frames.broken(error)

    def _alike(self, raw: bytes, shape: Shape, text: str) -> bytes:
        """Pass a frame that is like the last but for its text."""
        self._passes += 1
        self._final = raw
        channel, choice, index, _ = shape.slot
        passed = self._guard(TextSlot(channel, choice, index, text))
        self._last[channel, choice, index] = raw
        if passed == text:
            return raw
        self._late = True
        return shape.write(passed)

    def _pass(self, frame: Frame) -> bytes:
        if frame.data != DONE:
            self._final = frame.raw
        slots, repeats = self._dialect.texts(frame), self._dialect.repeats(frame)
        passed = [slot._replace(text=self._guard(slot)) for slot in slots]
        ended = self._dialect.ends(frame)
        held = b""
        closing: dict[TextId, int] = {}
        for at, slot in enumerate(slots):
            key = (slot.channel, slot.choice, slot.index)
            if ended == EVERY or slot.choice in ended:
                self._last.pop(key, None)
                closing[key] = at
            else:
                self._last[key] = frame.raw
        for key, at in closing.items():
            # A frame may hold several pieces of one text: what is held comes behind the last of them.
            passed[at] = passed[at]._replace(text=passed[at].text + self._drain(key))
        if ended:
            held = self._flush(ended)
        elif slots and not repeats:
            self._shapes.learn(frame, slots, worked=self._passes > 0)
            self._passes = 0
        passed += map(self._whole, repeats)
        same = tuple(passed) == slots + repeats
        self._late = self._late or not same
        if not same or (self._late and _AGAIN.search(frame.raw)):
            return held + self._dialect.replace(frame, passed)
        return held + frame.raw

    def _guard(self, slot: TextSlot) -> str:
        channel, choice, index, text = slot
        for guard in self._guards:
            text = guard.feed(TextSlot(channel, choice, index, text))
        return text

    def _whole(self, slot: TextSlot) -> TextSlot:
        """Guard a text that is all there: what a stream said piece by piece, some say again at its end."""
        text = slot.text
        for guard in self._guards:
            passed = guard.feed(slot._replace(text=text)) if text else ""
            text = passed + guard.flush(slot.channel, slot.choice, slot.index)
        return slot if text == slot.text else slot._replace(text=text)

    def _flush(self, choices: tuple[int, ...]) -> bytes:
        out = []
        for key in [k for k in self._last if choices == EVERY or k[1] in choices]:
            raw = self._last.pop(key)
            held = self._drain(key)
            if held:
                left = parse(raw)._replace(raw=b"")
                out.append(self._dialect.replace(left, (TextSlot(*key, held),)))
        return b"".join(out)

    def _drain(self, key: TextId) -> str:
        """Empty the guards in order: what one lets go of, the next still sees."""
        text = ""
        for guard in self._guards:
            passed = guard.feed(TextSlot(*key, text)) if text else ""
            text = passed + guard.flush(*key)
        return text
