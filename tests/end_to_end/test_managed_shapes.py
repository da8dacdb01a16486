"""The shapes of LiteLLM's management API, answer by answer, against `tests/golden/management.json`.

`python -m tests.end_to_end.test_managed_shapes` writes that file anew; what differs from run to run is put as `<...>`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.digest import digest
from tests.end_to_end.managing import house
from tests.running import Gateway

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "management.json"
KEY = {
    "key": "sk-golden-key", "key_alias": "golden", "team_id": "gold", "user_id": "ann", "duration": "30d", "models": ["echo"],
    "max_budget": 10, "soft_budget": 8, "budget_duration": "30d", "rpm_limit": 60, "tpm_limit": 1000, "tags": ["a"],
    "metadata": {"desk": 3}, "model_rpm_limit": {"echo": 5}, "aliases": {"mine": "echo"}, "model_max_budget": {"echo": 1},
}  # fmt: skip
TEAM = {
    "team_id": "gold", "team_alias": "Gold", "models": ["echo"], "max_budget": 100, "budget_duration": "7d", "team_member_budget": 5,
    "members_with_roles": [{"role": "user", "user_id": "ann", "max_budget_in_team": 2}], "model_aliases": {"m": "echo"},
    "metadata": {"floor": 1}, "tags": ["t"],
}  # fmt: skip
JANUARY = "start_date=2026-01-01&end_date=2026-01-31"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
SEEDED = re.compile(r"2026-01-0[12]T")
"""Times of the spend rows, the same in every run."""


def asked(running: Gateway) -> Iterator[tuple[str, Any]]:
    """Ask every route once; give each answer under its name."""
    for name, body in (("team/new", TEAM), ("key/generate", KEY)):
        yield name, running.post(f"/{name}", body).json()
    yield "key/generate (nothing said)", running.post("/key/generate", {}).json()
    yield "key/info", running.get("/key/info?key=sk-golden-key").json()
    yield "key/info (declared)", running.get("/key/info?key=sk-filed-1").json()
    yield "key/list", running.get("/key/list?team_id=gold").json()
    yield "key/list (objects)", running.get("/key/list?team_id=gold&return_full_object=true").json()
    yield (
        "key/update",
        running.post("/key/update", {"key": "sk-golden-key", "max_budget": 20, "soft_budget": None}).json(),
    )
    yield "key/block", running.post("/key/block", {"key": "sk-golden-key"}).json()
    yield "key/unblock", running.post("/key/unblock", {"key": digest("sk-golden-key")}).json()
    yield "team/info", running.get("/team/info?team_id=gold").json()
    yield "team/info (declared)", running.get("/team/info?team_id=filed").json()
    yield "team/list", running.get("/team/list?user_id=ann").json()
    yield "team/update", running.post("/team/update", {"team_id": "gold", "max_budget": None}).json()
    yield "customer/new", running.post("/customer/new", {"user_id": "c", "alias": "C", "budget_id": "small"}).json()
    yield "customer/info", running.get("/customer/info?end_user_id=c").json()
    yield "spend/logs", running.get("/spend/logs?summarize=false").json()
    yield "spend/logs (one)", running.get("/spend/logs?request_id=call-1").json()
    yield "spend/logs (days)", running.get(f"/spend/logs?{JANUARY}").json()
    yield "spend/logs (days of a user)", running.get(f"/spend/logs?{JANUARY}&user_id=u1").json()
    yield "user/daily/activity", running.get(f"/user/daily/activity?{JANUARY}").json()
    yield "user/daily/activity (a user)", running.get(f"/user/daily/activity?{JANUARY}&user_id=u1&page_size=1").json()
    yield "key/delete", running.post("/key/delete", {"keys": ["sk-golden-key"]}).json()
    yield "team/delete", running.post("/team/delete", {"team_ids": ["gold"]}).json()
    yield "error 400", running.post("/key/generate", {"max_budget": -1}).json()
    yield "error 401", running.post("/key/generate", {}, "sk-filed-1").json()
    yield "error 404", running.get("/key/info?key=sk-nobody").json()


def still(value: Any) -> Any:
    """Put `<...>` for what differs from run to run."""
    if isinstance(value, dict):
        made = str(value.get("key", "")).startswith("sk-") and "token_id" in value and value["key"] != KEY["key"]
        new = {"key": "<key>", "token": "<hash>", "token_id": "<hash>", "key_name": "<last four>"} if made else {}
        return {name: new.get(name, still(inner)) for name, inner in value.items()}
    if isinstance(value, list):
        return [still(inner) for inner in value]
    if isinstance(value, str) and TIME.fullmatch(value) and not SEEDED.match(value):
        return "<time>"
    return value


def answers() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        running = house(Path(folder)).start()
        try:
            return {name: still(answer) for name, answer in asked(running)}
        finally:
            running.stop()


def test_every_answer_has_its_shape():
    golden = json.loads(GOLDEN.read_text())
    found = answers()
    assert found.keys() == golden.keys()
    for name, answer in found.items():
        assert answer == golden[name], name
        assert list(answer) == list(golden[name]), name


def test_litellms_clients_find_every_member_they_know():
    """The members that reference K2, D1 and the rows name."""
    golden = json.loads(GOLDEN.read_text())
    assert set(golden["key/generate"]) >= {
        "key",
        "key_name",
        "token",
        "token_id",
        "expires",
        "user_id",
        "key_alias",
        "team_id",
        "organization_id",
        "project_id",
        "models",
        "aliases",
        "config",
        "spend",
        "max_budget",
        "soft_budget",
        "budget_duration",
        "budget_id",
        "max_parallel_requests",
        "tpm_limit",
        "rpm_limit",
        "metadata",
        "permissions",
        "model_max_budget",
        "allowed_cache_controls",
        "allowed_routes",
        "guardrails",
        "policies",
        "tags",
        "blocked",
        "router_settings",
        "access_group_ids",
        "object_permission",
        "litellm_budget_table",
        "created_by",
        "updated_by",
        "created_at",
        "updated_at",
    }
    assert set(golden["key/list"]) == {"keys", "total_count", "current_page", "total_pages"}
    assert set(golden["team/info"]) == {"team_id", "team_info", "keys", "team_memberships"}
    assert set(golden["team/info"]["team_memberships"][0]) == {
        "user_id", "team_id", "budget_id", "spend", "litellm_budget_table",
    }  # fmt: skip
    assert set(golden["customer/info"]) == {
        "user_id", "alias", "spend", "allowed_model_region", "default_model", "blocked", "litellm_budget_table",
    }  # fmt: skip
    day = golden["user/daily/activity"]["results"][0]
    assert set(day["breakdown"]) == {
        "models", "model_groups", "mcp_servers", "providers", "endpoints", "api_keys", "entities",
    }  # fmt: skip
    assert set(golden["user/daily/activity"]["metadata"]) == {
        "total_spend",
        "total_prompt_tokens",
        "total_completion_tokens",
        "total_tokens",
        "total_api_requests",
        "total_successful_requests",
        "total_failed_requests",
        "total_cache_read_input_tokens",
        "total_cache_creation_input_tokens",
        "page",
        "total_pages",
        "has_more",
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(answers(), indent=1) + "\n")
