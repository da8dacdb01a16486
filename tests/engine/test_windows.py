"""Windows: LiteLLM's calendar at hand-picked instants, what holds of any window at any instant, and its errors."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import windows
from engine.windows import NEVER, SECOND, Algorithm

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Sydney",
    "America/Havana",
    "Africa/Cairo",
]
CHAINED = ["30s", "5m", "90m", "1h", "5h", "12h", "1d", "24h", "7d", "1w", "30d", "1mo", "2d", "3d", "45d", "2w"]
INSTANTS = st.datetimes(datetime(2001, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis adds it
    lambda when: int(when.timestamp()) * SECOND + when.microsecond * 1000
)


def instant(text: str) -> int:
    """Read an instant with its offset from UTC."""
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def wall(nanoseconds: int, zone: str) -> datetime:
    return datetime.fromtimestamp(nanoseconds // SECOND, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("text", "zone", "now", "start", "end"),
    [
        ("1d", "UTC", "2026-05-05T13:01:00Z", "2026-05-05T00:00:00Z", "2026-05-06T00:00:00Z"),
        ("24h", "UTC", "2026-05-05T13:01:00Z", "2026-05-05T00:00:00Z", "2026-05-06T00:00:00Z"),
        ("daily", "UTC", "2026-12-31T23:59:59Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
        # At the instant itself the next window has begun: a reset is never a day late.
        ("1d", "UTC", "2026-05-06T00:00:00Z", "2026-05-06T00:00:00Z", "2026-05-07T00:00:00Z"),
        ("1d", "Europe/Berlin", "2026-05-05T22:30:00Z", "2026-05-06T00:00:00+02:00", "2026-05-07T00:00:00+02:00"),
        # The day that clocks go forward has 23 hours, the day that they go back has 25.
        ("1d", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("1d", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        # Cairo's clocks skip midnight itself; Havana's show it twice.
        ("1d", "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-25T00:00:00+03:00"),
        ("1d", "America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"),
        ("7d", "UTC", "2026-05-05T13:00:00Z", "2026-05-04T00:00:00Z", "2026-05-11T00:00:00Z"),
        ("7d", "UTC", "2026-05-11T00:00:00Z", "2026-05-11T00:00:00Z", "2026-05-18T00:00:00Z"),
        ("weekly", "UTC", "2026-05-10T23:59:59Z", "2026-05-04T00:00:00Z", "2026-05-11T00:00:00Z"),
        ("7d", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("30d", "UTC", "2026-01-31T12:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("1mo", "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("monthly", "UTC", "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("1mo", "Australia/Sydney", "2026-09-30T14:00:00Z", "2026-10-01T00:00:00+10:00", "2026-11-01T00:00:00+11:00"),
        ("3d", "UTC", "2026-02-27T10:00:00Z", "2026-02-27T00:00:00Z", "2026-03-02T00:00:00Z"),
        ("48h", "UTC", "2026-05-05T13:00:00Z", "2026-05-05T00:00:00Z", "2026-05-06T00:00:00Z"),
        ("36h", "UTC", "2026-05-05T13:00:00Z", "2026-05-05T12:00:00Z", "2026-05-06T12:00:00Z"),
        ("36h", "UTC", "2026-05-05T10:00:00Z", "2026-05-04T12:00:00Z", "2026-05-06T12:00:00Z"),
        ("1h", "UTC", "2026-05-05T13:59:59Z", "2026-05-05T13:00:00Z", "2026-05-05T14:00:00Z"),
        ("hourly", "Asia/Kolkata", "2026-05-05T13:40:00Z", "2026-05-05T13:30:00Z", "2026-05-05T14:30:00Z"),
        ("6h", "America/New_York", "2026-05-05T13:00:00Z", "2026-05-05T06:00:00-04:00", "2026-05-05T12:00:00-04:00"),
        # The hour that the clocks repeat is two windows of an hour, and six hours end when the clocks say six.
        ("1h", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
        ("6h", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-24T22:00:00Z", "2026-10-25T05:00:00Z"),
        ("6h", "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z"),
        ("5s", "UTC", "2026-05-05T13:00:13Z", "2026-05-05T13:00:10Z", "2026-05-05T13:00:15Z"),
        ("15m", "UTC", "2026-05-05T13:44:00Z", "2026-05-05T13:30:00Z", "2026-05-05T13:45:00Z"),
    ],
)
def test_a_budget_resets_as_the_calendar_says(text, zone, now, start, end):
    assert windows.budget(text, zone).span(instant(now)) == (instant(start), instant(end))


@given(st.sampled_from(CHAINED), st.sampled_from(ZONES), INSTANTS)
def test_a_window_holds_its_instant_and_the_next_begins_where_it_ends(text, zone, now):
    window = windows.budget(text, zone)
    span = window.span(now)
    assert span.start <= now < span.end
    assert span.end % SECOND == 0
    following = window.span(span.end, span.end)
    assert following.start == span.end < following.end
    assert window.span(span.end - 1, span.start if "days" in window.kind else None).end == span.end


@given(st.sampled_from(["1d", "7d", "30d", "3d", "36h"]), st.sampled_from(ZONES), INSTANTS)
def test_a_reset_is_when_the_clock_on_the_wall_says_so(text, zone, now):
    end = wall(windows.budget(text, zone).span(now).end, zone)
    skipped = 1 if zone in {"Africa/Cairo", "America/Havana"} else 0
    assert (end - timedelta(hours=12 if text == "36h" else 0)).time() <= time(skipped)
    assert text != "7d" or end.weekday() == 0
    assert text != "30d" or end.day == 1
    assert end - wall(now, zone) <= timedelta(days={"7d": 7, "30d": 31, "3d": 3, "36h": 2}.get(text, 1), hours=1)


@given(
    st.integers(2, 60).filter(lambda days: days not in {7, 30}), st.sampled_from(ZONES), INSTANTS, st.integers(0, 400)
)
def test_days_go_on_from_the_window_before_however_long_ago(days, zone, now, later):
    window = windows.budget(f"{days}d", zone)
    first = window.span(now)
    then = first.end + later * 86_400 * SECOND
    chained = first
    while chained.end <= then:
        chained = window.span(chained.end, chained.end)
    assert window.span(then, first.end) == chained


@given(st.integers(1, 10**6), st.sampled_from("smhdw"), INSTANTS)
def test_a_rate_begins_with_its_first_call(count, unit, now):
    length = count * windows.UNITS[unit]
    if length > windows.LONGEST:
        with pytest.raises(ValueError, match="ten years at most"):
            windows.rate(f"{count}{unit}")
        return
    assert windows.rate(f"{count}{unit}").span(now) == (now, now + length * SECOND)


def test_what_does_not_end_has_no_reset():
    for window in (windows.TOTAL, windows.LEASE, windows.rate("1m", "sliding"), windows.rate("1m", "token-bucket")):
        assert window.span(instant("2026-05-05T13:00:00Z")).end == NEVER


def test_one_rule_has_one_kind_and_an_algorithm_is_no_part_of_it():
    assert {windows.budget(text).kind for text in ("1d", "24h", "daily", "48h")} == {"budget:days:1:UTC"}
    assert {windows.budget(text).kind for text in ("30d", "1mo", "monthly")} == {"budget:month:1:UTC"}
    assert {windows.budget(text).kind for text in ("7d", "1w", "weekly")} == {"budget:week:1:UTC"}
    assert windows.budget("1d", "Asia/Kolkata").kind != windows.budget("1d").kind
    assert windows.budget("1h").kind == windows.budget("60m").kind != windows.rate("60m").kind
    assert {windows.rate("60s", algorithm).kind for algorithm in windows.RATES} == {windows.rate("1m").kind}
    assert windows.rate("1m", "sliding").algorithm is Algorithm.SLIDING


@pytest.mark.parametrize(
    ("text", "zone", "says"),
    [
        ("", "UTC", "`` is no duration; write a number and s, m, h, d, w or mo"),
        ("1y", "UTC", "`1y` is no duration"),
        ("1.5h", "UTC", "`1.5h` is no duration"),
        ("-1d", "UTC", "`-1d` is no duration"),
        ("1d ", "UTC", "`1d ` is no duration"),
        ("\u0661d", "UTC", "`\u0661d` is no duration"),
        ("0d", "UTC", "`0d`: a window has some length"),
        ("2mo", "UTC", "`2mo`: a budget lasts one month at most"),
        ("9999d", "UTC", "`9999d`: a window lasts ten years at most"),
        ("1d", "Mars/Olympus", "`Mars/Olympus` is no time zone"),
        ("1d", "../etc/passwd", "is no time zone"),
        ("1d", "", "is no time zone"),
    ],
)
def test_an_error_names_what_is_wrong_with_a_budget(text, zone, says):
    with pytest.raises(ValueError, match="`") as error:
        windows.budget(text, zone)
    assert says in str(error.value)


def test_an_error_names_what_is_wrong_with_a_rate():
    with pytest.raises(ValueError, match="`1mo`: months differ in length"):
        windows.rate("1mo")
    with pytest.raises(ValueError, match="`leaky` is no algorithm; there are fixed, sliding, token-bucket"):
        windows.rate("1m", "leaky")


@pytest.mark.parametrize(
    ("text", "now", "then"),
    [
        ("30s", "2026-01-01T00:00:00", "2026-01-01T00:00:30"),
        ("30m", "2026-01-01T00:00:00", "2026-01-01T00:30:00"),
        ("30h", "2026-01-01T00:00:00", "2026-01-02T06:00:00"),
        ("30d", "2026-01-31T12:00:00", "2026-03-02T12:00:00"),
        ("1mo", "2026-01-31T12:00:00", "2026-02-28T12:00:00"),
        ("1mo", "2026-12-05T12:00:00", "2027-01-05T12:00:00"),
        ("13mo", "2027-01-31T12:00:00", "2028-02-29T12:00:00"),
    ],
)
def test_a_duration_from_now_is_exact(text, now, then):
    assert windows.after(text, datetime.fromisoformat(now)) == datetime.fromisoformat(then)


@pytest.mark.parametrize("text", ["", "soon", "0s", "-1d", "1y", "121mo", "99999d"])
def test_what_is_no_duration_is_told(text):
    with pytest.raises(ValueError, match=r"is no duration|some length|ten years"):
        windows.after(text, datetime(2026, 1, 1, tzinfo=UTC))
