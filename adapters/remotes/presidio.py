"""Personal data, found by Presidio's analyzer: names and places among it, which no pattern finds.

Settings, LiteLLM's names: `presidio_analyzer_api_base` (or PRESIDIO_ANALYZER_API_BASE; without a scheme it is http's),
`pii_entities_config` {entity: MASK or BLOCK} (absent: all that the analyzer knows, to mask), `presidio_score_thresholds`
{entity or ALL: least score}, `presidio_entities_deny_list` (entities never reported), `presidio_language` (en),
`presidio_ad_hoc_recognizers`, a list of recognizers or the path of a JSON file with one, and
`presidio_analyze_chunk_size_bytes` (500000): a text that could be larger is several questions that overlap. No anonymizer is asked: spans come
back, in Unicode code points, as Python counts. A client may choose the language: `guardrail_config: {language: de}`.

Source: microsoft.github.io/presidio/api-docs, `POST /analyze`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from engine.asking import Service, each, pieces, spanned
from engine.contracts import Deps
from engine.detecting import Finding, Hit, Question
from engine.settings import Settings

NAME = "presidio"
BASE = "presidio_analyzer_api_base"
VARIABLE = "PRESIDIO_ANALYZER_API_BASE"
ALL = "ALL"
LARGEST = 500_000
WIDEST = 6
"""Bytes that a character has at most where it is written as JSON."""
OVERLAP = 500
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})?")
_ELSEWHERE = (
    "presidio_anonymizer_api_base",
    "presidio_filter_scope",
    "presidio_run_on",
    "output_parse_pii",
    "mask_pii_fail_closed",
)
"""Settings that LiteLLM has for what the guardrail does here."""


class _Found(msgspec.Struct):
    entity_type: str
    start: int
    end: int
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Presidio:
    """The detector `presidio`: one question for each text, a few side by side."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        environ = {**deps.environ, VARIABLE: _with_scheme(deps.environ.get(VARIABLE, ""))}
        reader = Settings({**settings, **_with_schemes(settings)}, environ)
        base = reader.base(VARIABLE, names=(BASE, "url", "api_base"))
        self._actions = {key: _action(key, value) for key, value in reader.mapping("pii_entities_config").items()}
        self._thresholds = reader.numbers("presidio_score_thresholds", 1)
        self._denied = frozenset(reader.names("presidio_entities_deny_list"))
        self._question: dict[str, Any] = {"language": reader.text("presidio_language", default="en")}
        if self._actions:
            self._question["entities"] = list(self._actions)
        recognizers = _recognizers(reader.anything("presidio_ad_hoc_recognizers"))
        if recognizers:
            self._question["ad_hoc_recognizers"] = recognizers
        self._most = int(reader.number("presidio_analyze_chunk_size_bytes", LARGEST, 1 << 30)) // WIDEST
        if self._most < 2 * OVERLAP:
            raise ValueError(f"presidio_analyze_chunk_size_bytes: write at least {2 * OVERLAP * WIDEST}")
        reader.end(("type", "timeout", *_ELSEWHERE))
        self._service = Service(NAME, deps.http, base._replace(path=f"{base.path}/analyze"), list[_Found], {})

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Return spans for each text; a text with an entity that is to be blocked is refused."""
        asked = {**self._question, **_chosen(question.metadata)}
        return await each(lambda text: self._one(text, asked), question.texts)

    async def _one(self, text: str, asked: Mapping[str, Any]) -> Finding:
        parts = await each(lambda piece: self._piece(piece, asked), pieces(text, self._most, OVERLAP))
        # What lies across a seam is found by both of its pieces, whole or cut: the same place twice is one hit.
        found = {
            hit._replace(start=hit.start + place * (self._most - OVERLAP), end=hit.end + place * (self._most - OVERLAP))
            for place, part in enumerate(parts)
            for hit in part.hits
        }
        blocked = sorted({hit.type for hit in found if self._actions.get(hit.type) == "BLOCK"})
        return Finding(sorted(found), refused=f"blocked entity detected: {', '.join(blocked)}" if blocked else "")

    async def _piece(self, text: str, asked: Mapping[str, Any]) -> Finding:
        found = await self._service.ask({"text": text, **asked})
        for one in found:
            spanned(NAME, text, one.start, one.end)
        return Finding([Hit(one.start, one.end, one.entity_type, one.score) for one in found if self._counts(one)])

    def _counts(self, one: _Found) -> bool:
        if one.entity_type in self._denied:
            return False
        return one.score >= self._thresholds.get(one.entity_type, self._thresholds.get(ALL, 0))


def _with_scheme(base: str) -> str:
    return f"http://{base}" if base and not base.startswith(("http://", "https://")) else base


def _with_schemes(settings: Mapping[str, Any]) -> dict[str, str]:
    """Write addresses as LiteLLM reads them: `analyzer:5002` is a service on a private network."""
    return {name: _with_scheme(base) for name in (BASE, "url") if isinstance(base := settings.get(name), str)}


def _action(entity: str, action: Any) -> str:
    if str(action).upper() not in {"MASK", "BLOCK"}:
        raise ValueError(f"pii_entities_config.{entity}: write MASK or BLOCK")
    return str(action).upper()


def _recognizers(written: Any) -> list[Any]:
    """Return recognizers, from a file where a path is written; what is in them is the analyzer's affair."""
    name = "presidio_ad_hoc_recognizers"
    if isinstance(written, str):
        try:
            written = json.loads(Path(written).read_bytes())
        except OSError as error:
            raise ValueError(f"{name}: cannot read `{error.filename}`: {error.strerror}") from None
        except ValueError:
            raise ValueError(f"{name}: `{written}` is no JSON file") from None
    if written is not None and not (isinstance(written, list) and all(isinstance(one, dict) for one in written)):
        raise ValueError(f"{name}: write a list of recognizers, or the path of a JSON file with one")
    return written or []


def _chosen(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the language that a client chose; which entities count is not for clients to say."""
    chosen = metadata.get("guardrail_config")
    language = chosen.get("language") if isinstance(chosen, Mapping) else None
    return {"language": language} if isinstance(language, str) and _LANGUAGE.fullmatch(language) else {}
