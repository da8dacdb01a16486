"""The story of an administrator: a team, a key, and what their users are told from the very next call on."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from engine.digest import digest
from tests.end_to_end.managing import CONFIG, good, house, refused
from tests.running import MASTER, Gateway


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    made = house(tmp_path_factory.mktemp("managed")).start()
    yield made
    made.stop()


def test_a_key_lives_through_its_whole_story_and_two_restarts(tmp_path):
    one = house(tmp_path).start()
    team = good(one.post("/team/new", {"team_alias": "red", "models": ["echo"]}))
    made = good(one.post("/key/generate", {"team_id": team["team_id"], "key_alias": "ann", "metadata": {"desk": 3}}))
    key = made["key"]
    assert key.startswith("sk-")
    assert len(key) == len("sk-") + 22
    assert made["token"] == digest(key)
    assert one.chat(key=key).status == 200
    assert one.chat(key=key, model="other").json()["error"]["type"] == "team_model_access_denied"
    good(one.post("/key/block", {"key": key}))
    assert "blocked" in refused(one.chat(key=key), 401, "auth_error")
    assert one.stop() == 0

    two = house_again(tmp_path, 2)
    refused(two.chat(key=key), 401, "auth_error")
    good(two.post("/key/unblock", {"key": digest(key)}))
    assert two.chat(key=key).status == 200
    assert good(two.get("/key/info", key=key))["info"]["metadata"] == {"desk": 3}
    assert good(two.post("/key/delete", {"keys": [key]})) == {"deleted_keys": [key]}
    refused(two.chat(key=key), 401, "token_not_found_in_db")
    two.stop()

    three = house_again(tmp_path, 3)
    refused(three.chat(key=key), 401, "token_not_found_in_db")
    refused(three.get(f"/key/info?key={key}"), 404, "not_found_error")
    assert good(three.get(f"/team/info?team_id={team['team_id']}"))["keys"] == []
    three.stop()
    for path in (three.folder / "data").rglob("*"):
        assert key.encode() not in (path.read_bytes() if path.is_file() else b"")


def house_again(folder, number):
    """Start another gateway on the data of the first."""
    return Gateway(folder / f"again{number}", CONFIG, ("--data", str(folder / "gateway" / "data")), {}).start()


def test_what_changes_behind_a_key_is_in_force_for_the_next_call(running):
    team = good(running.post("/team/new", {"models": ["echo"]}))["team_id"]
    key = good(running.post("/key/generate", {"team_id": team}))["key"]
    assert running.chat(key=key, model="other").status == 403
    good(running.post("/team/update", {"team_id": team, "models": ["echo", "other"]}))
    assert running.chat(key=key, model="other").status == 200
    good(running.post("/key/update", {"key": key, "models": ["other"]}))
    assert running.chat(key=key).status == 403
    good(running.post("/team/update", {"team_id": team, "blocked": True}))
    assert "team" in refused(running.chat(key=key, model="other"), 401, "auth_error")
    assert good(running.post("/team/delete", {"team_ids": [team]})) == {"deleted_teams": [team]}
    refused(running.chat(key=key, model="other"), 401, "token_not_found_in_db")
    refused(running.get(f"/team/info?team_id={team}"), 404, "not_found_error")


def test_what_a_reload_brings_leaves_stored_keys_as_they_are(running):
    key = good(running.post("/key/generate", {"team_id": "filed"}))["key"]
    assert running.chat(key=key).status == 200
    assert good(running.post("/config/reload", {}))["status"] == "reloaded"
    assert running.chat(key=key).status == 200
    assert running.chat(key=key, model="other").status == 403


def test_a_key_of_ones_own_choice(running):
    assert good(running.post("/key/generate", {"key": "sk-my-own-key", "models": ["echo"]}))["key"] == "sk-my-own-key"
    assert running.chat(key="sk-my-own-key").status == 200


@pytest.mark.parametrize(
    ("duration", "least", "most"),
    [
        ("30s", 30, 30),
        ("30m", 1800, 1800),
        ("30h", 108000, 108000),
        ("30d", 2592000, 2592000),
        ("1mo", 28 * 86400, 31 * 86400),
    ],
)
def test_a_key_lasts_exactly_as_long_as_asked_from_now(running, duration, least, most):
    made = good(running.post("/key/generate", {"duration": duration}))
    lasts = dt.datetime.fromisoformat(made["expires"]) - dt.datetime.fromisoformat(made["created_at"])
    assert least <= lasts.total_seconds() <= most
    longer = good(running.post("/key/update", {"key": made["key"], "duration": None}))
    assert longer["expires"] is None


def test_a_key_that_has_expired_is_told_so(running):
    key = good(running.post("/key/generate", {"duration": "1s"}))["key"]
    assert running.chat(key=key).status == 200
    time.sleep(1.1)
    refused(running.chat(key=key), 401, "expired_key")


def test_an_update_changes_what_it_names_and_null_clears(running):
    made = good(
        running.post("/key/generate", {"max_budget": 5, "budget_duration": "30d", "tags": ["a"], "metadata": {"x": 1}, "rpm_limit": 3})
    )  # fmt: skip
    changed = good(running.post("/key/update", {"key": made["key"], "max_budget": 7, "rpm_limit": None, "tags": ["b"]}))
    assert (changed["max_budget"], changed["rpm_limit"], changed["budget_duration"]) == (7, None, "30d")
    assert changed["metadata"] == {"x": 1, "tags": ["b"]}
    cleared = good(
        running.post("/key/update", {"key": made["token"], "metadata": None, "tags": None, "max_budget": None})
    )
    assert (cleared["metadata"], cleared["max_budget"]) == ({}, None)
    # As a page does that sends back what it was shown.
    again = good(
        running.post(
            "/key/update", {"key": made["key"], "metadata": {"y": 2, "tags": ["c"], "model_rpm_limit": {"echo": 1}}}
        )
    )
    assert again["metadata"] == {"y": 2, "tags": ["c"], "model_rpm_limit": {"echo": 1}}


def test_spend_can_be_set_and_is_shown(running):
    made = good(running.post("/key/generate", {"spend": 1.5}))
    assert made["spend"] == 1.5
    assert good(running.post("/key/update", {"key": made["key"], "spend": 0.25}))["spend"] == 0.25
    assert good(running.get("/key/info", key=made["key"]))["info"]["spend"] == 0.25


def test_a_budget_resets_at_its_instant(running):
    made = good(running.post("/key/generate", {"budget_id": "small"}))
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    assert made["budget_reset_at"].startswith(f"{tomorrow}T00:00:00")
    assert made["litellm_budget_table"]["max_budget"] == 3


def test_what_the_file_declares_is_shown_and_not_changed(running):
    shown = good(running.get("/key/info?key=sk-filed-1"))["info"]
    assert (shown["key_alias"], shown["team_id"], shown["spend"]) == ("filed", "filed", 0.875)
    assert good(running.get("/team/info?team_id=filed"))["team_info"]["spend"] == 0.875
    for path, body in (
        ("/key/update", {"key": "sk-filed-1", "max_budget": 1}),
        ("/key/block", {"key": "sk-filed-1"}),
        ("/key/delete", {"keys": ["sk-filed-1"]}),
        ("/key/delete", {"key_aliases": ["filed"]}),
        ("/team/update", {"team_id": "filed", "models": []}),
        ("/team/delete", {"team_ids": ["filed"]}),
    ):
        assert "is declared in" in refused(running.post(path, body), 400, "bad_request_error")
        assert "config.yaml:" in running.post(path, body).json()["error"]["message"]
    assert running.chat(key="sk-filed-1").status == 200


def test_lists_page_through_all_keys_those_of_the_file_last(running):
    made = [good(running.post("/key/generate", {"user_id": "pager"}))["token"] for _ in range(3)]
    first = good(running.get("/key/list?user_id=pager&size=2"))
    second = good(running.get("/key/list?user_id=pager&size=2&page=2"))
    assert first["keys"] + second["keys"] == made[::-1]
    assert (first["total_count"], first["total_pages"], second["current_page"]) == (3, 2, 2)
    every, page = [], 1
    while len(every) < good(running.get(f"/key/list?page={page}&size=3"))["total_count"]:
        every += good(running.get(f"/key/list?page={page}&size=3"))["keys"]
        page += 1
    assert len(set(every)) == len(every)
    assert every[-3:] == [digest(f"sk-{name}-1") for name in ("filed", "viewer", "second-admin")]


def test_a_key_may_ask_for_itself_and_a_viewer_for_all(running):
    key = good(running.post("/key/generate", {}))["key"]
    assert good(running.get("/key/info", key=key))["key"] == digest(key)
    assert good(running.get(f"/key/info?key={key}", key=key))["key"] == key
    refused(running.get("/key/info?key=sk-filed-1", key=key), 403, "permission_denied")
    assert good(running.get(f"/key/info?key={key}", key="sk-viewer-1"))["key"] == key
    assert good(running.get("/team/list", key="sk-viewer-1"))
    refused(running.post("/key/generate", {}, key="sk-viewer-1"), 401, "auth_error")
    assert good(running.post("/key/generate", {}, key="sk-second-admin-1"))["key"]


def test_end_users_have_a_row_or_what_they_spent(running):
    made = good(running.post("/customer/new", {"user_id": "c1", "alias": "One", "max_budget": 2, "blocked": True}))
    assert good(running.get("/end_user/info?end_user_id=c1")) == made
    seen = good(running.get("/customer/info?end_user_id=c-seen"))
    assert (seen["spend"], seen["blocked"], seen["litellm_budget_table"]) == (0.875, False, None)
    refused(running.get("/customer/info?end_user_id=nobody"), 404, "not_found_error")
    said = refused(running.post("/end_user/new", {"user_id": "c1"}), 400, "bad_request_error")
    assert said == "Customer already exists, passed user_id=c1. Please pass a new user_id."


def test_the_master_key_is_no_row(running):
    refused(running.get("/key/info"), 404, "not_found_error")
    refused(running.post("/key/generate", {"key": MASTER}), 400, "bad_request_error")
