"""Masks, blocks or notes what detectors find, in whole texts and in streams: a stream says what the whole text would.

Of a stream only that is held back which could still become a hit, or a longer one. Hits that overlap are one: the first, of
those that start together the longest, names the mask, and nothing of what they span leaves. Arguments of tool calls are
searched as they came and as what they say (`engine.arguments`), and stay JSON.
"""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from engine.arguments import Arguments, Token, unescaped
from engine.contracts import Channel, TextSlot
from engine.detecting import Blocked, Detector
from engine.panel import Noted, Panel, View
from engine.vault import Vault
from engine.windowed import Windowed

LONG = 2 * 1024
"""Characters from which on texts are better searched in a thread (RE2 lets go of the interpreter while it searches).

Prose of that length takes 0.02 ms; a text that is nothing but numbers, each to be checked, up to 5 ms.
"""
WHOLE = 1 << 20
"""Characters that are held back for a detector that wants a text whole; a longer text is blocked."""
MASK = "<{type}>"


class Action(enum.StrEnum):
    """What is done about a hit."""

    BLOCK = "block"
    MASK = "mask"
    LOG = "log"


class Watch(NamedTuple):
    """A detector, and what is done about its hits."""

    detector: Detector
    action: Action = Action.MASK
    mask: str | Callable[[str, str], str] | None = None
    """What takes a hit's place, `{type}` standing for its type; or what makes it of a hit's text and type; None for the detector's own way."""
    window: int = 0
    """For a detector that wants texts whole: characters of the windows that it is shown instead, each half over the next."""


class Redacted(NamedTuple):
    """A text as it may leave, its hits in order, and the first that blocks it (`text` is masked even then)."""

    text: str
    hits: Sequence[Noted]
    blocked: Blocked | None


class Redaction:
    """What a guardrail does to texts; shared by calls."""

    __slots__ = ("_panel", "holds", "longest", "names", "watches")

    def __init__(self, watches: Iterable[Watch | tuple[Detector, Action, str | None]]) -> None:
        self.watches = tuple(Watch(*one) for one in watches)
        self.names = tuple(type(one.detector).__module__.rpartition(".")[2] for one in self.watches)
        """What each detector is called in YAML."""
        seen = [
            Windowed(one.detector, one.window) if one.window and one.detector.whole else one.detector
            for one in self.watches
        ]
        self._panel = Panel(seen)
        self.holds = next((self.names[place] for place in self._panel.wholes), "")
        """The detector for which streams are held back whole; empty for none."""
        self.longest = max((one.longest for one in seen), default=0)
        """The most characters of a stream that are held back else."""

    def whole(self, text: str, vault: Vault | None = None, *, arguments: bool = False) -> Redacted:
        """Search a text that is all there; `arguments` says that it is what a tool is called with.

        With a vault, masks are numbered and the vault remembers what they stand for.
        """
        json_ = arguments and _is_json(text)
        if not json_ and self._panel.clear(text):
            return Redacted(text, (), None)
        said = _Arguments(self, vault) if json_ else _Text(self, vault)
        passed = said.feed(text, last=True)
        said.noted.sort()
        first = next((hit for hit in said.noted if self.watches[hit.place].action is Action.BLOCK), None)
        return Redacted(passed, said.noted, self.blocked(first) if first else None)

    def guard(self) -> Guard:
        """Return what watches one stream."""
        return Guard(self)

    def blocked(self, hit: Noted) -> Blocked:
        """Return why a text is blocked."""
        return Blocked(hit.type, self.names[hit.place])

    def view(self) -> View:
        """Return a text that grows, as the detectors see it."""
        return View(self._panel)

    def mask(self, hit: Noted, original: Callable[[Noted], str]) -> str | None:
        """Return what takes a hit's place; None for one that is only noted."""
        watch = self.watches[hit.place]
        if watch.action is Action.LOG:
            return None
        if callable(watch.mask):
            return watch.mask(original(hit), hit.type)
        form = watch.mask if watch.mask is not None else getattr(watch.detector, "mask", MASK)
        return str(form).replace("{type}", hit.type)


class Guard:
    """The `TextGuard` of one stream. Raises Blocked where a hit says so: what has left is all that leaves."""

    __slots__ = ("_redaction", "_texts", "noted")

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._texts: dict[tuple[Channel, int, int], _Text] = {}
        self.noted: Counter[tuple[str, str, Action]] = Counter()
        """How often what was found: by the detector's name, the type, and what was done."""

    def feed(self, slot: TextSlot) -> str:
        """Take the next piece of a text; return what may leave now."""
        channel, choice, index, piece = slot
        text = self._texts.get((channel, choice, index))
        if text is None:
            if not piece:
                return ""
            arguments = channel is Channel.TOOL_ARGUMENTS
            text = _Unsure(self._redaction) if arguments else _Text(self._redaction)
            self._texts[channel, choice, index] = text
        return self._passed(text, piece, last=False)

    def flush(self, channel: Channel, choice: int, index: int) -> str:
        """Return what is still held of a text that ends here."""
        text = self._texts.pop((channel, choice, index), None)
        return "" if text is None else self._passed(text, "", last=True)

    def _passed(self, text: _Text, piece: str, *, last: bool) -> str:
        passed = text.feed(piece, last=last)
        if text.noted:
            self._told(text)
        return passed

    def _told(self, text: _Text) -> None:
        watches, names = self._redaction.watches, self._redaction.names
        for hit in text.noted:
            action = watches[hit.place].action
            self.noted[names[hit.place], hit.type, action] += 1
            if action is Action.BLOCK:
                raise self._redaction.blocked(hit)
        text.noted.clear()


class _Cut(NamedTuple):
    """What to put in the place of what; the smallest of those that overlap counts."""

    start: int
    minus_end: int
    place: int
    mask: str


class _Text:
    """A text that grows, and what of it has left. Places count from its first character."""

    __slots__ = ("_base", "_cuts", "_held", "_left", "_redaction", "_vault", "_view", "noted")

    def __init__(self, redaction: Redaction, vault: Vault | None = None) -> None:
        self._redaction, self._vault = redaction, vault
        self._view = redaction.view()
        self._cuts: list[_Cut] = []
        self._held, self._base = "", 0
        self._left = 0
        self.noted: list[Noted] = []
        """Hits that are settled and that nobody has asked for yet."""

    def feed(self, piece: str, *, last: bool) -> str:
        """Take a piece; return what leaves."""
        if not (self._cuts or last):
            settled = self._view.glance(piece)
            if settled >= 0:
                held, left = self._held + piece, settled - self._left
                self._held, self._left, self._base = held[left:], settled, settled
                return held[:left]
        self._hold(piece, last=last)
        hits, settled = self._view.feed(piece, last=last)
        self.noted += hits
        for hit in hits:
            mask = self._mask(hit)
            if mask is not None:
                self._cuts.append(_Cut(hit.start, -hit.end, hit.place, mask))
        return self._leave(settled)

    def _hold(self, piece: str, *, last: bool) -> None:
        self._held += piece
        if not last and len(self._held) > WHOLE and self._redaction.holds:
            raise Blocked("TOO_LONG", self._redaction.holds)

    def _mask(self, hit: Noted) -> str | None:
        mask = self._redaction.mask(hit, self._original)
        return mask if mask is None or self._vault is None else self._vault.mask(mask, self._original(hit))

    def _original(self, hit: Noted) -> str:
        return self._held[max(0, hit.start - self._base) : hit.end - self._base]

    def _leave(self, settled: int) -> str:
        """Let go of what is settled, cut."""
        pieces: list[str] = []
        kept: list[_Cut] = []
        for cut in sorted(self._cuts):
            if cut.start >= settled:
                kept.append(cut)
                continue
            if cut.start >= self._left:
                pieces += (self._held[self._left - self._base : cut.start - self._base], cut.mask)
            self._left = max(self._left, -cut.minus_end)
        if self._left < settled:
            pieces.append(self._held[self._left - self._base : settled - self._base])
            self._left = settled
        self._cuts = kept
        self._held = self._held[max(0, self._left - self._base) :]
        self._base = max(self._base, self._left)
        return "".join(pieces)


class _Unsure(_Text):
    """What a tool is called with: JSON or not, its first character tells."""

    __slots__ = ("_sure", "_waiting")

    def __init__(self, redaction: Redaction) -> None:
        super().__init__(redaction)
        self._waiting = ""
        self._sure: _Text | None = None

    def feed(self, piece: str, *, last: bool) -> str:
        """Take a piece; return what leaves."""
        if self._sure is None:
            piece = self._waiting + piece
            if not piece.strip() and not last:
                self._waiting = piece
                return ""
            self._sure = _Arguments(self._redaction) if _is_json(piece) else _Text(self._redaction)
            self.noted = self._sure.noted
        return self._sure.feed(piece, last=last)


class _Arguments(_Text):
    """JSON that grows: what it says is searched beside what came."""

    __slots__ = ("_json", "_said", "_seen", "_waiting")

    def __init__(self, redaction: Redaction, vault: Vault | None = None) -> None:
        super().__init__(redaction, vault)
        self._json = Arguments()
        self._said = redaction.view()
        self._waiting: list[Noted] = []
        self._seen: set[Noted] = set()

    def feed(self, piece: str, *, last: bool) -> str:
        """Take a piece; return what leaves."""
        came, said = self._json.feed(piece, last=last)
        self._hold(came, last=last)
        hits, settled = self._view.feed(came, last=last)
        said_hits, said_settled = self._said.feed(said, last=last)
        self._note(hits)
        self._note(map(self._placed, said_hits))
        settled = self._json.floor(min(settled, self._json.came(said_settled)))
        settled = self._cut(settled, None if last else self._json.open)
        passed = self._leave(settled)
        self._json.forget(settled)
        self._seen = {hit for hit in self._seen if hit.end > settled}
        return passed

    def _placed(self, hit: Noted) -> Noted:
        """Return a hit in what is said as one in what came."""
        end = self._json.ceiling(self._json.came(hit.end - 1) + 1)
        return hit._replace(start=self._json.came(hit.start), end=end)

    def _note(self, hits: Iterable[Noted]) -> None:
        """Take up hits, each once: most are found in what came and in what it says."""
        new = [hit for hit in dict.fromkeys(hits) if hit not in self._seen]
        self._seen.update(new)
        self.noted += new
        self._waiting += new

    def _cut(self, settled: int, growing: Token | None) -> int:
        """Turn hits into cuts, but for those that touch a number or word which still grows; return what then is settled."""
        kept = []
        for hit in self._waiting:
            if growing and hit.end > growing.start:
                settled = min(settled, self._json.floor(hit.start))
                kept.append(hit)
                continue
            mask = self._mask(hit)
            if mask is not None:
                quoted = json.dumps(mask, ensure_ascii=False)
                for start, end, text in self._json.changed(hit.start, hit.end, quoted[1:-1], quoted):
                    self._cuts.append(_Cut(start, -end, hit.place, text))
        self._waiting = kept
        return min(settled, growing.start) if growing else settled

    def _original(self, hit: Noted) -> str:
        return unescaped(super()._original(hit))


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "[", '"'}
