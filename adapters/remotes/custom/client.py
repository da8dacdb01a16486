"""LiteLLM's client for services that hooks ask, by the means that the gateway has anyway.

An answer has what an answer of `httpx` is looked at for: `status_code`, `headers`, `text`, `content`, `json()`, `raise_for_status()`.
As with LiteLLM, `post` and its likes raise for a status that is no success. Each question has a connection of its own: hooks come
and go with their file, and nobody would close what they keep.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from typing import Any

import aiohttp

from adapters.remotes.custom.refusals import Timeout

SECONDS = 600.0
"""How long a service may take where nothing is said; the guardrail's own deadline is nearer."""
LARGEST = 16 << 20
"""Bytes that an answer may have."""


class HTTPStatusError(Exception):
    """A service answered with a status that is no success."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.message = message
        self.response = response
        self.status_code = response.status_code


class Response:
    """What a service answered."""

    def __init__(self, url: str, status_code: int, headers: Mapping[str, str], content: bytes) -> None:
        self.url = url
        self.status_code = status_code
        self.headers = headers
        self.content = content

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.content.decode("utf-8", "replace")

    @property
    def is_success(self) -> bool:
        """Tell whether it is what was asked for."""
        return 200 <= self.status_code < 300

    def json(self) -> Any:
        """Return the body as what its JSON says; raises ValueError."""
        return json_module.loads(self.content)

    def raise_for_status(self) -> Response:
        """Raise HTTPStatusError for a status that is no success."""
        if not self.is_success:
            raise HTTPStatusError(f"a service answered {self.status_code}", self)
        return self


class AsyncHTTPHandler:
    """Asks services; what else LiteLLM's takes means nothing here."""

    def __init__(self, timeout: Any = None, **more: Any) -> None:
        del more
        self.timeout = timeout

    async def get(self, url: str, params: Any = None, headers: Any = None, **more: Any) -> Response:
        """GET."""
        return await self._ask("GET", url, params=params, headers=headers, **more)

    async def post(self, url: str, data: Any = None, json: Any = None, **more: Any) -> Response:
        """POST a body, or what JSON can say."""
        return await self._ask("POST", url, data=data, json=json, **more)

    async def put(self, url: str, data: Any = None, json: Any = None, **more: Any) -> Response:
        """PUT a body, or what JSON can say."""
        return await self._ask("PUT", url, data=data, json=json, **more)

    async def delete(self, url: str, data: Any = None, json: Any = None, **more: Any) -> Response:
        """DELETE."""
        return await self._ask("DELETE", url, data=data, json=json, **more)

    async def close(self) -> None:
        """Do nothing: nothing is kept open."""

    async def _ask(self, method: str, url: str, **said: Any) -> Response:
        seconds = said.pop("timeout", None) or self.timeout
        known = {name: said[name] for name in ("params", "headers", "data", "json") if said.get(name) is not None}
        timeout = aiohttp.ClientTimeout(total=seconds if isinstance(seconds, int | float) else SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, url, **known) as answer,
            ):
                content = bytearray()
                async for piece in answer.content.iter_any():
                    content += piece
                    if len(content) > LARGEST:
                        raise ValueError(f"a service answered more than {LARGEST} bytes")
                return Response(str(answer.url), answer.status, dict(answer.headers), bytes(content)).raise_for_status()
        except TimeoutError:
            raise Timeout("a service did not answer in time") from None


def get_async_httpx_client(
    llm_provider: Any = None, params: Mapping[str, Any] | None = None, **more: Any
) -> AsyncHTTPHandler:
    """Return what asks services."""
    del llm_provider, more
    return AsyncHTTPHandler((params or {}).get("timeout"))


class httpxSpecialProvider:  # noqa: N801 - LiteLLM's name
    """What LiteLLM calls clients that ask no model; all are one here."""

    LoggingCallback = "logging_callback"
    GuardrailCallback = "guardrail_callback"
