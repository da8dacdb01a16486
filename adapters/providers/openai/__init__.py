"""OpenAI and every server that speaks its API, at any `api_base`.

Source: platform.openai.com/docs/api-reference. A base URL may end in `/v1` or in anything else: paths are appended to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from adapters.providers.openai.endpoint import FORWARDED, PATHS, RESERVED, OpenAIEndpoint, split
from adapters.providers.openai.rows import ITSELF, Row, rows
from engine.contracts import Deps, Target

__all__ = ["FORWARDED", "PATHS", "RESERVED", "OpenAI", "OpenAIEndpoint", "Row", "rows"]


class OpenAI:
    """The provider `openai`, or the one that a row of `compatible.toml` describes."""

    def __init__(self, deps: Deps, row: Row = ITSELF) -> None:
        self._http = deps.http
        self._environ = deps.environ
        self._row = row
        self.stream_usage = row.stream_usage

    def endpoint(self, target: Target) -> OpenAIEndpoint:
        """Compose an endpoint; raises ValueError for a base URL or header that cannot be used.

        A key of the environment is used at the provider's own address or the environment's only: no other server is
        shown it.
        """
        row, environ, params = self._row, self._environ, dict(target.params)
        named = [environ[name] for name in row.base_env if environ.get(name)]
        own = row.address(params, environ)
        base = params.get("api_base") or (named[0] if named else own)
        if not base:
            raise ValueError(f"api_base: the address of `{row.name}` is not known: {row.missing()}")
        params["api_base"] = f"{base.rstrip('/')}{row.below}" if row.below and not _path(base) else base
        headers: dict[str, str] = {}
        if _origin(base) in {_origin(url) for url in (*named, *filter(None, (own,)))}:
            params["api_key"] = params.get("api_key") or _first(environ, row.key)
            headers = row.filled(environ)
        key = params.get("api_key") or row.key_default
        if key:
            headers[row.key_header] = f"Bearer {key}" if row.key_header == "authorization" else str(key)
        return OpenAIEndpoint(self._http, target._replace(params=params), headers, row)


def _path(base: str) -> str:
    return urlsplit(base).path.strip("/")


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := environ.get(name))), None)


def _origin(url: str) -> tuple[str, str, int] | str:
    """Name the server behind a base URL; a URL that is none is a server of its own."""
    try:
        return split(url)[0][:3]
    except ValueError:
        return url
