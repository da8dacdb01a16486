"""Passages that need no configuration: LiteLLM's own paths to providers, there as soon as the environment holds their key.

A passage of the configuration on the same path takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from engine.policy import Passage

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


class _Row(NamedTuple):
    """A path, the variables that may hold the server's address, the address otherwise, and how the key is sent."""

    path: str
    bases: tuple[str, ...]
    base: str
    key: str
    header: str = "authorization"
    scheme: str = "Bearer "
    below: str = ""


_OPENAI = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
_ROWS = (
    _Row("/anthropic", ("ANTHROPIC_API_BASE",), "https://api.anthropic.com", "ANTHROPIC_API_KEY", "x-api-key", ""),
    _Row("/gemini", ("GEMINI_API_BASE",), "https://generativelanguage.googleapis.com", "GEMINI_API_KEY", "x-goog-api-key", ""),
    _Row("/cohere", ("COHERE_API_BASE",), "https://api.cohere.com", "COHERE_API_KEY"),
    _Row("/mistral", ("MISTRAL_API_BASE",), "https://api.mistral.ai", "MISTRAL_API_KEY"),
    _Row("/assemblyai", (), "https://api.assemblyai.com", "ASSEMBLYAI_API_KEY", scheme=""),
    _Row("/eu.assemblyai", (), "https://api.eu.assemblyai.com", "ASSEMBLYAI_API_KEY", scheme=""),
    _Row("/openai_passthrough", (), "https://api.openai.com", "OPENAI_API_KEY"),
    *(
        _Row(f"{form}{path}", _OPENAI, "https://api.openai.com/v1", "OPENAI_API_KEY", below=path)
        for path in ("/files", "/batches")
        for form in ("", "/v1", "/openai/v1")
    ),
)  # fmt: skip
NEEDS: Mapping[str, str] = {row.path: row.key for row in _ROWS}
"""Which variable brings which path."""


def built_in(environ: Mapping[str, str]) -> Iterator[Passage]:
    """Yield the passages whose keys are in the environment."""
    for row in _ROWS:
        if environ.get(row.key):
            base = next((environ[name] for name in row.bases if environ.get(name)), row.base)
            headers = ((row.header, f"{row.scheme}{environ[row.key]}"),)
            yield Passage(row.path, f"{base.rstrip('/')}{row.below}", methods=METHODS, headers=headers)
