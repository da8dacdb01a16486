"""LiteLLM's forms of policies, written as the policy documents that they mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.config.entities import Guarded
from engine.config.problems import Mark
from engine.config.specs import ConfigSpec, PassThroughSpec


def documents(spec: ConfigSpec) -> Iterator[tuple[dict[str, Any], Mark]]:
    """Yield the documents of a configuration, each with the file it is from."""
    mark = Mark(spec.files[0] if spec.files else "config.yaml", 1, 1)
    router = spec.router
    if router.enable_tag_filtering:
        match_any = router.tag_filtering_match_any is not False
        yield {
            "kind": "TagRouting", "name": "enable_tag_filtering", "byTags": True, "trustClient": True, "matchAny": match_any,
        }, mark  # fmt: skip
    for endpoint in spec.pass_through:
        yield _passed(endpoint), endpoint.mark or mark
    for guardrail, place in spec.guardrails:
        yield guardrail, place or mark


def _passed(endpoint: PassThroughSpec) -> dict[str, Any]:
    """Write an entry of `pass_through_endpoints` as the policy that it means."""
    headers = {name: value for name, value in endpoint.headers.items() if name != "litellm_user_api_key"}
    written = {
        "kind": "PassThrough", "name": endpoint.id or f"pass_through_endpoints {endpoint.path}",
        "path": endpoint.path.rstrip("/"), "target": endpoint.target, "subpaths": endpoint.include_subpath,
        "headers": headers, "forwardHeaders": endpoint.forward_headers, "query": endpoint.default_query_params,
        "mergeQuery": endpoint.merge_query_params, "auth": endpoint.auth,
        "keyHeader": endpoint.headers.get("litellm_user_api_key"), "methods": list(endpoint.methods),
        "cost": endpoint.cost_per_request, "timeout": endpoint.timeout, **_guarded(endpoint.guardrails),
    }  # fmt: skip
    return {name: value for name, value in written.items() if value not in (None, [], {})}


def _guarded(guardrails: Guarded) -> dict[str, Any]:
    """Write which guardrails look, and at which fields: LiteLLM's `documents[*].text` is our `documents[].text`."""
    fields = [one or {} for one in guardrails.values()] if isinstance(guardrails, dict) else []
    texts = {
        side: [
            path.removeprefix("$.").replace("[*]", "[]") for each in fields for path in each.get(f"{side}_fields", ())
        ]
        for side in ("request", "response")
    }
    return {"guardrails": list(guardrails), "texts": {side: paths for side, paths in texts.items() if paths}}
