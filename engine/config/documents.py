"""LiteLLM's forms of policies, written as the policy documents that they mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.config.problems import Mark
from engine.config.specs import ConfigSpec


def documents(spec: ConfigSpec) -> Iterator[tuple[dict[str, Any], Mark]]:
    """Yield the documents of a configuration, each with the file it is from."""
    mark = Mark(spec.files[0] if spec.files else "config.yaml", 1, 1)
    router = spec.router
    if router.enable_tag_filtering:
        match_any = router.tag_filtering_match_any is not False
        yield {
            "kind": "TagRouting", "name": "enable_tag_filtering", "byTags": True, "trustClient": True, "matchAny": match_any,
        }, mark  # fmt: skip
