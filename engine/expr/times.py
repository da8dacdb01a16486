"""Timestamps and durations, in nanoseconds: reading, writing, and the fields of a calendar in any zone.

Laws of this file:
1. A zone's offset is asked for once per quarter of an hour and kept: the clock of a gateway stays within one.
2. A quarter within which an offset changes is never kept (St John's changed its clocks at one minute past midnight).
3. What is kept is bounded, for zones and times may be the client's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from engine.expr.faults import no_overload
from engine.expr.operators import duration_of, timestamp_of
from engine.expr.schema import DURATION, INT, STRING, TIMESTAMP, Function, Signature
from engine.expr.values import Duration, EvaluationError, Timestamp

SECOND: Final = 10**9
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 86_400

_LONGEST: Final = 64
_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:)([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))",
    re.ASCII,
)
_SPAN: Final = re.compile(r"([+-]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:h|m|s|ms|us|µs|μs|ns))+|0)", re.ASCII)
_TERM: Final = re.compile(r"([0-9]*)\.?([0-9]*)(h|ms|m|s|us|µs|μs|ns)", re.ASCII)
_UNITS: Final = {
    "h": HOUR,
    "m": MINUTE,
    "s": SECOND,
    "ms": 10**6,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ns": 1,
}
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - everything here is counted in UTC
_EPOCH_DAY: Final = _EPOCH.toordinal()
_CYCLE: Final = 146_097
"""The days of 400 years, after which the calendar repeats."""
_FIRST, _LAST = -62_135_596_800 + 2 * DAY, 253_402_300_799 - 2 * DAY

_FIXED: Final = re.compile(r"([+-]?)([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_NAMED: Final = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,3}", re.ASCII)
_QUARTER: Final = 900
_KEPT: Final = 1024
_offsets: dict[tuple[str, int], int] = {}


def timestamp(value: Any) -> Timestamp:
    """Return the instant of an RFC 3339 text, or of seconds since 1970."""
    kind = type(value)
    if kind is str:
        if len(value) > _LONGEST:
            raise _no_timestamp()
        return _read_timestamp(value)
    if kind is Timestamp:
        instant: Timestamp = value
        return instant
    if kind is int:
        return timestamp_of(value * SECOND)
    raise no_overload("timestamp", value)


@lru_cache(maxsize=_KEPT)
def _read_timestamp(text: str) -> Timestamp:
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise _no_timestamp()
    start, seconds, fraction, sign, hours, minutes = found.groups()
    try:
        whole = datetime.fromisoformat(f"{start}00") - _EPOCH
    except ValueError:
        raise _no_timestamp() from None
    # the 60th second is a leap second's, and counts as the next minute's first
    total = whole.days * DAY + whole.seconds + int(seconds)
    if int(seconds) > 60:
        raise _no_timestamp()
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        total += offset if sign == "-" else -offset
    return timestamp_of(total * SECOND + (int(f"{fraction:0<9}"[:9]) if fraction else 0))


def timestamp_text(instant: Timestamp) -> str:
    """Write a timestamp as RFC 3339 in UTC, without trailing zeros."""
    seconds, rest = divmod(int(instant), SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    return f"{text}.{rest:09}".rstrip("0") + "Z" if rest else f"{text}Z"


def duration(value: Any) -> Duration:
    """Return the span of a text such as `1h30m` or `-1.5s`."""
    kind = type(value)
    if kind is str:
        if len(value) > _LONGEST:
            raise _no_duration()
        return _read_duration(value)
    if kind is Duration:
        span: Duration = value
        return span
    raise no_overload("duration", value)


@lru_cache(maxsize=_KEPT)
def _read_duration(text: str) -> Duration:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise _no_duration()
    sign, terms = found.groups()
    total = 0
    for whole, fraction, unit in _TERM.findall(terms):
        size = _UNITS[unit]
        total += int(whole or 0) * size + int(fraction or 0) * size // 10 ** len(fraction)
    return duration_of(-total if sign == "-" else total)


def duration_text(span: Duration) -> str:
    """Write a duration in seconds, without trailing zeros."""
    seconds, rest = divmod(abs(int(span)), SECOND)
    sign = "-" if span < 0 else ""
    return f"{sign}{seconds}.{rest:09}".rstrip("0") + "s" if rest else f"{sign}{seconds}s"


def _no_timestamp() -> EvaluationError:
    return EvaluationError("timestamp: the string is not an RFC 3339 time such as 2026-03-01T12:00:00Z")


def _no_duration() -> EvaluationError:
    return EvaluationError("duration: the string is not a span such as 1h30m or 1.5s")


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | int | None:
    """Return a zone, or its offset if that is fixed, or nothing: that is kept too, for looking reads files."""
    if name in {"", "UTC"}:
        return 0
    fixed = _FIXED.fullmatch(name)
    if fixed is not None:
        offset = int(fixed[2]) * 3600 + int(fixed[3]) * 60
        return -offset if fixed[1] == "-" else offset
    if not _NAMED.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return None


def _local(seconds: int, name: Any) -> int:
    """Return local seconds: those that the clock of a zone has run since 1970 on it."""
    block = (name, seconds // _QUARTER)
    offset = _offsets.get(block)
    if offset is not None:
        return seconds + offset
    if len(name) > _LONGEST or (zone := _zone(name)) is None:
        raise EvaluationError("no such time zone: name one such as `Europe/Paris`, or an offset such as `+01:00`")
    if isinstance(zone, int):
        return seconds + zone
    start = seconds - seconds % _QUARTER
    offset = _offset(zone, seconds)
    if _offset(zone, start) == _offset(zone, start + _QUARTER - 1):
        if len(_offsets) >= _KEPT:
            _offsets.clear()
        _offsets[block] = offset
    return seconds + offset


def _offset(zone: ZoneInfo, seconds: int) -> int:
    # at the ends of time the local year may be 0 or 10000, which Python has not: the offset of a day beside serves
    within = min(max(seconds, _FIRST), _LAST)
    moment = (_EPOCH.replace(tzinfo=UTC) + timedelta(seconds=within)).astimezone(zone).replace(tzinfo=None)
    local = moment - _EPOCH
    return local.days * DAY + local.seconds - within


def _clock(name: str, instant: Any, zone: tuple[Any, ...]) -> int:
    """Return local seconds of a timestamp; anything else has none."""
    if type(instant) is Timestamp:
        seconds = int(instant) // SECOND
        if not zone:
            return seconds
        if type(zone[0]) is str:
            return _local(seconds, zone[0])
    raise no_overload(name, instant, *zone)


def _calendar(seconds: int) -> tuple[int, date]:
    """Return the year and the date; those of year 0 and 10000 are dates like them, 400 years off."""
    ordinal = seconds // DAY + _EPOCH_DAY
    if ordinal < 1:
        day = date.fromordinal(ordinal + _CYCLE)
        return day.year - 400, day
    if ordinal > date.max.toordinal():
        day = date.fromordinal(ordinal - _CYCLE)
        return day.year + 400, day
    day = date.fromordinal(ordinal)
    return day.year, day


def full_year(instant: Any, *zone: Any) -> int:
    """Return the year."""
    return _calendar(_clock("getFullYear", instant, zone))[0]


def month(instant: Any, *zone: Any) -> int:
    """Return the month, January is 0."""
    return _calendar(_clock("getMonth", instant, zone))[1].month - 1


def day_of_month(instant: Any, *zone: Any) -> int:
    """Return the day of the month, the first is 0."""
    return _calendar(_clock("getDayOfMonth", instant, zone))[1].day - 1


def day_of_month_from_one(instant: Any, *zone: Any) -> int:
    """Return the day of the month, the first is 1."""
    return _calendar(_clock("getDate", instant, zone))[1].day


def day_of_year(instant: Any, *zone: Any) -> int:
    """Return the day of the year, the first is 0."""
    day = _calendar(_clock("getDayOfYear", instant, zone))[1]
    return day.toordinal() - date(day.year, 1, 1).toordinal()


def day_of_week(instant: Any, *zone: Any) -> int:
    """Return the day of the week, Sunday is 0."""
    # 1970 began on a Thursday
    return (_clock("getDayOfWeek", instant, zone) // DAY + 4) % 7


def hours(instant: Any, *zone: Any) -> int:
    """Return the hour of the day, or the whole hours of a duration."""
    if type(instant) is Duration and not zone:
        return _whole(instant, HOUR)
    return _clock("getHours", instant, zone) % DAY // 3600


def minutes(instant: Any, *zone: Any) -> int:
    """Return the minute of the hour, or the whole minutes of a duration."""
    if type(instant) is Duration and not zone:
        return _whole(instant, MINUTE)
    return _clock("getMinutes", instant, zone) % 3600 // 60


def seconds(instant: Any, *zone: Any) -> int:
    """Return the second of the minute, or the whole seconds of a duration."""
    if type(instant) is Duration and not zone:
        return _whole(instant, SECOND)
    return _clock("getSeconds", instant, zone) % 60


def milliseconds(instant: Any, *zone: Any) -> int:
    """Return the millisecond of the second; of a duration too."""
    if type(instant) is Duration and not zone:
        rest = abs(instant) % SECOND // 10**6
        return -rest if instant < 0 else rest
    _clock("getMilliseconds", instant, zone)
    return int(instant) % SECOND // 10**6


def _whole(span: Duration, unit: int) -> int:
    """Count whole units, cut towards zero."""
    count = abs(span) // unit
    return -count if span < 0 else count


def _field(name: str, call: Callable[..., int], *, of_duration: bool = False) -> Function:
    signatures = (Signature((TIMESTAMP,), INT, method=True), Signature((TIMESTAMP, STRING), INT, method=True))
    spans = (Signature((DURATION,), INT, method=True),) if of_duration else ()
    return Function(name, call, signatures + spans)


FUNCTIONS: Final = (
    _field("getFullYear", full_year),
    _field("getMonth", month),
    _field("getDayOfMonth", day_of_month),
    _field("getDate", day_of_month_from_one),
    _field("getDayOfYear", day_of_year),
    _field("getDayOfWeek", day_of_week),
    _field("getHours", hours, of_duration=True),
    _field("getMinutes", minutes, of_duration=True),
    _field("getSeconds", seconds, of_duration=True),
    _field("getMilliseconds", milliseconds, of_duration=True),
)
