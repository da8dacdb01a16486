"""A gateway to manage: with a team, keys and a budget of its file, and spend of two days in its store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.stores.sqlite import Sqlite, spend
from engine.digest import digest
from engine.storing import SpendRow
from tests.running import MASTER, Answer, Gateway

CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo}}}}
- {{model_name: other, litellm_params: {{model: echo/echo}}}}
general_settings: {{master_key: {MASTER}}}
teams: [{{team_id: filed, team_alias: filed team, models: [echo]}}]
budgets: [{{budget_id: small, max_budget: 3, budget_duration: 1d}}]
keys:
- {{key: sk-filed-1, key_alias: filed, team_id: filed}}
- {{key: sk-viewer-1, key_alias: viewer, role: proxy_admin_viewer}}
- {{key: sk-second-admin-1, key_alias: second admin, role: proxy_admin}}
"""
JANUARY = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""


def house(folder: Path, name: str = "gateway") -> Gateway:
    """Make a gateway that is not started yet; its store holds three calls of `sk-filed-1`."""
    made = Gateway(folder / name, CONFIG, (), {})
    data = made.folder / "data"
    data.mkdir()
    store = Sqlite({"path": data / "interlock.db"})
    with store._writing() as connection:
        spend.add(connection, [row(0, 0.5), row(1, 0.25, user="u2"), row(2, 0.125, status="failure", model="other")])
    store.close()
    return made


def row(number: int, usd: float, **fields: Any) -> SpendRow:
    """Make the spend row of a call, the third of them a day later."""
    start = JANUARY + 3600 * number + (86400 if number == 2 else 0)
    plain: dict[str, Any] = {
        "call_type": "chat", "api_key": digest("sk-filed-1"), "user": "u1", "team_id": "filed", "end_user": "c-seen",
        "model": "echo", "model_group": "echo", "custom_llm_provider": "echo", "prompt_tokens": 10, "completion_tokens": 5,
        "request_tags": ("t",),
    }  # fmt: skip
    return SpendRow(f"call-{number}", start, start + 1.5, start + 1, spend=int(usd * 10**9), **{**plain, **fields})


def good(answer: Answer) -> Any:
    """Return what a good answer holds."""
    assert answer.status == 200, answer.body
    return answer.json()


def refused(answer: Answer, status: int, kind: str) -> str:
    """Return the message of a refusal of LiteLLM's form."""
    assert answer.status == status, answer.body
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == (kind, str(status))
    message: str = error["message"]
    return message
