"""Limits of stored keys, teams, members, users and end users: in force for the very next call, raised as much as lowered."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.end_to_end.managing import good, refused
from tests.running import MASTER, Gateway

CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo, input_cost_per_token: 0.01, output_cost_per_token: 0.01}}}}
general_settings: {{master_key: {MASTER}}}
litellm_settings: {{max_end_user_budget_id: everybody}}
budgets: [{{budget_id: everybody, rpm_limit: 2}}, {{budget_id: one, rpm_limit: 1}}]
users: [{{user_id: declared, rpm_limit: 1}}]
organizations: [{{organization_id: house, rpm_limit: 1}}]
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    made = Gateway(tmp_path_factory.mktemp("limits") / "gateway", CONFIG, (), {}).start()
    yield made
    made.stop()


def made(running, **fields) -> str:
    key: str = good(running.post("/key/generate", fields))["key"]
    return key


def statuses(running, key: str, count: int = 2, **members) -> list[int]:
    return [running.chat(key=key, **members).status for _ in range(count)]


@pytest.mark.parametrize(
    "fields",
    [
        {"rpm_limit": 1},
        {"budget_id": "one"},
        {"user_id": "declared"},
        {"organization_id": "house"},
        {"model_rpm_limit": {"echo": 1}},
    ],
)
def test_a_key_is_limited_by_itself_and_by_who_stands_behind_it(running, fields):
    assert statuses(running, made(running, **fields)) == [200, 429]


def test_a_limit_that_is_raised_or_lowered_holds_for_the_next_call(running):
    key = made(running, rpm_limit=1)
    assert statuses(running, key) == [200, 429]
    good(running.post("/key/update", {"key": key, "rpm_limit": 3}))
    assert statuses(running, key, 3) == [200, 200, 429]
    good(running.post("/key/update", {"key": key, "rpm_limit": None}))
    assert statuses(running, key, 3) == [200] * 3


def test_a_budget_that_is_used_up_can_be_raised(running):
    key = made(running, max_budget=0)
    refused(running.chat("one two", key=key), 400, "budget_exceeded")
    good(running.post("/key/update", {"key": key, "max_budget": 5}))
    assert running.chat("one two", key=key, max_tokens=5).status == 200
    good(running.post("/key/update", {"key": key, "max_budget": 0.01}))
    refused(running.chat("one two", key=key, max_tokens=5), 400, "budget_exceeded")


def test_a_window_shows_what_was_used_in_it(running):
    key = made(running, max_budget=5, budget_duration="30d")
    running.chat("one two", key=key, max_tokens=5)
    assert good(running.get("/key/info", key=key))["info"]["spend"] == pytest.approx(0.04)


def test_keys_of_a_team_share_its_limits_and_members_have_their_own(running):
    team = good(
        running.post(
            "/team/new",
            {"rpm_limit": 3, "team_member_rpm_limit": 2, "members_with_roles": [{"user_id": "m", "role": "user"}]},
        )
    )["team_id"]
    first, second = made(running, team_id=team, user_id="m"), made(running, team_id=team, user_id="m")
    assert statuses(running, first, 1) + statuses(running, second) == [200, 200, 429]
    other = made(running, team_id=team)
    assert statuses(running, other) == [200, 429]
    good(running.post("/team/update", {"team_id": team, "rpm_limit": 10}))
    assert statuses(running, other) == [200, 200]


def test_end_users_are_limited_each_for_itself_and_blocked(running):
    key = made(running)
    assert statuses(running, key, 3, user="e1") == [200, 200, 429]
    assert statuses(running, key, 1, user="e2") == [200]
    good(running.post("/customer/new", {"user_id": "e3", "rpm_limit": 1}))
    assert statuses(running, key, 2, user="e3") == [200, 429]
    good(running.post("/customer/new", {"user_id": "e4", "blocked": True}))
    assert "e4" in refused(running.chat(key=key, user="e4"), 400, "user_blocked")


def test_what_a_call_cost_is_shown_wherever_spend_is(running):
    team = good(running.post("/team/new", {"max_budget": 9}))["team_id"]
    key = made(running, team_id=team)
    assert running.chat("one two", key=key, user="payer").status == 200
    assert good(running.get("/key/info", key=key))["info"]["spend"] == pytest.approx(0.04)
    assert good(running.get(f"/team/info?team_id={team}"))["team_info"]["spend"] == pytest.approx(0.04)
    assert good(running.get("/customer/info?end_user_id=payer"))["spend"] == pytest.approx(0.04)
    (row,) = good(running.get(f"/spend/logs?api_key={key}"))
    assert (row["spend"], row["model"], row["team_id"], row["end_user"]) == (pytest.approx(0.04), "echo", team, "payer")
    today = dt.datetime.now(dt.UTC).date()
    (day,) = good(running.get(f"/user/daily/activity?start_date={today}&end_date={today}&api_key={key}"))["results"]
    assert (day["metrics"]["spend"], day["metrics"]["api_requests"]) == (pytest.approx(0.04), 1)
