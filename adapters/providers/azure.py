"""Azure OpenAI: one address a deployment and API version, an `api-key` or an Entra token.

Source: learn.microsoft.com/azure/ai-foundry/openai/reference. `api_base` is a resource (`https://name.openai.azure.com`), or
leads further: to `/openai/v1`, whose paths are OpenAI's, to one deployment, or to the `/models` of a Foundry resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from adapters.providers.openai import PATHS, OpenAIEndpoint, Row
from engine.contracts import Deps, Target

VERSION = "2024-10-21"
"""The API version where nobody says one: the last that is generally available."""
NEXT = frozenset({"v1", "preview", "latest"})
"""Versions of the API below `/openai/v1`, which has no dates."""


class Azure:
    """The provider `azure`: `azure/<deployment>`."""

    stream_usage = "inject"

    def __init__(self, deps: Deps) -> None:
        self._http = deps.http
        self._environ = deps.environ

    def endpoint(self, target: Target) -> OpenAIEndpoint:
        """Compose an endpoint; raises ValueError for an address or a version that cannot be used.

        The environment's key and token are shown to the environment's address only.
        """
        params, environ = dict(target.params), self._environ
        named = environ.get("AZURE_API_BASE")
        base = str(params.get("api_base") or named or "")
        if not base:
            raise ValueError("api_base: set it, or AZURE_API_BASE, to the resource's address")
        key, token = params.get("api_key"), params.get("azure_ad_token")
        if not key and not token and named and _host(base) == _host(named):
            key, token = environ.get("AZURE_API_KEY"), environ.get("AZURE_AD_TOKEN")
        headers = {"api-key": str(key)} if key else {"authorization": f"Bearer {token}"} if token else {}
        version = str(params.get("api_version") or environ.get("AZURE_API_VERSION") or "")
        base, _, query = base.partition("?")
        base = base.rstrip("/")
        params["api_base"] = f"{base}?{query}" if query else base
        params["api_key"] = key or token
        row = Row("azure", paths=_paths(urlsplit(base).path, target.model, version, versioned="api-version=" in query))
        return OpenAIEndpoint(self._http, target._replace(params=params), headers, row)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _paths(below: str, deployment: str, version: str, *, versioned: bool) -> Mapping[str, str]:
    """Write every task's path below the base, with the version where the base has none."""
    dated = "" if version in NEXT else version
    tail = "" if versioned else f"?api-version={quote(dated or VERSION, safe='')}"
    if below.endswith("/v1"):
        named = f"?api-version={quote(version, safe='')}" if version in NEXT and not versioned else ""
        return {task: f"{path}{named}" for task, path in PATHS.items()}
    if "/deployments/" in below or below.endswith("/models"):
        return {task: f"{path}{tail}" for task, path in PATHS.items()}
    paths = {task: f"/openai/deployments/{quote(deployment, safe='')}{path}{tail}" for task, path in PATHS.items()}
    paths["realtime"] = f"/openai/realtime{tail}{'&' if tail else '?'}deployment={quote(deployment, safe='')}"
    paths["responses"] = f"/openai/responses{tail}" if dated else "/openai/v1/responses"
    if version in NEXT and not versioned:
        paths["responses"] += f"?api-version={version}"
    return paths
