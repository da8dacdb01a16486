"""`RateLimit`: what may be written, and in which counters calls are counted."""

from __future__ import annotations

import pytest

from engine.claims import UNLIMITED, Unit
from engine.windows import Algorithm
from policies.rate_limit import RateLimit
from tests.engine.deciding import FILE, asking, chat, decided, document, person, policies, problems, snapshot_of

RATES = [{"limit": 3, "window": "1m"}]


def limit(**fields) -> str:
    return document("RateLimit", **{"rates": RATES, **fields})


@pytest.mark.parametrize(
    ("fields", "line", "wrong"),
    [
        ({"rates": None}, 4, "rates: says nothing; give it a list, or remove it"),
        ({"rates": []}, 2, "needs `rates`, such as `rates: [{limit: 100, window: 1m}]`"),
        ({"rates": [{"window": "1m"}]}, 5, "rates[0]: needs a `limit`"),
        ({"rates": [{"limit": 3}]}, 5, "rates[0]: needs a `window`, such as `1m`"),
        ({"rates": [{"limit": -1, "window": "1m"}]}, 5, "rates[0].limit: must be at least 0 and at most 9.0072e+15"),
        ({"rates": [{"limit": 1.5, "window": "1m"}]}, 5, "rates[0].limit: must be a whole number"),
        ({"rates": [{"limit": "3", "window": "1m"}]}, 5, "rates[0].limit: must be a number, not text"),
        ({"rates": [{"limit": 3, "window": "1 minute"}]}, 6, "rates[0].window: `1 minute` is no duration; write a number and s, m, h, d, w or mo, as `30s`, `7d`, `1mo`"),
        ({"rates": [{"limit": 3, "window": "1mo"}]}, 6, "rates[0].window: `1mo`: months differ in length; the window of a rate is in s, m, h, d or w"),
        ({"rates": [*RATES, {"limit": 9, "window": "60s"}]}, 7, "rates[1]: there is a rate of this window already: keep the smaller one"),
        ({"type": "token"}, 7, "type: `token` is not known; did you mean `tokens`?"),
        ({"type": "parallel"}, 6, "rates[0].window: means nothing for `parallel`, which counts what runs: leave it out"),
        ({"type": "parallel", "rates": [{"limit": 3}], "algorithm": "token-bucket"}, 7, "algorithm: means nothing for `parallel`, which counts what runs: leave it out"),
        ({"algorithm": "leaky"}, 7, "algorithm: `leaky` is not known; it is one of `fixed-window`, `sliding-window`, `token-bucket`"),
        ({"counters": [{}]}, 8, "counters[0]: needs an `expression`, such as `apiKey.id`"),
        ({"counters": [{"expression": "apiKey.idd"}]}, "8:22", "counters[0].expression: `apiKey` has no field `idd`"),
        ({"counter": []}, 7, "counter: unknown field; did you mean `counters`?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(fields, line, wrong):
    found = problems(limit(**fields))
    assert any(one.startswith(f"{FILE}:{line}: error: {wrong}") for one in found), found


@pytest.mark.parametrize(
    ("fields", "unit", "algorithm"),
    [
        ({}, Unit.REQUESTS, Algorithm.SLIDING),
        ({"type": "tokens", "algorithm": "fixed-window"}, Unit.TOKENS, Algorithm.FIXED),
        ({"type": "inputTokens", "algorithm": "token-bucket"}, Unit.INPUT_TOKENS, Algorithm.TOKEN_BUCKET),
        ({"type": "outputTokens"}, Unit.OUTPUT_TOKENS, Algorithm.SLIDING),
        ({"type": "parallel", "rates": [{"limit": 3}]}, Unit.PARALLEL, Algorithm.LEASE),
    ],
)
def test_each_type_and_algorithm(fields, unit, algorithm):
    (policy,) = policies(limit(**fields))
    assert isinstance(policy, RateLimit)
    (found,) = policy.limits()
    assert (found.unit, found.amount, found.window.algorithm) == (unit, 3, algorithm)


def test_cost_is_in_dollars():
    (policy,) = policies(limit(type="cost", rates=[{"limit": 0.25, "window": "1h"}]))
    assert [(one.unit, one.amount) for one in policy.limits()] == [(Unit.USD, 250_000_000)]


def counted(text: str, caller=None, **more):
    call = asking(snapshot_of(text), more.pop("members", chat()), caller, **more)
    verdict = decided(call)
    return verdict, [(one.subject.detail, one.limit) for one in call.counters]


def test_one_counter_for_all_calls_without_counters():
    assert counted(limit())[1] == [("", 3)]


def test_a_counter_for_each_value_and_a_list_stands_for_its_elements():
    text = limit(counters=[{"expression": "apiKey.team"}, {"expression": "apiKey.tags"}])
    assert counted(text, person(team="eu", tags=("a", "b")))[1] == [("eu, a", 3), ("eu, b", 3)]
    assert counted(text, person(team="eu"))[1] == []


def test_what_a_call_holds_tells_counters_apart_too():
    text = limit(counters=[{"expression": "endUser.id"}])
    snapshot = snapshot_of(text)
    calls = [asking(snapshot, chat(user=user)) for user in ("u1", "u2", "u1")]
    for call in calls:
        decided(call)
    ids = [call.counters[0].id for call in calls]
    assert ids[0] == ids[2] != ids[1]
    assert calls[0].counters[0] is calls[2].counters[0]


def test_every_rate_counts_on_its_own():
    found = counted(limit(rates=[*RATES, {"limit": 30, "window": "1h"}]))[1]
    assert found == [("", 3), ("", 30)]


def test_it_governs_whom_it_matches_and_where_its_conditions_hold():
    assert counted(limit(match={"teams": ["us"]}), person(team="eu"))[1] == []
    text = limit(matchConditions=[{"expression": 'request.headers.?x.orValue("") == "1"'}])
    assert counted(text)[1] == []
    assert counted(text, headers={"x": "1"})[1] == [("", 3)]


@pytest.mark.parametrize(("policy", "status"), [("Fail", 403), ("Ignore", 200)])
def test_what_cannot_be_counted_is_refused_unless_it_is_ignored(policy, status):
    text = limit(counters=[{"expression": "llmRequest.project"}], failurePolicy=policy)
    verdict, found = counted(text)
    assert (verdict.status, found) == (status, [])


def test_a_value_too_long_is_refused():
    text = limit(counters=[{"expression": "endUser.id + endUser.id"}])
    verdict, _ = counted(text, members=chat(user="u" * 200))
    assert verdict.status == 403
    assert "a value of 400 characters; 256 at most tell counters apart" in verdict.message


@pytest.mark.parametrize("action", ["Warn", "Audit"])
def test_a_limit_that_only_warns_refuses_nothing(action):
    call = asking(snapshot_of(limit(validationActions=[action])), chat())
    decided(call)
    (counter,) = call.counters
    assert (counter.limit, counter.soft, counter.finding) == (UNLIMITED, 3, action)
