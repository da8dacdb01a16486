"""What was masked in a call's question, put back where the model's answer repeats the mask (`restore: true`).

Masks are numbered (`<EMAIL_ADDRESS_1>`), the same text always alike, so that the model can tell who is who. A vault lives as
long as its call, and is written nowhere.
"""

from __future__ import annotations

import json
import re

from engine.contracts import Channel, TextSlot

MOST = 10_000
"""Texts that a vault remembers; what is masked beyond is masked without a number, and not put back."""
CLOSING = frozenset(">])}")


class Vault:
    """Remembers what numbered masks stand for."""

    __slots__ = ("_counts", "_masks", "_pattern", "originals")

    def __init__(self) -> None:
        self.originals: dict[str, str] = {}
        """By mask, what it stands for."""
        self._masks: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None

    def mask(self, mask: str, text: str) -> str:
        """Return the numbered form of a mask for a text."""
        known = self._masks.get((mask, text))
        if known is not None or len(self._masks) >= MOST:
            return known or mask
        number = self._counts[mask] = self._counts.get(mask, 0) + 1
        closed = mask[-1:] in CLOSING
        numbered = f"{mask[:-1]}_{number}{mask[-1]}" if closed else f"{mask}_{number}"
        self._masks[mask, text] = numbered
        self.originals[numbered] = text
        self._pattern = None
        return numbered

    def restore(self, text: str, *, quoted: bool = False) -> str:
        """Put back what masks stand for; `quoted` where the text is JSON."""
        if not self.originals:
            return text
        if self._pattern is None:
            # `<X_12>` before `<X_1>`; only what this program wrote is in it, and all of it literally.
            self._pattern = re.compile("|".join(map(re.escape, sorted(self.originals, key=len, reverse=True))))
        return self._pattern.sub(lambda found: self._original(found[0], quoted=quoted), text)

    def guard(self) -> Restoring:
        """Return what puts back in a stream, as far as is known now."""
        return Restoring(self)

    def _original(self, mask: str, *, quoted: bool) -> str:
        original = self.originals[mask]
        return json.dumps(original, ensure_ascii=False)[1:-1] if quoted else original


class Restoring:
    """The guard that puts originals in the place of masks; holds back what could still become a mask."""

    __slots__ = ("_beginnings", "_held", "_longest", "_vault")

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._held: dict[tuple[Channel, int, int], str] = {}
        self._beginnings = {mask[:end] for mask in vault.originals for end in range(1, len(mask))}
        # A number may still grow: `X_1` is not said before the next character is there.
        self._beginnings |= {mask for mask in vault.originals if mask[-1] not in CLOSING}
        self._longest = max(map(len, self._beginnings), default=0)

    def feed(self, slot: TextSlot) -> str:
        """Take the next piece of a text; return what may leave."""
        key = (slot.channel, slot.choice, slot.index)
        text = self._held.pop(key, "") + slot.text
        keep = next(
            (size for size in range(min(self._longest, len(text)), 0, -1) if text[-size:] in self._beginnings), 0
        )
        if keep:
            self._held[key] = text[-keep:]
        return self._restored(text[: len(text) - keep], slot.channel)

    def flush(self, channel: Channel, choice: int, index: int) -> str:
        """Return what is still held."""
        return self._restored(self._held.pop((channel, choice, index), ""), channel)

    def _restored(self, text: str, channel: Channel) -> str:
        return self._vault.restore(text, quoted=channel is Channel.TOOL_ARGUMENTS) if text else ""
