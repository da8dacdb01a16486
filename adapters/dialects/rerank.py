"""Cohere's format for ranking documents, which Jina, Voyage, Together and OpenRouter share.

Sources: docs.cohere.com/reference/rerank, jina.ai/reranker, docs.voyageai.com/reference/reranker-api. Cohere counts units
of search, the others tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.dialects.openai import OpenAI, count
from engine import prompts
from engine.call import Usage
from engine.places import UNREADABLE, inner, measured, tokens
from engine.slots import INPUT, OUTPUT, Repeats, Slots


class _Ranked(msgspec.Struct):
    usage: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None


_ranked = msgspec.json.Decoder(_Ranked)


class Rerank(OpenAI):
    """The dialect of `/rerank`, `/v1/rerank` and `/v2/rerank`."""

    asks = frozenset({"query", "documents"})
    asked = Slots({"query": INPUT, "documents[]": INPUT, "documents[].text": INPUT})
    answered = Slots({"results[].document.text": OUTPUT, "results[].document": OUTPUT})
    repeated = Repeats(())

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List the question, then the documents."""
        documents = prompts.read(members, "documents")
        listed = documents if isinstance(documents, list) else []
        texts = [one.get("text") if isinstance(one, dict) else one for one in listed]
        return prompts.loose(prompts.read(members, "query")) + prompts.loose(texts)

    def usage(self, answer: bytes) -> Usage | None:
        """Read units of search and tokens."""
        try:
            found = _ranked.decode(answer)
        except UNREADABLE:
            return None
        meta = found.meta or {}
        billed = inner(meta, "billed_units")
        usage = measured(count(found.usage or inner(meta, "tokens") or {}))
        usage.input = usage.input or tokens(billed, "input_tokens") or tokens(billed, "total_tokens")
        units = tokens(billed, "search_units")
        if units:
            usage.units["queries"] = units
        return usage
