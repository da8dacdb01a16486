"""What the management API refuses: each wrong body of each route, and who may not ask, before anything is written."""

from __future__ import annotations

import json
import time

import pytest

from tests.end_to_end.managing import good, house, refused

POSTS = ("/key/generate", "/key/update", "/key/delete", "/key/block", "/key/unblock", "/team/new", "/team/update", "/team/delete", "/customer/new", "/end_user/new")  # fmt: skip
GETS = (
    "/key/list",
    "/team/info",
    "/team/list",
    "/customer/info",
    "/end_user/info",
    "/spend/logs",
    "/user/daily/activity",
)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    made = house(tmp_path_factory.mktemp("badly")).start()
    good(made.post("/key/generate", {"key": "sk-there", "key_alias": "there"}))
    good(made.post("/team/new", {"team_id": "there"}))
    yield made
    made.stop()


@pytest.mark.parametrize("path", [*POSTS, *GETS])
def test_only_who_may_is_answered(running, path):
    time.sleep(0.2)  # 20 refusals a second are told to one address
    ask = (lambda key: running.post(path, {}, key)) if path in POSTS else (lambda key: running.get(path, key))
    refused(ask(None), 401, "auth_error")
    refused(ask("sk-unknown"), 401, "token_not_found_in_db")
    assert path in refused(ask("sk-there"), 401, "auth_error")
    assert ask("sk-there").headers["www-authenticate"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"null", b'{"a": NaN}', b'{"a": "\\ud800"}', b"\xff", b"[" * 2000]
)
def test_a_body_that_is_no_object_is_refused(running, path, body):
    assert "the body is no JSON" in refused(running.post(path, body), 400, "bad_request_error")


@pytest.mark.parametrize("path", [*POSTS, *GETS])
def test_other_methods_are_refused(running, path):
    method, right = ("GET", "POST") if path in POSTS else ("POST", "GET")
    answer = running.request(method, path, None if method == "GET" else b"{}", "sk-there", {})
    refused(answer, 405, "invalid_request_error")
    assert answer.headers["allow"] == right


LIMITS = [
    ({"max_budget": -1}, "max_budget"),
    ({"max_budget": "much"}, "max_budget"),
    ({"max_budget": 1e300}, "max_budget"),
    ({"max_budget": True}, "max_budget"),
    ({"budget_duration": "soon"}, "budget_duration"),
    ({"max_budget": 1, "budget_duration": "2mo"}, "budget_duration"),
    ({"budget_duration": 5}, "budget_duration"),
    ({"budget_id": "none"}, "budget_id"),
    ({"rpm_limit": -1}, "rpm_limit"),
    ({"tpm_limit": 1.5}, "tpm_limit"),
    ({"tpm_limit": 1e30}, "tpm_limit"),
    ({"max_parallel_requests": "x"}, "max_parallel_requests"),
    ({"model_max_budget": {"echo": {"budget_limit": -1}}}, "model_max_budget"),
    ({"model_max_budget": {"echo": {"budget_limit": 1, "time_period": "x"}}}, "model_max_budget"),
    ({"model_rpm_limit": {"echo": "x"}}, "model_rpm_limit"),
    ({"soft_budget": 2, "max_budget": 1}, "soft_budget"),
]
OF_ALL = [
    ({"models": "echo"}, "models"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"tags": 5}}, "tags"),
    ({"blocked": "maybe"}, "blocked"),
    ({"policies": ["pii"]}, "policies"),
]
KEYS = [
    ({"key_alias": 5}, "key_alias"),
    ({"key": "no-prefix"}, "key"),
    ({"key": "sk-with space"}, "key"),
    ({"key": 5}, "key"),
    ({"key": "sk-there"}, "key"),
    ({"key": "sk-filed-1"}, "key"),
    ({"key": "sk-shown", "metadata": {"copy": "my sk-shown"}}, "key"),
    ({"duration": "soon"}, "duration"),
    ({"duration": "0d"}, "duration"),
    ({"duration": []}, "duration"),
    ({"allowed_routes": ["/x"]}, "allowed_routes"),
    ({"aliases": ["a"]}, "aliases"),
    ({"spend": -1}, "spend"),
]
TEAMS = [
    ({"team_id": 5}, "team_id"),
    ({"team_member_budget": -1}, "team_member_budget"),
    ({"team_member_budget_duration": "x"}, "team_member_budget_duration"),
    ({"members_with_roles": [{"role": "user"}]}, "members_with_roles"),
    ({"members_with_roles": [{"user_id": "u", "role": "king"}]}, "members_with_roles"),
    ({"members_with_roles": [{"user_id": "u", "max_budget_in_team": -1}]}, "members_with_roles"),
    ({"members_with_roles": "u"}, "members_with_roles"),
]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        *(("/key/generate", *case) for case in LIMITS + OF_ALL + KEYS),
        *(("/key/update", {"key": "sk-there", **body}, field) for body, field in LIMITS + OF_ALL),
        *(("/team/new", *case) for case in LIMITS + OF_ALL + TEAMS),
        *(("/team/update", {"team_id": "there", **body}, field) for body, field in LIMITS + OF_ALL + TEAMS[1:]),
        *(("/customer/new", {"user_id": "bad", **body}, field) for body, field in LIMITS),
        ("/customer/new", {}, "user_id"),
        ("/customer/new", {"user_id": ""}, "user_id"),
        ("/key/update", {}, "key"),
        ("/key/update", {"key": 5}, "key"),
        ("/key/update", {"key": "sk-there", "key_alias": "filed"}, "key_alias"),
        ("/key/delete", {}, "keys"),
        ("/key/delete", {"keys": "sk-there"}, "keys"),
        ("/key/delete", {"keys": [5]}, "keys"),
        ("/key/delete", {"key_aliases": [None]}, "key_aliases"),
        ("/key/block", {}, "key"),
        ("/team/update", {}, "team_id"),
        ("/team/delete", {}, "team_ids"),
        ("/team/delete", {"team_ids": "there"}, "team_ids"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_written(running, path, body, field):
    before = everything(running)
    answer = running.post(path, body)
    said = refused(answer, 400, "bad_request_error")
    assert answer.json()["error"]["param"] == field
    assert field.removeprefix("key_") in said
    assert everything(running) == before


def everything(running):
    keys = good(running.get("/key/list?size=100&return_full_object=true"))
    return json.dumps([keys, good(running.get("/team/list"))])


@pytest.mark.parametrize(
    ("path", "status", "kind", "says"),
    [
        ("/key/info?key=sk-nobody", 404, "not_found_error", "this key does not exist here"),
        ("/key/info?key=nobody", 404, "not_found_error", "this key does not exist here"),
        ("/key/list?page=0", 400, "bad_request_error", "`page`: `0` is no number from 1 on"),
        ("/key/list?size=ten", 400, "bad_request_error", "`size`: `ten`"),
        ("/key/list?sort_by=secret", 400, "bad_request_error", "`sort_by`: there are `spend`"),
        ("/team/info", 400, "bad_request_error", "`team_id` is required"),
        ("/team/info?team_id=none", 404, "not_found_error", "Team not found, passed team id: none."),
        ("/customer/info", 400, "bad_request_error", "`end_user_id` is required"),
        ("/spend/logs?start_date=today", 400, "bad_request_error", "`start_date`: `today` is no day"),
        ("/user/daily/activity?end_date=2026-01-01", 400, "bad_request_error", "`start_date` is required"),
        ("/user/daily/activity?start_date=2026-01-01&end_date=2026-01-02&user_id=a&model=b", 400, "bad_request_error", "only one of"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_told(running, path, status, kind, says):
    assert says in refused(running.get(path), status, kind)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/key/generate", {"key_alias": "there"}, 400, "Key with alias 'there' already exists. Unique key aliases across all keys are required."),
        ("/key/generate", {"key_alias": "filed"}, 400, "Key with alias 'filed' already exists."),
        ("/team/new", {"team_id": "there"}, 400, "Team id = there already exists. Please use a different team id."),
        ("/team/new", {"team_id": "filed"}, 400, "Team id = filed already exists."),
        ("/key/update", {"key": "sk-nobody"}, 404, "this key does not exist here"),
        ("/key/block", {"key": "sk-nobody"}, 404, "this key does not exist here"),
        ("/key/delete", {"keys": ["sk-nobody"]}, 404, "no keys found"),
        ("/key/delete", {"key_aliases": ["nobody"]}, 404, "no keys found"),
        ("/team/update", {"team_id": "none"}, 404, "Team not found"),
        ("/team/delete", {"team_ids": ["there", "none"]}, 404, "Team not found"),
    ],
)  # fmt: skip
def test_what_is_there_or_not_there_is_told(running, path, body, status, says):
    kind = "bad_request_error" if status == 400 else "not_found_error"
    assert says in refused(running.post(path, body), status, kind)
    assert good(running.get("/team/info?team_id=there"))


def test_unknown_members_are_ignored(running):
    assert good(running.post("/key/generate", {"colour": "red", "send_invite_email": True}))["key"]


def test_a_clear_key_stands_in_no_refusal(running):
    for path in ("/key/update", "/key/block", "/key/delete"):
        answer = running.post(path, {"key": "sk-a-secret-of-mine", "keys": ["sk-a-secret-of-mine"]})
        assert answer.status == 404
        assert b"sk-a-secret-of-mine" not in answer.body
