"""Windows of the ledger: they end at the instant, survive changes of a limit, and all that across a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from engine.allowances import Terms
from engine.claims import Scope
from engine.refusals import refusal
from engine.windows import SECOND
from tests.engine.deciding import asking, chat, document, person, snapshot_of
from tests.engine.keeping import IN, KEY, OUT, Kept, Turned, attempt, of, priced, settle, words

COST = 10 * IN + 20 * OUT
"""Of a call of ours, and all that its budget has."""
DOLLARS = COST / 1e9


@pytest.fixture
def clock():
    return Turned()


@pytest.fixture
def kept(tmp_path, clock):
    made = Kept(tmp_path, clock)
    yield made
    made.end()


@pytest.fixture(params=["runs on", "dies", "dies when all is folded"])
def onward(request, kept):
    """Go on as the same process, or as the next one."""

    def go_on() -> None:
        if request.param == "dies when all is folded":
            kept.fold()
        if request.param != "runs on":
            kept.restart()

    return go_on


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def calling(number, snapshot=None, caller=None, **members):
    """Make a call that costs COST at most."""
    said = {"max_tokens": 20, **chat(words(10)), **members}
    return asking(snapshot or PLAIN, said, caller or person(key_hash=KEY), call_id=f"call-{number}")


def house(*policies, **more):
    return snapshot_of(*policies, models={"a": priced()}, **more)


PLAIN = house()


class End(NamedTuple):
    window: str
    zone: str
    at: str


ENDS = [
    End("1d", "UTC", "2026-05-06T00:00:00+00:00"),
    End("1d", "UTC", "2027-01-01T00:00:00+00:00"),
    End("1h", "UTC", "2026-05-06T14:00:00+00:00"),
    End("7d", "UTC", "2026-05-11T00:00:00+00:00"),
    End("1mo", "UTC", "2028-03-01T00:00:00+00:00"),
    End("30d", "UTC", "2026-03-01T00:00:00+00:00"),
    # Clocks go forward on the 29th of March, back on the 25th of October.
    End("1d", "Europe/Berlin", "2026-03-29T00:00:00+01:00"),
    End("1d", "Europe/Berlin", "2026-03-30T00:00:00+02:00"),
    End("1d", "Europe/Berlin", "2026-10-25T00:00:00+02:00"),
    End("1d", "Europe/Berlin", "2026-10-26T00:00:00+01:00"),
    End("1h", "Europe/Berlin", "2026-03-29T01:00:00+00:00"),
    End("1h", "Europe/Berlin", "2026-10-25T00:00:00+00:00"),
    End("1h", "Europe/Berlin", "2026-10-25T01:00:00+00:00"),
    End("7d", "Europe/Berlin", "2026-03-30T00:00:00+02:00"),
    End("1mo", "Europe/Berlin", "2026-04-01T00:00:00+02:00"),
    End("1mo", "Europe/Berlin", "2026-11-01T00:00:00+01:00"),
    # And on the 8th of March, the 1st of November.
    End("1d", "America/New_York", "2026-03-09T00:00:00-04:00"),
    End("1d", "America/New_York", "2026-11-01T00:00:00-04:00"),
    End("1d", "America/New_York", "2026-11-02T00:00:00-05:00"),
    End("6h", "America/New_York", "2026-11-01T06:00:00-05:00"),
    End("7d", "America/New_York", "2026-11-02T00:00:00-05:00"),
    End("1mo", "America/New_York", "2026-04-01T00:00:00-04:00"),
    End("1mo", "America/New_York", "2026-12-01T00:00:00-05:00"),
]


@pytest.mark.parametrize("whose", ["key", "policy"])
@pytest.mark.parametrize("end", ENDS, ids=" ".join)
def test_a_budget_resets_at_the_instant(kept, clock, onward, end, whose):
    at = instant(end.at)
    terms, said = Terms(end.zone), {"max_budget": DOLLARS, "budget_duration": end.window}
    allowances = (of(Scope.KEY, KEY, terms, **said),) if whose == "key" else ()
    caller = person(key_hash=KEY, allowances=allowances)
    policy = document("Budget", limit=DOLLARS, window=end.window, timeZone=end.zone)
    snapshot = PLAIN if whose == "key" else house(policy)
    clock.wall = at - 1_800
    first = calling(1, snapshot, caller)
    assert attempt(kept.ledger, first) is None
    settle(kept.ledger, first, 10, 20)
    onward()
    for before, wait in ((90.5, 91), (1e-6, 1)):
        clock.wall = at - before
        refused = attempt(kept.ledger, late := calling(2, snapshot, caller))
        assert refused is not None
        assert (refused.used, refused.held, refused.reset_at) == (COST, 0, int(at) * SECOND)
        error = refusal(refused, late, clock.time())
        assert error.retry_after == wait
        assert f"Resets at: {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC" in error.message
    clock.wall = at
    assert attempt(kept.ledger, calling(3, snapshot, caller)) is None


def spend(kept, snapshot, number, caller=None, answered=20):
    """Let a call be made and settled; tell whether it was granted."""
    call = calling(number, snapshot, caller)
    if attempt(kept.ledger, call) is not None:
        return False
    settle(kept.ledger, call, 10, answered)
    return True


def budget(limit=DOLLARS, **fields):
    return house(document("Budget", **{"limit": limit, "window": "1mo", **fields}))


def rate(**fields):
    said = {"type": "tokens", "rates": [{"limit": 30, "window": "1m"}], "algorithm": "fixed-window", **fields}
    return house(document("RateLimit", **said))


def test_a_limit_that_is_changed_keeps_what_was_counted(kept, onward):
    assert spend(kept, budget(), 1)
    onward()
    assert not spend(kept, budget(), 2)
    assert spend(kept, budget(2 * DOLLARS), 3)
    onward()
    assert not spend(kept, budget(2 * DOLLARS), 4)
    assert not spend(kept, budget(DOLLARS), 5)
    assert not spend(kept, budget(DOLLARS / 2, softLimit=0, message="ask"), 6)
    assert spend(kept, budget(3 * DOLLARS), 7)


@pytest.mark.parametrize("made", [budget, rate])
def test_a_policy_that_is_deleted_and_made_again_goes_on_where_it_was(kept, onward, made):
    assert spend(kept, made(), 1)
    onward()
    assert spend(kept, PLAIN, 2)
    onward()
    assert not spend(kept, made(), 3)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (budget, lambda: budget(window="1d")),
        (budget, lambda: budget(window="forever")),
        (budget, lambda: budget(timeZone="Europe/Berlin")),
        (budget, lambda: budget(counters=[{"expression": "apiKey.id"}])),
        (rate, lambda: rate(rates=[{"limit": 30, "window": "2m"}])),
        (rate, lambda: rate(type="requests", rates=[{"limit": 1, "window": "1m"}])),
        (rate, lambda: rate(type="inputTokens", rates=[{"limit": 10, "window": "1m"}])),
    ],
)
def test_another_window_or_unit_is_another_counter_and_the_one_before_is_still_there(kept, onward, before, after):
    assert spend(kept, before(), 1)
    onward()
    assert spend(kept, after(), 2)
    onward()
    assert not spend(kept, after(), 3)
    assert not spend(kept, before(), 4)


@pytest.mark.parametrize("before", ["fixed-window", "sliding-window", "token-bucket"])
@pytest.mark.parametrize("after", ["fixed-window", "sliding-window", "token-bucket"])
def test_another_algorithm_takes_over_what_was_counted(kept, clock, onward, before, after):
    assert spend(kept, rate(algorithm=before), 1)
    onward()
    assert not spend(kept, rate(algorithm=after), 2)
    clock.turn(121)
    assert spend(kept, rate(algorithm=after), 3)


@pytest.mark.parametrize("settles", [True, False])
def test_what_is_held_in_a_window_settles_in_it(kept, clock, onward, settles):
    snapshot, end = budget(window="1d"), instant("2026-09-22T00:00:00+00:00")
    clock.wall = end - 1
    call = calling(1, snapshot)
    assert attempt(kept.ledger, call) is None
    if settles:
        clock.turn(2)
        settle(kept.ledger, call, 10, 20)
        onward()
    else:
        kept.restart()
        clock.turn(2)
        onward()
    counter = call.counters[0]
    assert kept.view(counter) == (0, 0, int(end + 86_400) * SECOND)
    assert spend(kept, snapshot, 2)
    assert not spend(kept, snapshot, 3)


def test_what_is_held_in_a_minute_settles_in_it(kept, clock, onward):
    snapshot = rate()
    call = calling(1, snapshot)
    assert attempt(kept.ledger, call) is None
    clock.turn(59)
    assert not spend(kept, snapshot, 2)
    clock.turn(1)
    settle(kept.ledger, call, 10, 20)
    onward()
    assert spend(kept, snapshot, 3)
    onward()
    clock.turn(59)
    assert not spend(kept, snapshot, 4)
    clock.turn(1)
    assert spend(kept, snapshot, 5)


def test_a_minute_in_which_nothing_was_used_does_not_end_the_next_one_early(kept, clock, onward):
    snapshot = rate()
    failing = calling(1, snapshot)
    assert attempt(kept.ledger, failing) is None
    kept.ledger.settle(failing, None)
    clock.turn(30)
    assert spend(kept, snapshot, 2)
    onward()
    assert kept.view(failing.counters[0])[:2] == (30, 0)
    clock.turn(30)
    assert not spend(kept, snapshot, 3)
    clock.turn(30)
    assert spend(kept, snapshot, 4)


def test_a_minute_taken_over_from_another_algorithm_does_not_end_early(kept, clock, onward):
    sliding, fixed = (
        rate(algorithm=name, rates=[{"limit": 60, "window": "1m"}]) for name in ("sliding-window", "fixed-window")
    )
    assert spend(kept, sliding, 1)
    clock.turn(30)
    assert spend(kept, fixed, 2)
    onward()
    assert not spend(kept, fixed, 3)
    clock.turn(35)
    assert not spend(kept, fixed, 4)
    clock.turn(60)
    assert spend(kept, fixed, 5)


@pytest.mark.parametrize(
    "made", [budget, rate, lambda: rate(algorithm="sliding-window"), lambda: rate(algorithm="token-bucket")]
)
@pytest.mark.parametrize("late", [True, False])
async def test_what_was_held_before_a_reset_is_no_part_of_what_comes_after(kept, onward, made, late):
    snapshot = made()
    call = calling(1, snapshot)
    assert attempt(kept.ledger, call) is None
    counter = call.counters[0]
    await kept.ledger.reset(counter)
    if late:
        settle(kept.ledger, call, 10, 20)
    onward()
    assert kept.view(counter)[:2] == (0, 0)
    assert spend(kept, snapshot, 2)
    onward()
    assert not spend(kept, snapshot, 3)
    rows = {row.request_id: row.spend for row in kept.rows()}
    assert rows.get("call-1", COST) == COST
