"""Harmful content, by OpenAI's moderation endpoint or a server that speaks it.

Settings, LiteLLM's names: `api_key` (or OPENAI_API_KEY), `api_base` (or OPENAI_BASE_URL, OPENAI_API_BASE, https://api.openai.com/v1),
`model` (omni-moderation-latest). `category_thresholds` {category: score from 0 to 1} decides on a category instead of the
service. All texts are one question; one that is flagged is refused, and its categories are hits that span it.

Source: platform.openai.com/docs/api-reference/moderations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from engine.asking import Service, together
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Hit, Question
from engine.settings import Settings

NAME = "openai_moderation"
BASE = "https://api.openai.com/v1"
MODEL = "omni-moderation-latest"
_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Result(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None]
    category_scores: dict[str, _Score | None]


class _Answer(msgspec.Struct):
    results: list[_Result]


class OpenAIModeration:
    """The detector `openai_moderation`."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        reader = Settings(settings, deps.environ)
        base = reader.base("OPENAI_BASE_URL", "OPENAI_API_BASE", default=BASE)
        key = reader.key(base, "OPENAI_API_KEY")
        if not key and base.host == "api.openai.com":
            raise ValueError("api_key: set it, or OPENAI_API_KEY in the environment")
        self._model = reader.text("model", default=MODEL)
        self._thresholds = reader.numbers("category_thresholds", 1)
        reader.end()
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._service = Service(NAME, deps.http, base._replace(path=f"{base.path}/moderations"), _Answer, headers)

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Refuse each text that has a category which counts."""
        return await together(self._all, question.texts)

    async def _all(self, texts: list[str]) -> Sequence[Finding]:
        answer = await self._service.ask({"model": self._model, "input": texts})
        if len(answer.results) != len(texts):
            raise DetectorError(f"`{NAME}` answered {len(answer.results)} results for {len(texts)} texts")
        return [self._one(text, result) for text, result in zip(texts, answer.results, strict=True)]

    def _one(self, text: str, result: _Result) -> Finding:
        for category in self._thresholds:
            if result.category_scores.get(category) is None:
                raise DetectorError(f"`{NAME}` gave no score for `{category}`, which has a threshold")
        found = sorted(name for name in {*result.categories, *self._thresholds} if self._counts(name, result))
        scores = result.category_scores
        hits = [Hit(0, len(text), name, 1.0 if (score := scores.get(name)) is None else score) for name in found]
        # A flag without a category is still a flag; one whose categories all have thresholds of their own is answered.
        unexplained = result.flagged and not any(result.categories.values())
        return Finding(hits, refused=f"flagged as {', '.join(found)}" if found else "flagged" if unexplained else "")

    def _counts(self, category: str, result: _Result) -> bool:
        least = self._thresholds.get(category)
        if least is None:
            return result.categories.get(category) is True
        return (result.category_scores.get(category) or 0.0) >= least
