"""Hate, violence, sexual content and self-harm by severity, and blocklists, by Azure AI Content Safety: `text:analyze`.

Settings, LiteLLM's names: `api_key` (or AZURE_GUARDRAIL_API_KEY), `api_base` (or AZURE_GUARDRAIL_API_BASE), `api_version`
(2024-09-01), `categories` (all four), `severity_threshold` (2, where no category has one of its own),
`severity_threshold_by_category`, `blocklistNames`, `haltOnBlocklistHit` (false), `outputType` (FourSeverityLevels, or
EightSeverityLevels). A category counts from either threshold on, so that the lower decides. The service takes 10,000
characters; a longer text is several questions that overlap.

Source: learn.microsoft.com/rest/api/contentsafety/text-operations/analyze-text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from engine.asking import Service, each, pieces
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Hit, Question
from engine.settings import Settings

NAME = "azure_content_safety"
VERSION = "2024-09-01"
CATEGORIES = ("Hate", "Sexual", "SelfHarm", "Violence")
LEVELS = ("FourSeverityLevels", "EightSeverityLevels")
THRESHOLD = 2
WORST = 7
MOST = 10_000
OVERLAP = 500


class _Category(msgspec.Struct):
    category: str
    severity: Annotated[int, msgspec.Meta(ge=0, le=WORST)]


class _Blocked(msgspec.Struct):
    blocklistName: str  # noqa: N815 - the wire's own name


class _Answer(msgspec.Struct):
    categoriesAnalysis: list[_Category]  # noqa: N815 - the wire's own name
    blocklistsMatch: list[_Blocked] | None = None  # noqa: N815 - the wire's own name


class AzureContentSafety:
    """The detector `azure_content_safety`: one question for each text, a few side by side."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        reader = Settings(settings, deps.environ)
        base = reader.base("AZURE_GUARDRAIL_API_BASE")
        key = reader.key(base, "AZURE_GUARDRAIL_API_KEY")
        if not key:
            raise ValueError("api_key: set it, or AZURE_GUARDRAIL_API_KEY in the environment")
        query = f"api-version={quote(reader.text('api_version', default=VERSION), safe='')}"
        self._question = _question(reader)
        self._by_category = reader.numbers("severity_threshold_by_category", WORST)
        for category in self._by_category:
            if category not in self._question["categories"]:
                raise ValueError(f"severity_threshold_by_category.{category}: it is not among the `categories`")
        # A category without a threshold then counts from none on.
        self._least = reader.number("severity_threshold", WORST + 1 if self._by_category else THRESHOLD, WORST)
        reader.end()
        place = base._replace(path=f"{base.path}/contentsafety/text:analyze", query=query)
        self._service = Service(NAME, deps.http, place, _Answer, {"ocp-apim-subscription-key": key})

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Refuse each text with a category that is as severe as its threshold, or an entry of a blocklist."""
        return await each(self._one, question.texts)

    async def _one(self, text: str) -> Finding:
        parts = await each(self._piece, pieces(text, MOST, OVERLAP))
        worst: dict[str, float] = {}
        for hit in (hit for part in parts for hit in part.hits):
            worst[hit.type] = max(hit.score, worst.get(hit.type, 0.0))
        hits = [Hit(0, len(text), name, worst[name]) for name in sorted(worst)]
        return Finding(hits, refused=f"flagged as {', '.join(sorted(worst))}" if worst else "")

    async def _piece(self, text: str) -> Finding:
        answer = await self._service.ask({"text": text, **self._question})
        severities = {one.category: one.severity for one in answer.categoriesAnalysis}
        listed = {f"blocklist {one.blocklistName}": 1.0 for one in answer.blocklistsMatch or ()}
        # Where a blocklist stops the analysis, nothing more is said.
        if not listed and (missing := [name for name in self._question["categories"] if name not in severities]):
            raise DetectorError(f"`{NAME}` did not answer as it should: nothing is said of {', '.join(missing)}")
        found = {name: value / WORST for name, value in severities.items() if value >= self._threshold(name)} | listed
        return Finding([Hit(0, len(text), name, score) for name, score in found.items()])

    def _threshold(self, category: str) -> float:
        return min(self._least, self._by_category.get(category, self._least))


def _question(reader: Settings) -> dict[str, Any]:
    categories = reader.names("categories", CATEGORIES)
    for category in categories:
        if category not in CATEGORIES:
            raise ValueError(f"categories: `{category}` is none of {', '.join(CATEGORIES)}")
    levels = reader.text("outputType", default=LEVELS[0])
    if levels not in LEVELS:
        raise ValueError(f"outputType: write {' or '.join(LEVELS)}")
    return {
        "categories": categories,
        "blocklistNames": reader.names("blocklistNames"),
        "haltOnBlocklistHit": reader.flag("haltOnBlocklistHit", default=False),
        "outputType": levels,
    }
