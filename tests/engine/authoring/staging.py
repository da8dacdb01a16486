"""Configurations and policies on disk, staged for trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.authoring.stage import Stage, staged
from engine.authoring.trial import Asked, Trial, tried
from engine.sources import Sources

NOON = 1_768_215_600.0
"""2026-01-12T11:00:00Z, a Monday."""
CONFIG = """
model_list:
  - {model_name: a, litellm_params: {model: echo/a}, model_info: {id: one}}
  - {model_name: a, litellm_params: {model: echo/a, tags: [canary]}, model_info: {id: two}}
  - {model_name: b, litellm_params: {model: openai/gpt-4o, api_key: os.environ/UNSET_KEY}}
general_settings: {master_key: os.environ/UNSET_MASTER}
teams: [{team_id: web, metadata: {tier: gold}}]
keys:
  - {key: sk-app-0123456789, key_alias: app, team_id: web}
  - {key: sk-narrow-0123456789, key_alias: narrow, models: [b]}
"""


def stage_of(folder: Path, *policies: str, config: str | None = CONFIG) -> Stage:
    """Write a configuration and its policies, and stage them."""
    place = folder / "policies"
    place.mkdir(exist_ok=True)
    for at, text in enumerate(policies):
        (place / f"p{at}.yaml").write_text(text)
    if config is None:
        return staged(Sources(None, place), {})
    (folder / "config.yaml").write_text(config)
    return staged(Sources(folder / "config.yaml", place), {})


def asks(stage: Stage, who: str = "app", target: str = "/v1/chat/completions", **members: Any) -> Trial:
    """Ask model `a` as someone."""
    body = json.dumps({"model": "a", "messages": [{"role": "user", "content": "hi"}], **members}).encode()
    return tried(stage, Asked(target, {"authorization": f"Bearer {stage.key(who)}"}, body, NOON))
