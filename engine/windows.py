"""Windows of limits and budgets: which one an instant is in, and the exact instant it ends.

Instants and lengths are integer nanoseconds; those of budgets are Unix time, those of rates are of any clock that
never goes back. Budgets follow LiteLLM's calendar of `budget_duration`; what is shorter than a day is aligned to the
epoch in the time zone, so that it starts at the same times every day if it divides one.
"""

from __future__ import annotations

import enum
import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000
NEVER = 2**63 - 1
"""The end of what does not end."""
LONGEST = 3_660 * 86_400
"""Seconds of the longest window: ten years."""
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
WORDS = {"hourly": "1h", "daily": "24h", "weekly": "7d", "monthly": "30d"}
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time, whose zone is the window's
_DURATION = re.compile(r"([0-9]{1,9})(mo|[smhdw])", re.ASCII)


class Algorithm(enum.IntEnum):
    """How a window counts; those up to LEASE count in one place, from its start to its end."""

    CALENDAR = 0
    FIXED = 1
    TOTAL = 2
    LEASE = 3
    SLIDING = 4
    TOKEN_BUCKET = 5


RATES = {"fixed": Algorithm.FIXED, "sliding": Algorithm.SLIDING, "token-bucket": Algorithm.TOKEN_BUCKET}
"""Algorithms of rate limits, by their names in YAML."""


class Span(NamedTuple):
    """A window's first instant, and the first that is no longer in it."""

    start: int
    end: int


class Window:
    """One window as it was written; `kind` names what tells its counters from those of another.

    Two ways to write one calendar rule (`24h`, `1d`) have one kind, and so have the algorithms of one rate.
    """

    __slots__ = ("_count", "_rule", "_zone", "algorithm", "kind", "length")

    def __init__(self, algorithm: Algorithm, kind: str, length: int, calendar: _Calendar | None = None) -> None:
        self.algorithm = algorithm
        self.kind = kind
        self.length = length
        self._rule, self._count, self._zone = calendar or _Calendar("", 0, UTC)

    def __repr__(self) -> str:
        return f"<Window {self.kind} {self.algorithm.name}>"

    def span(self, now: int, after: int | None = None) -> Span:
        """Return the window that is open at an instant.

        `after` is the end of the window before, if there was one: a rule of several days goes on from there.
        """
        if self.algorithm is Algorithm.FIXED:
            return Span(now, now + self.length)
        if self.algorithm is not Algorithm.CALENDAR:
            return Span(0, NEVER)
        wall = datetime.fromtimestamp(now // SECOND, self._zone).replace(tzinfo=None)
        if self._rule == "aligned" and self._count <= UNITS["h"]:
            return self._short(now)
        return self._days(wall, now, after)

    def _short(self, now: int) -> Span:
        # An hour that the clocks repeat is a window of its own, so that this goes by the offset of the instant.
        ahead = datetime.fromtimestamp(now // SECOND, self._zone).utcoffset() or timedelta()
        shift = (ahead.days * 86_400 + ahead.seconds) * SECOND
        start = (now + shift) // self.length * self.length - shift
        return Span(start, start + self.length)

    def _days(self, wall: datetime, now: int, after: int | None) -> Span:
        first, last = self._bounds(wall, after)
        end = self._instant(last)
        if end <= now:
            # Clocks set back over the end show it twice: the second time counts.
            end = self._instant(last, 1)
        return Span(min(self._instant(first), now), end)

    def _bounds(self, wall: datetime, after: int | None) -> tuple[datetime, datetime]:
        """Return the wall times between which a rule's window lies."""
        count = self._count
        midnight = wall.replace(hour=0, minute=0, second=0)
        if self._rule == "month":
            first = midnight.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1)
        if self._rule == "week":
            first = midnight - timedelta(days=wall.weekday())
            return first, first + timedelta(days=7)
        if self._rule == "hour":
            today = midnight + timedelta(hours=count % 24)
            return (today if today <= wall else today - timedelta(days=1)), today + timedelta(days=1)
        if self._rule == "days":
            first = midnight
            if after is not None:
                before = datetime.fromtimestamp(after // SECOND, self._zone).replace(tzinfo=None)
                first -= timedelta(days=(midnight.date() - before.date()).days % count)
            return first, first + timedelta(days=count)
        length = timedelta(seconds=count)
        first = EPOCH + (wall - EPOCH) // length * length
        return first, first + length

    def _instant(self, wall: datetime, fold: int = 0) -> int:
        return int(wall.replace(tzinfo=self._zone, fold=fold).timestamp()) * SECOND


class _Calendar(NamedTuple):
    rule: str
    number: int
    zone: tzinfo


TOTAL = Window(Algorithm.TOTAL, "total", 0)
"""Everything ever used."""
LEASE = Window(Algorithm.LEASE, "lease", 0)
"""What is in use now: parallel calls."""


def budget(text: str, zone: str = "UTC") -> Window:
    """Read a `budget_duration`: `30s 5m 1h 1d 7d 30d 1mo` or `hourly daily weekly monthly`; raises ValueError.

    `1d` and `24h` end at midnight, `7d` and `1w` with Sunday, `30d` and `1mo` with the month, other days N midnights
    after the one before. Other hours from 24 on end tomorrow at hour N mod 24, as LiteLLM has it.
    """
    count, unit = _parsed(text)
    place = _zone(zone)
    if unit == "mo":
        if count != 1:
            raise ValueError(f"`{text}`: a budget lasts one month at most; write `1mo`")
        rule, count = "month", 1
    elif unit in {"d", "w"}:
        count *= 7 if unit == "w" else 1
        rule = {7: "week", 30: "month"}.get(count, "days")
    elif unit == "h" and count >= 24:
        # A window that ends every midnight is a day, however it is written.
        rule, count = ("hour", count % 24) if count % 24 else ("days", 1)
    else:
        rule, count = "aligned", count * UNITS[unit]
    rule_name = f"{rule}:{count if rule in {'days', 'hour', 'aligned'} else 1}"
    return Window(Algorithm.CALENDAR, f"budget:{rule_name}:{zone}", count * SECOND, _Calendar(rule, count, place))


def rate(text: str, algorithm: str = "fixed") -> Window:
    """Read the window of a rate limit, `30s 5m 1h 1d 7d`, and the name of its algorithm; raises ValueError."""
    if algorithm not in RATES:
        raise ValueError(f"`{algorithm}` is no algorithm; there are {', '.join(RATES)}")
    count, unit = _parsed(text)
    if unit == "mo":
        raise ValueError(f"`{text}`: months differ in length; the window of a rate is in s, m, h, d or w")
    length = count * UNITS[unit] * SECOND
    return Window(RATES[algorithm], f"rate:{length}", length)


def after(text: str, now: datetime) -> datetime:
    """Return the instant that lies a duration after another, `1mo` on the same day of next month or its last; raises ValueError."""
    count, unit = _parsed(text)
    if unit != "mo":
        return now + timedelta(seconds=count * UNITS[unit])
    if count > 120:
        raise ValueError(f"`{text}`: a duration is ten years at most")
    year, month = divmod(now.year * 12 + now.month - 1 + count, 12)
    return now.replace(year=year, month=month + 1, day=min(now.day, monthrange(year, month + 1)[1]))


def _parsed(text: str) -> tuple[int, str]:
    found = _DURATION.fullmatch(WORDS.get(text, text))
    if found is None:
        raise ValueError(f"`{text}` is no duration; write a number and s, m, h, d, w or mo, as `30s`, `7d`, `1mo`")
    count, unit = int(found[1]), found[2]
    if not count:
        raise ValueError(f"`{text}`: a window has some length")
    if count * UNITS.get(unit, 1) > LONGEST:
        raise ValueError(f"`{text}`: a window lasts ten years at most")
    return count, unit


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError) as error:
        raise ValueError(f"`{name}` is no time zone; write a name as `Europe/Berlin` or `UTC`") from error
