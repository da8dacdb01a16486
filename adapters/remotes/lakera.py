"""Attacks on prompts, harmful content and personal data, by Lakera Guard: `POST /v2/guard`.

Settings, LiteLLM's names: `api_key` (or LAKERA_API_KEY), `api_base` (https://api.lakera.ai, or LAKERA_API_BASE),
`project_id` (whose policy decides; without, Lakera's default), `metadata`. All texts are one question. A text in which only
personal data was found has hits where it stands; whatever else is found refuses it.

Source: docs.lakera.ai/api-reference/lakera-api/guard/screen-content.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from engine.asking import Service, answered, spanned, together
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Hit, Question
from engine.settings import Settings

NAME = "lakera"
BASE = "https://api.lakera.ai"
PERSONAL = "pii"
_ELSEWHERE = ("payload", "breakdown", "dev_info", "on_flagged")
"""Settings that LiteLLM has: the first two are always asked for, what follows of a flag is the guardrail's affair."""


class _Detector(msgspec.Struct):
    detector_type: str
    detected: bool
    message_id: int | None = None


class _Match(msgspec.Struct):
    start: int
    end: int
    detector_type: str
    message_id: int


class _Answer(msgspec.Struct):
    flagged: bool
    breakdown: list[_Detector] = []
    payload: list[_Match] = []


class Lakera:
    """The detector `lakera`."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        reader = Settings(settings, deps.environ)
        base = reader.base("LAKERA_API_BASE", default=BASE)
        key = reader.key(base, "LAKERA_API_KEY")
        if not key and base.host == "api.lakera.ai":
            raise ValueError("api_key: set it, or LAKERA_API_KEY in the environment")
        self._question: dict[str, Any] = {"breakdown": True, "payload": True}
        if project := reader.text("project_id"):
            self._question["project_id"] = project
        if metadata := reader.mapping("metadata"):
            self._question["metadata"] = metadata
        reader.end(("type", "timeout", *_ELSEWHERE))
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._service = Service(NAME, deps.http, base._replace(path=f"{base.path}/v2/guard"), _Answer, headers)

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Return spans of personal data for each text, and refuse those with anything else that is flagged."""
        role = "assistant" if answered(question) else "user"
        return await together(lambda texts: self._all(role, texts), question.texts)

    async def _all(self, role: str, texts: list[str]) -> Sequence[Finding]:
        messages = [{"role": role, "content": text} for text in texts]
        answer = await self._service.ask({"messages": messages, **self._question})
        if not answer.flagged:
            return [Finding()] * len(texts)
        detected = [one for one in answer.breakdown if one.detected]
        for number in (*(one.message_id for one in detected), *(one.message_id for one in answer.payload)):
            if number is not None and not 0 <= number < len(texts):
                raise DetectorError(f"`{NAME}` did not answer as it should: it speaks of a message that was not sent")
        findings = [_finding(place, text, detected, answer.payload) for place, text in enumerate(texts)]
        # A flag that nothing explains is still a flag.
        return (
            findings if any(finding != Finding() for finding in findings) else [Finding(refused="flagged")] * len(texts)
        )


def _finding(place: int, text: str, detected: Sequence[_Detector], payload: Sequence[_Match]) -> Finding:
    """Read what was found in one text; a detector that names no message speaks of all of them."""
    matches = [one for one in payload if one.message_id == place and _personal(one.detector_type)]
    for one in matches:
        spanned(NAME, text, one.start, one.end)
    here, anywhere = {one.detector_type for one in matches}, {one.detector_type for one in payload}
    # Personal data that nobody knows the place of cannot be masked; where no message is named, its place may be elsewhere.
    placed = {place: here, None: anywhere}
    found = [one for one in detected if one.message_id in placed]
    refused = sorted({one.detector_type for one in found if not _in(one.detector_type, placed[one.message_id])})
    hits = sorted(Hit(one.start, one.end, _type(one.detector_type)) for one in matches)
    return Finding(hits or (), refused=f"flagged as {', '.join(refused)}" if refused else "")


def _in(detector_type: str, placed: Collection[str]) -> bool:
    return _personal(detector_type) and detector_type in placed


def _personal(detector_type: str) -> bool:
    return detector_type.partition("/")[0] == PERSONAL


def _type(detector_type: str) -> str:
    return detector_type.rpartition("/")[2].upper()
