"""Attacks, harmful content, bad links and sensitive data, by Google Cloud Model Armor: `sanitizeUserPrompt`, `sanitizeModelResponse`.

Settings, LiteLLM's names: `template_id`, `project_id` (or GOOGLE_CLOUD_PROJECT), `location` (us-central1), `api_endpoint`.
The access token is `access_token` (or GOOGLE_OAUTH_ACCESS_TOKEN) or, as it lives an hour, the file `access_token_file` that
something else renews; it is read again whenever it has changed. A text that was de-identified has that in its place; whatever
else matches refuses it. A filter that did not run is an error, unless the template says to ignore that.

Source: cloud.google.com/security-command-center/docs/reference/model-armor/rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.asking import Service, answered, each
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Question
from engine.settings import Settings

NAME = "model_armor"
LOCATION = "us-central1"
MATCH, NONE = "MATCH_FOUND", "NO_MATCH_FOUND"
PROMPT, RESPONSE = ("sanitizeUserPrompt", "userPromptData"), ("sanitizeModelResponse", "modelResponseData")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_TOKEN = re.compile(r"[!-~]+")
_ELSEWHERE = ("fail_on_error", "mask_request_content", "mask_response_content")
"""Settings that LiteLLM has for what the guardrail does here."""


class _Data(msgspec.Struct):
    text: str


class _Outcome(msgspec.Struct, rename="camel"):
    match_state: str = ""
    rai_filter_type_results: dict[str, _Outcome] = {}
    inspect_result: _Outcome | None = None
    deidentify_result: _Outcome | None = None
    data: _Data | None = None


class _Ignored(msgspec.Struct, rename="camel"):
    ignore_partial_invocation_failures: bool = False


class _Result(msgspec.Struct, rename="camel"):
    filter_match_state: str
    invocation_result: str
    filter_results: dict[str, dict[str, _Outcome]] = {}
    sanitization_metadata: _Ignored = msgspec.field(default_factory=_Ignored)


class _Answer(msgspec.Struct, rename="camel"):
    sanitization_result: _Result


class ModelArmor:
    """The detector `model_armor`: one question for each text, a few side by side."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        reader = Settings(settings, deps.environ)
        if reader.anything("credentials"):
            raise ValueError(
                "credentials: service accounts are not read here; write `access_token` or `access_token_file`"
            )
        location = _part("location", reader.text("location", default=LOCATION))
        project = _part("project_id", reader.needed("project_id", "GOOGLE_CLOUD_PROJECT"))
        template = _part("template_id", reader.needed("template_id"))
        own = f"https://modelarmor.{location}.rep.googleapis.com"
        base = reader.base(default=own, names=("api_endpoint", "url", "api_base"))
        self._token = _Token(reader.text("access_token_file"))
        if not self._token.path:
            self._token.value = reader.key(base, "GOOGLE_OAUTH_ACCESS_TOKEN", name="access_token")
            if not self._token.value:
                raise ValueError("access_token: set it, or `access_token_file`")
        reader.end(("type", "timeout", *_ELSEWHERE))
        name = f"{base.path}/v1/projects/{project}/locations/{location}/templates/{template}"
        self._services = {
            method: Service(NAME, deps.http, base._replace(path=f"{name}:{method}"), _Answer, {})
            for method, _ in (PROMPT, RESPONSE)
        }

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Return de-identified texts, and refuse those that match anything else."""
        method, member = RESPONSE if answered(question) else PROMPT
        service, headers = self._services[method], {"authorization": f"Bearer {self._token.read()}"}

        async def one(text: str) -> Finding:
            answer = await service.post(service.written({member: {"text": text}}), headers)
            return _finding(text, answer.sanitization_result)

        return await each(one, question.texts)


def _finding(text: str, result: _Result) -> Finding:
    matched = sorted(_matched(result.filter_results))
    if matched:
        return Finding(refused=f"matches {', '.join(matched)}")
    changed = next(_changed(result.filter_results), None)
    if changed is None and result.filter_match_state == MATCH:
        return Finding(refused="matches a filter")
    if changed is None and result.filter_match_state != NONE:
        raise DetectorError(f"`{NAME}` did not answer {MATCH} or {NONE}")
    ignored = result.sanitization_metadata.ignore_partial_invocation_failures
    if result.invocation_result != "SUCCESS" and not (ignored and result.invocation_result == "PARTIAL"):
        raise DetectorError(f"`{NAME}` did not run every filter")
    return Finding(replacement=changed if changed != text else None)


def _outcomes(results: Mapping[str, Mapping[str, _Outcome]]) -> Iterator[tuple[str, _Outcome]]:
    return ((name, outcome) for name, wrapped in results.items() for outcome in wrapped.values())


def _matched(results: Mapping[str, Mapping[str, _Outcome]]) -> Iterator[str]:
    """Name the filters that matched, but for the one that has masked what it found."""
    for name, outcome in _outcomes(results):
        if outcome.match_state == MATCH or (outcome.inspect_result and outcome.inspect_result.match_state == MATCH):
            kinds = sorted(kind for kind, one in outcome.rai_filter_type_results.items() if one.match_state == MATCH)
            yield f"{name} ({', '.join(kinds)})" if kinds else name


def _changed(results: Mapping[str, Mapping[str, _Outcome]]) -> Iterator[str]:
    for _, outcome in _outcomes(results):
        masked = outcome.deidentify_result
        if masked and masked.match_state == MATCH and masked.data is not None:
            yield masked.data.text


class _Token:
    """An access token, or the file where the one in force stands."""

    __slots__ = ("_changed", "path", "value")

    def __init__(self, path: str) -> None:
        self.path = path
        self.value = ""
        self._changed = 0

    def read(self) -> str:
        """Return the token in force; raises DetectorError where the file has none."""
        if not self.path:
            return self.value
        try:
            changed = Path(self.path).stat().st_mtime_ns
            if changed != self._changed:
                self.value, self._changed = Path(self.path).read_text("ascii", "replace").strip(), changed
        except OSError as error:
            raise DetectorError(f"`{NAME}` was not asked: cannot read `{self.path}`: {error.strerror}") from None
        if not _TOKEN.fullmatch(self.value):
            raise DetectorError(f"`{NAME}` was not asked: `{self.path}` holds no access token")
        return self.value


def _part(name: str, value: str) -> str:
    if not _PART.fullmatch(value):
        raise ValueError(f"{name}: `{value}` is none")
    return value
