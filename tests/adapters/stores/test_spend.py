"""Spend in any store: sums are the sums of rows, pages are stable, both are fast."""

from __future__ import annotations

import statistics
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.storing import Batch, Cursor, LogFilter, Rollup, Scope, SpendRow, Store, StoreError, UsageQuery
from tests.adapters.stores.folding import START, position_of, rows_of

DAY = 86400
NAMES = {
    Scope.KEY: "api_key", Scope.USER: "user", Scope.TEAM: "team_id", Scope.ORG: "organization_id",
    Scope.END_USER: "end_user", Scope.MODEL: "model", Scope.PROVIDER: "custom_llm_provider",
}  # fmt: skip
SLOWEST = {"Sqlite": 0.050, "Postgres": 0.150}
"""Seconds that a page may take; a server's rows lie as they were written, and 70,000 are looked for one by one."""


texts = st.sampled_from(["", "a", "b", "é\0'\""])
counts = st.integers(0, 10**12)
rows = st.builds(
    SpendRow,
    request_id=texts,
    start_time=st.integers(-3 * DAY, 3 * DAY).map(float) | st.floats(0, 4e9, allow_subnormal=False),
    end_time=st.just(0.0),
    completion_start_time=st.just(0.0),
    status=st.sampled_from(["success", "failure"]),
    api_key=st.sampled_from(["", "a" * 64, "b" * 64]),
    user=texts,
    team_id=texts,
    organization_id=texts,
    end_user=texts,
    model=texts,
    custom_llm_provider=texts,
    spend=st.integers(-(10**15), 10**15),
    prompt_tokens=counts,
    completion_tokens=counts,
    request_tags=st.lists(texts, max_size=4).map(tuple),
)


def day_of(row: SpendRow) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(row.start_time // 1))


def summed(scope: Scope, among: list[SpendRow]) -> set[Rollup]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for row in among:
        values = set(row.request_tags) if scope is Scope.TAG else {getattr(row, NAMES[scope])}
        for value in values - {""}:
            total = sums.setdefault((day_of(row), value), Counter())
            total["requests"] += 1
            total["failed"] += row.status == "failure"
            total["input"] += row.prompt_tokens
            total["output"] += row.completion_tokens
            total["spend"] += row.spend
    return {
        Rollup(*where, total["requests"], total["failed"], total["input"], total["output"], total["spend"])
        for where, total in sums.items()
    }


def added(sums: set[Rollup], *, by: str) -> set[Rollup]:
    groups: dict[str, list[Rollup]] = {}
    for one in sums:
        groups.setdefault(getattr(one, by), []).append(one)
    return {
        Rollup("", "", *(sum(column) for column in zip(*(one[2:] for one in group), strict=True)))._replace(
            **{by: value}
        )
        for value, group in groups.items()
    }


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(rows, max_size=8), max_size=5))
def test_sums_are_the_sums_of_the_rows(fresh, batches):
    store = fresh()
    for number, batch in enumerate(batches):
        assert store.fold(Batch((1, number + 1), batch))
    every = [row for batch in batches for row in batch]
    for scope in Scope:
        expected = summed(scope, every)
        assert set(store.usage(UsageQuery(scope))) == expected
        assert set(store.usage(UsageQuery(scope, by="day"))) == added(expected, by="day")
        assert set(store.usage(UsageQuery(scope, by="value"))) == added(expected, by="value")
        assert set(store.totals(scope).values()) == added(expected, by="value")
        some = store.usage(UsageQuery(scope, "1970-01-01", "1970-01-02", ["b" * 64, "a"]))
        assert set(some) == {
            one for one in expected if "1970-01-01" <= one.day <= "1970-01-02" and one.value in {"b" * 64, "a"}
        }
    found = store.logs(LogFilter(), 1000).rows
    assert [row.start_time for row in found] == sorted((row.start_time for row in every), reverse=True)
    assert sum(row.spend for row in found) == sum(row.spend for row in every)
    store.close()


def test_sums_by_value_come_highest_spend_first(store):
    store.fold(Batch((1, 1), [SpendRow("r", START, team_id=f"t{n}", spend=n * n % 7) for n in range(6)]))
    found = store.usage(UsageQuery(Scope.TEAM, by="value", limit=4))
    assert [(one.value, one.spend) for one in found] == [("t2", 4), ("t5", 4), ("t3", 2), ("t4", 2)]


def test_a_row_comes_back_as_it_was_folded(store):
    row = SpendRow(
        "chatcmpl-1", START + 0.123456, START + 2, START + 1, "acompletion", "failure", "a" * 64, "u", "t", "o", "e",
        "m", "mid", "group", "openai", "https://x", 12345, 7, 8, "True", "ck", "s", "192.0.2.1", ("x", "y"),
        '{"a": 1}', '{"messages": "long"}',
    )  # fmt: skip
    store.fold(Batch((1, 1), [row, row]))
    assert store.log("chatcmpl-1") == [row, row]
    assert store.logs(LogFilter()).rows == [row._replace(payload="{}")] * 2
    assert store.log("another") == []


def test_pages_neither_repeat_nor_leave_out_when_rows_are_folded_meanwhile(store):
    # Many rows of one instant: the cursor must tell them apart.
    before = [SpendRow(f"old-{number}", START + number // 5, team_id=f"t{number % 2}") for number in range(53)]
    store.fold(Batch((1, 1), before))
    seen: list[str] = []
    after, turn = None, 1
    while True:
        page = store.logs(LogFilter(), 10, after)
        seen += [row.request_id for row in page.rows]
        if page.next is None:
            break
        after, turn = page.next, turn + 1
        new = [SpendRow(f"new-{turn}-{n}", START + n * 4) for n in range(6)]
        store.fold(Batch((1, turn), new))
    old = [one for one in seen if one.startswith("old")]
    assert sorted(old) == sorted(row.request_id for row in before)
    assert len(seen) == len(set(seen))
    order = [row.request_id for row in sorted(before, key=lambda row: row.start_time)]
    assert [int(one[4:]) // 5 for one in old] == [int(one[4:]) // 5 for one in reversed(order)]


def test_the_last_page_says_that_it_is(store):
    store.fold(Batch((1, 1), [SpendRow(f"r{n}", START) for n in range(20)]))
    first = store.logs(LogFilter(), 10)
    assert first.next is not None
    second = store.logs(LogFilter(), 10, first.next)
    assert (len(second.rows), second.next) == (10, None)
    assert store.logs(LogFilter(), 10, Cursor(0.0, 0)) == ([], None)


def test_logs_are_filtered(store):
    every = rows_of(0)
    store.fold(Batch((1, 1), every))
    row = every[3]
    wanted = {
        "api_key": row.api_key, "user": row.user, "team_id": row.team_id, "end_user": row.end_user,
        "request_id": row.request_id, "model": row.model, "status": row.status,
    }  # fmt: skip
    for name, value in wanted.items():
        found = store.logs(LogFilter(**{name: value}), 1000).rows
        assert {one.request_id for one in found} == {one.request_id for one in every if getattr(one, name) == value}
    assert [one.request_id for one in store.logs(LogFilter(**wanted)).rows] == [row.request_id]
    bounds = LogFilter(first=row.start_time, last=row.start_time, min_spend=row.spend, max_spend=row.spend)
    assert row.request_id in [one.request_id for one in store.logs(bounds).rows]
    assert store.logs(LogFilter(session_id="' OR 1 = 1 --")).rows == []


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_a_page_of_no_size_is_an_error(store, size):
    with pytest.raises(StoreError, match="a page of"):
        store.logs(LogFilter(), size)


def test_half_a_character_does_not_stop_a_fold(store):
    store.fold(Batch((1, 1), [SpendRow("r", START, end_user="u\ud800", request_tags=("\udfff", "x"), metadata='"é"')]))
    assert (store.log("r")[0].end_user, store.log("r")[0].request_tags) == ("u?", ("?", "x"))
    assert set(store.totals(Scope.TAG)) == {"?", "x"}


def timed(store: Store) -> dict[str, float]:
    """Ask for each kind of page five times; return the median of each in seconds."""
    asked = {
        "all days of a model's month": lambda: store.usage(UsageQuery(Scope.MODEL, "2026-01-01", "2026-01-31")),
        "days of all teams": lambda: store.usage(UsageQuery(Scope.TEAM, by="day")),
        "top 100 keys of a month": lambda: store.usage(UsageQuery(Scope.KEY, by="value", limit=100)),
        "days of all keys": lambda: store.usage(UsageQuery(Scope.KEY, by="day")),
        "one key by day": lambda: store.usage(UsageQuery(Scope.KEY, values=[f"{7:064x}"])),
        "top 100 customers of a week": lambda: store.usage(
            UsageQuery(Scope.END_USER, "2026-01-10", "2026-01-16", by="value", limit=100)
        ),
        "days of all customers": lambda: store.usage(UsageQuery(Scope.END_USER, by="day")),
        "counters of teams": lambda: store.totals(Scope.TEAM),
        "counters of keys": lambda: store.totals(Scope.KEY),
        "newest logs": lambda: store.logs(LogFilter(), 50),
        "logs in the middle": lambda: store.logs(LogFilter(), 50, Cursor(START + 15 * DAY, 0)),
        "logs of a key": lambda: store.logs(LogFilter(api_key=f"{7:064x}"), 50),
        "failures of a team": lambda: store.logs(LogFilter(team_id="team-3", status="failure"), 50),
        "logs of a model": lambda: store.logs(LogFilter(model="model-3"), 50),
        "one request": lambda: store.log("call-1-7"),
    }
    taken = {}
    for name, ask in asked.items():
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            assert ask()
            times.append(time.perf_counter() - begin)
        taken[name] = statistics.median(times)
    return taken


def build(store: Store, calls: int, together: int) -> float:
    begin = time.perf_counter()
    for batch in range(calls // together):
        assert store.fold(Batch(position_of(batch), rows_of(batch, together)))
    return time.perf_counter() - begin


def told(calls: int, seconds: float, taken: dict[str, float]) -> None:
    print(f"\n{calls:,} calls folded in {seconds:.1f} s ({seconds / calls * 1e6:.0f} µs each)")
    for name, one in taken.items():
        print(f"{name:<30} {one * 1000:8.2f} ms")


def test_pages_over_20_000_calls_are_fast(store):
    seconds = build(store, 20_000, 1000)
    taken = timed(store)
    told(20_000, seconds, taken)
    assert max(taken.values()) <= 10 * SLOWEST[type(store).__name__]


@pytest.mark.soak
def test_pages_over_a_million_calls_are_fast(store):
    seconds = build(store, 1_000_000, 5000)
    taken = timed(store)
    print(f"\n{store}")
    told(1_000_000, seconds, taken)
    assert sum(one.requests for one in store.usage(UsageQuery(Scope.MODEL, by="day"))) == 1_000_000
    assert max(taken.values()) <= SLOWEST[type(store).__name__]
