"""LiteLLM's routes that this gateway knows and does not serve yet: 501 with the route's name, never a puzzling 404."""

from __future__ import annotations

from typing import NoReturn

from aiohttp import web

from engine.config.builtin import NEEDS
from engine.errors import ClientError

FAMILIES = (
    "/access_group", "/active/callbacks", "/a2a", "/alerting", "/anthropic", "/audit", "/azure", "/bedrock", "/budget", "/cache",
    "/assemblyai", "/cohere", "/config", "/cost", "/credentials", "/customer", "/end_user", "/fallback", "/gemini", "/get", "/global",
    "/health", "/invitation", "/key", "/login", "/mcp", "/mcp-rest", "/mistral", "/model", "/model_group", "/model_hub",
    "/onboarding", "/organization", "/policies", "/project", "/prompts", "/provider", "/public", "/reload", "/router", "/schedule",
    "/spend", "/sso", "/tag", "/team", "/user", "/utils", "/v1/access_group", "/v1/agents", "/v1/assistants",
    "/v1/batches", "/v1/containers", "/v1/evals", "/v1/files", "/v1/fine_tuning", "/v1/mcp", "/v1/messages",
    "/v1/model", "/v1/ocr", "/v1/rag", "/v1/responses", "/v1/search", "/v1/skills",
    "/v1/threads", "/v1/vector_stores", "/v1/videos", "/v1beta", "/v2/key", "/v2/login", "/v2/model", "/v2/team",
    "/v2/user", "/vertex_ai", "/vllm",
    "/batches", "/files", "/fine_tuning", "/responses", "/threads",
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    """Return a route for each family and everything below it."""
    return [web.route("*", path, refuse) for family in FAMILIES for path in (family, f"{family}/{{tail:.*}}")]


async def refuse(request: web.Request) -> NoReturn:
    """Say that this route is known and not here."""
    path = request.path[:200]
    key = next((key for one, key in NEEDS.items() if path == one or path.startswith(f"{one}/")), "")
    if key:
        raise ClientError(404, "not_found", f"`{path}` is passed on once `{key}` is set in the gateway's environment")
    raise ClientError(501, "not_implemented", f"`{request.method} {path}` is not built yet in this gateway")
