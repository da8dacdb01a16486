"""Cohere's format for ranking documents, which Jina, Voyage, Together and OpenRouter share.

Sources: docs.cohere.com/reference/rerank, jina.ai/reranker, docs.voyageai.com/reference/reranker-api. Cohere counts units
of search, the others tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.dialects.openai import UNREADABLE, OpenAI, count, measured, part, whole_number
from engine import prompts
from engine.call import Usage


class _Ranked(msgspec.Struct):
    usage: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None


_ranked = msgspec.json.Decoder(_Ranked)


class Rerank(OpenAI):
    """The dialect of `/rerank`, `/v1/rerank` and `/v2/rerank`."""

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List the question, then the documents."""
        return prompts.loose(prompts.read(members, "query")) + prompts.loose(prompts.read(members, "documents"))

    def usage(self, answer: bytes) -> Usage | None:
        """Read units of search and tokens."""
        try:
            found = _ranked.decode(answer)
        except UNREADABLE:
            return None
        meta = found.meta or {}
        billed = part(meta, "billed_units")
        usage = measured(count(found.usage or part(meta, "tokens") or {}))
        usage.input = usage.input or whole_number(billed, "input_tokens") or whole_number(billed, "total_tokens")
        units = whole_number(billed, "search_units")
        if units:
            usage.units["queries"] = units
        return usage
