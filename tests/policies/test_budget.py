"""`Budget`: what may be written, and which counters it comes to."""

from __future__ import annotations

import pytest

from adapters.counters.memory import Memory
from engine.build import build
from engine.check import check
from engine.claims import Claim, HoldId, Unit
from engine.errors import PolicyError
from engine.governing import PolicySet
from engine.outside import SystemClock
from engine.windows import Algorithm
from tests.engine.building import PRICES, REGISTRY, config, loaded
from tests.engine.deciding import FILE, asking, chat, decided, document, person, policies, problems, snapshot_of


def budget(**fields) -> str:
    return document("Budget", **{"limit": 100, "window": "1mo", **fields})


@pytest.mark.parametrize(
    ("fields", "line", "wrong"),
    [
        ({"limit": None}, 2, "needs a `limit` in USD"),
        ({"limit": -1}, 4, "limit: must be at least 0 and at most"),
        ({"window": ""}, 2, "needs a `window`, such as `1mo` or `forever`"),
        ({"window": "2mo"}, 5, "window: `2mo`: a budget lasts one month at most; write `1mo`"),
        ({"timeZone": "Mars/Olympus"}, 6, "timeZone: `Mars/Olympus` is no time zone; write a name as `Europe/Berlin` or `UTC`"),
        ({"softLimit": 101}, 6, "softLimit: is above `limit`, so that it would never be passed"),
        ({"onExceeded": {}}, 6, "onExceeded: needs a `model` that answers instead"),
        ({"onExceeded": {"model": "gpt-*"}}, 6, "onExceeded: must be the name of one model, without `*`"),
        ({"onExceeded": {"modell": "a"}}, 7, "onExceeded.modell: unknown field; did you mean `model`?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(fields, line, wrong):
    found = problems(budget(**fields))
    assert any(one.startswith(f"{FILE}:{line}: error: {wrong}") for one in found), found


def test_money_is_exact_to_the_nano_dollar():
    (policy,) = policies(budget(limit=0.1, softLimit=0.000000001))
    (found,) = policy.limits()
    assert (found.unit, found.amount, found.soft) == (Unit.USD, 100_000_000, 1)


def test_a_budget_for_ever_has_no_window():
    (policy,) = policies(budget(window="forever"))
    assert policy.limits()[0].window.algorithm is Algorithm.TOTAL


def test_each_team_has_its_own():
    snapshot = snapshot_of(budget(counters=[{"expression": "apiKey.team"}]))
    calls = [
        asking(snapshot, chat(), person(team=team, key_hash=key)) for team, key in (("a", "1"), ("b", "2"), ("a", "3"))
    ]
    for call in calls:
        decided(call)
    ids = [call.counters[0].id for call in calls]
    assert ids[0] == ids[2] != ids[1]


def test_a_changed_limit_keeps_its_counter():
    ids = []
    for fields in ({}, {"limit": 5}, {"softLimit": 1, "message": "ask"}):
        call = asking(snapshot_of(budget(**fields)), chat())
        decided(call)
        ids.append(call.counters[0].id)
    assert len(set(ids)) == 1


def test_the_model_that_answers_instead_must_exist():
    spec = loaded(config({"a": "echo/a"}))
    built = build(spec, REGISTRY, PRICES, 1, PolicySet(policies(budget(onExceeded={"model": "nowhere"}))))
    assert any("nowhere" in str(problem) for problem in built.problems if problem.severity == "error")


GUARD = document(
    "ModelAccess",
    "late",
    rules=[
        {"name": "r", "deny": 'budget["p"].remainingRatio < 0.5', "messageExpression": 'string(budget["p"].remaining)'}
    ],
)


async def test_rules_see_how_the_budget_of_their_caller_stands():
    snapshot = snapshot_of(budget(counters=[{"expression": "apiKey.team"}]), GUARD)
    counters = Memory(SystemClock())
    snapshot.policies.limits.view = counters.view
    first = asking(snapshot, chat(), person(team="a"))
    await check(first)
    held = await counters.reserve(HoldId("x", 1), [Claim(first.counters[0], 60_500_000_000)], ())
    counters.settle(held, {})
    with pytest.raises(PolicyError, match=r"^39\.5$"):
        await check(asking(snapshot, chat(), person(team="a")))
    await check(asking(snapshot, chat(), person(team="b")))


def test_a_rule_that_reads_a_budget_nobody_has_is_an_error():
    spec = loaded(config({"a": "echo/a"}))
    built = build(spec, REGISTRY, PRICES, 1, PolicySet(policies(GUARD)))
    assert any('`late` reads `budget["p"]`' in str(problem) for problem in built.problems)
