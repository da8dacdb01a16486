"""Claims as the scripts read them: seven numbers and names each, of which all but the amount are packed once.

Instants go to the scripts in microseconds: what a double holds exactly. Windows of calendars are reckoned here, for scripts
know no time zones; where a reckoning is out of date the script says so, and with what the window before ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.msgpack import Encoder

from engine.claims import Claim, Counter
from engine.windows import NEVER, Algorithm

MICRO = 1_000
"""Nanoseconds in a microsecond."""
MOST = 2**53 - 1
"""The greatest whole number of the scripts, and their NEVER."""
KEPT = 50_000
"""Counters whose claims are packed ahead; beyond it they are packed anew."""
CALENDAR = Algorithm.CALENDAR

pack = Encoder().encode


def micros(instant: int) -> int:
    """Return Unix microseconds of an instant in nanoseconds."""
    return MOST if instant >= NEVER else instant // MICRO


def nanos(instant: int) -> int:
    """Return Unix nanoseconds of an instant in microseconds."""
    return NEVER if instant >= MOST else instant * MICRO


def text(raw: bytes) -> bytes:
    """Pack bytes as the scripts read them: as a string."""
    size = len(raw)
    if size < 32:
        return bytes((0xA0 | size,)) + raw
    return b"\xdb" + size.to_bytes(4, "big") + raw


def many(size: int) -> bytes:
    """Pack the head of a list."""
    return bytes((0x90 | size,)) if size < 16 else b"\xdd" + size.to_bytes(4, "big")


def small(amount: int) -> bytes:
    """Pack an amount."""
    return bytes((amount,)) if 0 <= amount < 128 else pack(min(amount, MOST))


class Reckoning:
    """Packs claims; `now` is Unix nanoseconds by the clock of this process."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._heads: dict[Counter, tuple[bytes, int]] = {}
        self._windows: dict[bytes, tuple[int, int]] = {}
        """Of counters by the calendar, when the window ends and when the one before it did, 0 if there was none."""

    def __repr__(self) -> str:
        return f"<Reckoning of {len(self._heads)}>"

    def claims(self, claims: Sequence[Claim]) -> bytes:
        """Pack claims, without the head of the list that they are in."""
        heads, out, now = self._heads, [], 0
        for counter, amount in claims:
            head = heads.get(counter)
            if head is None:
                head = self._made(counter)
            elif head[1] != NEVER:
                now = now or self._now()
                if head[1] <= now:
                    head = self._made(counter)
            out.append(head[0])
            out.append(small(amount))
        return b"".join(out)

    def counters(self, counters: Sequence[Counter]) -> bytes:
        """Pack a list of claims of nothing."""
        return many(7 * len(counters)) + self.claims([Claim(one, 0) for one in counters])

    def correct(self, counter: Counter, last: int, now: int) -> None:
        """Reckon anew, from the end of the window before (0: there was none) and the server's time, in microseconds."""
        span = counter.window.span(now * MICRO, last * MICRO or None)
        self._windows[counter.id] = (span.end, last * MICRO)
        self._heads.pop(counter, None)

    def forget(self, counter: Counter) -> None:
        """Reckon as if a counter had never been."""
        self._windows.pop(counter.id, None)
        self._heads.pop(counter, None)

    def _made(self, counter: Counter) -> tuple[bytes, int]:
        ends, after = NEVER, 0
        if counter.algorithm is CALENDAR:
            now = self._now()
            ends, after = self._windows.get(counter.id, (0, 0))
            if ends <= now:
                after = ends
                ends = counter.window.span(now, after or None).end
                if len(self._windows) >= KEPT:
                    self._windows.clear()
                self._windows[counter.id] = (ends, after)
        length = micros(counter.window.length)
        numbers = (int(counter.algorithm), min(counter.limit, MOST), length, micros(ends), micros(after))
        head = (text(counter.id) + b"".join(map(pack, numbers)), ends)
        if len(self._heads) >= KEPT:
            self._heads.clear()
        self._heads[counter] = head
        return head
