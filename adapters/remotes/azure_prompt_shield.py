"""Attacks on prompts, direct and by way of documents, by Azure AI Content Safety: `text:shieldPrompt`.

Settings, LiteLLM's names: `api_key` (or AZURE_GUARDRAIL_API_KEY), `api_base` (or AZURE_GUARDRAIL_API_BASE), `api_version`
(2024-09-01). What a tool returned is looked at as a document, every other text as a prompt. The service takes 10,000
characters; a longer text is several questions that overlap.

Source: learn.microsoft.com/rest/api/contentsafety/text-operations/shield-prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from engine.asking import Service, each, pieces
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Hit, Question
from engine.settings import Settings

NAME = "azure_prompt_shield"
VERSION = "2024-09-01"
MOST = 10_000
OVERLAP = 500
TYPE = "PROMPT_ATTACK"


class _Analysis(msgspec.Struct):
    attackDetected: bool  # noqa: N815 - the wire's own name


class _Answer(msgspec.Struct):
    userPromptAnalysis: _Analysis | None = None  # noqa: N815 - the wire's own name
    documentsAnalysis: list[_Analysis] | None = None  # noqa: N815 - the wire's own name


class AzurePromptShield:
    """The detector `azure_prompt_shield`: one question for each text, a few side by side."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        reader = Settings(settings, deps.environ)
        base = reader.base("AZURE_GUARDRAIL_API_BASE")
        key = reader.key(base, "AZURE_GUARDRAIL_API_KEY")
        if not key:
            raise ValueError("api_key: set it, or AZURE_GUARDRAIL_API_KEY in the environment")
        query = f"api-version={quote(reader.text('api_version', default=VERSION), safe='')}"
        reader.end()
        place = base._replace(path=f"{base.path}/contentsafety/text:shieldPrompt", query=query)
        self._service = Service(NAME, deps.http, place, _Answer, {"ocp-apim-subscription-key": key})

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Refuse each text that holds an attack."""
        found = self._document if question.phase == "toolResults" else self._prompt

        async def one(text: str) -> Finding:
            parts = await each(found, pieces(text, MOST, OVERLAP))
            refused = next((part.refused for part in parts if part.refused), "")
            return Finding([Hit(0, len(text), TYPE)], refused=refused) if refused else Finding()

        return await each(one, question.texts)

    async def _prompt(self, text: str) -> Finding:
        answer = await self._service.ask({"userPrompt": text, "documents": []})
        if answer.userPromptAnalysis is None:
            raise DetectorError(f"`{NAME}` did not answer as it should: nothing is said of the prompt")
        return Finding(refused="attack detected") if answer.userPromptAnalysis.attackDetected else Finding()

    async def _document(self, text: str) -> Finding:
        answer = await self._service.ask({"userPrompt": "", "documents": [text]})
        if answer.documentsAnalysis is None or len(answer.documentsAnalysis) != 1:
            raise DetectorError(f"`{NAME}` did not answer as it should: nothing is said of the document")
        return Finding(refused="attack detected") if answer.documentsAnalysis[0].attackDetected else Finding()
