"""Times: RFC 3339 and spans as they are written, calendars in every zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.expr import times
from engine.expr.library import FUNCTIONS
from engine.expr.operators import MAX_TIMESTAMP, MIN_TIMESTAMP
from engine.expr.values import MAX_INT, MIN_INT, Duration, EvaluationError, Timestamp, Uint

FIELDS = ["getFullYear", "getMonth", "getDayOfMonth", "getDate", "getDayOfYear", "getDayOfWeek"]
CLOCK = ["getHours", "getMinutes", "getSeconds", "getMilliseconds"]


def call(name, *arguments):
    return FUNCTIONS[name].call(*arguments)


def at(text):
    return call("timestamp", text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 10**9),
        ("1970-01-01T00:00:00.5Z", 5 * 10**8),
        ("1970-01-01T00:00:00.1234567899Z", 123456789),
        ("1970-01-01T05:30:00+05:30", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1969-12-31T23:59:59.000000001Z", -999_999_999),
        ("1969-12-31T23:59:60Z", 0),
        ("2024-02-29T00:00:00Z", 1709164800 * 10**9),
        ("0001-01-01T00:00:00Z", MIN_TIMESTAMP),
        ("9999-12-31T23:59:59.999999999Z", MAX_TIMESTAMP),
        ("0001-01-01T01:00:00+01:00", MIN_TIMESTAMP),
    ],
)
def test_timestamps_are_read(text, nanoseconds):
    assert at(text) == nanoseconds
    assert type(at(text)) is Timestamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00",
        "2024-01-01 00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+05",
        "2024-01-01T00:00:00+0530",
        "2024-01-01T00:00:00,5Z",
        "2024-01-01T00:00:00.Z",
        "2024-1-01T00:00:00Z",
        " 2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
        "٢٠٢٤-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "2024-01-01T00:00:00." + "1" * 100 + "Z",
        253402300800,
        -62135596801,
        MAX_INT,
        1.5,
        True,
        Uint(1),
        None,
    ],
)
def test_other_timestamps_are_refused(text):
    with pytest.raises(EvaluationError):
        at(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds", "written"),
    [
        ("0", 0, "0s"),
        ("0s", 0, "0s"),
        ("-0s", 0, "0s"),
        ("1h30m", 5400 * 10**9, "5400s"),
        ("-1.5h", -5400 * 10**9, "-5400s"),
        ("+1ms", 10**6, "0.001s"),
        ("1us1µs1μs", 3000, "0.000003s"),
        ("1.5ns", 1, "0.000000001s"),
        ("-.5s", -5 * 10**8, "-0.5s"),
        ("1.s", 10**9, "1s"),
        ("1m1h", 3660 * 10**9, "3660s"),
        (f"{MAX_INT}ns", MAX_INT, "9223372036.854775807s"),
    ],
)
def test_durations_are_read_and_written(text, nanoseconds, written):
    made = call("duration", text)
    assert (made, type(made)) == (nanoseconds, Duration)
    assert call("string", made) == written
    assert call("duration", written) == made


@pytest.mark.parametrize(
    "text",
    ["", "s", "1", "1d", "1 s", "1h-1m", ".s", "inf", "1e3s", "--1s", "9223372036.854775808s", "1" * 65 + "s", 5, None],
)
def test_other_durations_are_refused(text):
    with pytest.raises(EvaluationError):
        call("duration", text)


@given(st.integers(MIN_TIMESTAMP, MAX_TIMESTAMP))
def test_a_timestamp_comes_back_from_its_text(nanoseconds):
    instant = Timestamp(nanoseconds)
    assert at(call("string", instant)) == instant
    assert call("timestamp", instant) is instant
    assert call("timestamp", call("int", instant)) == instant // 10**9 * 10**9


@given(st.integers(MIN_INT, MAX_INT))
def test_a_duration_comes_back_from_its_text(nanoseconds):
    assert call("duration", call("string", Duration(nanoseconds))) == nanoseconds


@pytest.mark.parametrize(
    ("zone", "values"),
    [
        ((), [2024, 1, 28, 29, 59, 4, 23, 45, 10, 5]),
        (("UTC",), [2024, 1, 28, 29, 59, 4, 23, 45, 10, 5]),
        (("",), [2024, 1, 28, 29, 59, 4, 23, 45, 10, 5]),
        (("+00:30",), [2024, 2, 0, 1, 60, 5, 0, 15, 10, 5]),
        (("00:30",), [2024, 2, 0, 1, 60, 5, 0, 15, 10, 5]),
        (("-9:30",), [2024, 1, 28, 29, 59, 4, 14, 15, 10, 5]),
        (("Asia/Kathmandu",), [2024, 2, 0, 1, 60, 5, 5, 30, 10, 5]),
        (("America/Los_Angeles",), [2024, 1, 28, 29, 59, 4, 15, 45, 10, 5]),
    ],
)
def test_the_fields_of_an_instant(zone, values):
    instant = at("2024-02-29T23:45:10.005Z")
    assert [call(name, instant, *zone) for name in FIELDS + CLOCK] == values


@pytest.mark.parametrize(
    "zone",
    [
        "Nowhere/Else",
        "Z",
        "utc+1",
        "+5",
        "+24:00",
        "+01:60",
        "../../etc/passwd",
        "/etc/passwd",
        "America",
        "x" * 99,
        "\0",
    ],
)
def test_what_is_no_zone_is_an_error(zone):
    with pytest.raises(EvaluationError, match="no such time zone"):
        call("getHours", Timestamp(0), zone)


@pytest.mark.parametrize("arguments", [("text",), (0,), (Timestamp(0), 1), (Duration(0), "UTC"), (None, "UTC")])
def test_fields_are_of_timestamps(arguments):
    for name in FIELDS + CLOCK:
        with pytest.raises(EvaluationError, match=f"no such overload: {name}"):
            call(name, *arguments)


@pytest.mark.parametrize(("text", "values"), [("-1.5s", [0, 0, -1, -500]), ("25h1m1.002003s", [25, 1501, 90061, 2])])
def test_the_fields_of_a_duration(text, values):
    assert [call(name, call("duration", text)) for name in CLOCK] == values


def test_the_ends_of_time_have_a_local_year_beyond():
    first, last = Timestamp(MIN_TIMESTAMP), Timestamp(MAX_TIMESTAMP)
    assert [call(name, first, "-01:00") for name in FIELDS] == [0, 11, 30, 31, 365, 0]
    assert call("getFullYear", first, "America/New_York") == 0
    assert [call(name, last, "+01:00") for name in FIELDS] == [10000, 0, 0, 1, 0, 6]
    assert call("getFullYear", last, "Asia/Tokyo") == 10000


@given(
    st.sampled_from(sorted(available_timezones() - {"localtime"})),
    st.one_of(st.integers(-5_000_000_000, 5_000_000_000), st.integers(300_000_000, 1_700_000_000)),
)
def test_every_zone_agrees_with_python(name, seconds):
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(ZoneInfo(name))
    for near in (0, 1, -1, 899):
        shifted = (moment.astimezone(UTC) + timedelta(seconds=near)).astimezone(ZoneInfo(name))
        instant = Timestamp((seconds + near) * 10**9)
        made = [call(field, instant, name) for field in ("getDate", "getHours", "getMinutes", "getSeconds")]
        assert made == [shifted.day, shifted.hour, shifted.minute, shifted.second]


def test_a_change_within_a_quarter_of_an_hour_is_seen():
    """St John's set its clocks forward at one minute past midnight, 03:31 UTC."""
    before, after = at("2011-03-13T03:30:59Z"), at("2011-03-13T03:31:00Z")
    for _ in range(2):
        assert call("getHours", before, "America/St_Johns") == 0
        assert call("getHours", after, "America/St_Johns") == 1


def test_what_is_kept_of_zones_is_bounded():
    for number in range(3 * times._KEPT):
        call("getHours", Timestamp(number * times._QUARTER * 10**9), "Asia/Tokyo")
    assert len(times._offsets) <= times._KEPT
