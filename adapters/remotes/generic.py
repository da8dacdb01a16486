"""A guardrail of one's own, behind LiteLLM's generic guardrail API: `POST /beta/litellm_basic_guardrail_api`.

Settings, LiteLLM's names: `api_base` (or GENERIC_GUARDRAIL_API_BASE; its path may be the endpoint's whole), `api_key` (sent
as `x-api-key`), `headers`, `additional_provider_specific_params`. A client's `extra_body` adds to these parameters.

Of `Question.metadata`, members that begin with `user_api_key_` are the `request_data`, `litellm_call_id` and
`litellm_trace_id` stand beside the texts, `extra_body` is what the client sent, and `tools` are those of the request:
nothing that a client writes gets to where the key's own facts stand.

Source: docs.litellm.ai/docs/adding_provider/generic_guardrail_api.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.asking import Service, answered
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Question
from engine.settings import Settings

NAME = "generic"
ENDPOINT = "/beta/litellm_basic_guardrail_api"
REASON = "content violates policy"
_BESIDE = ("litellm_call_id", "litellm_trace_id")


class _Answer(msgspec.Struct):
    action: str
    blocked_reason: str | None = None
    texts: list[str] | None = None


class Generic:
    """The detector `generic`: one question for all texts, blank ones too."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        reader = Settings(settings, deps.environ)
        base = reader.base("GENERIC_GUARDRAIL_API_BASE")
        place = base if base.path.endswith(ENDPOINT) else base._replace(path=f"{base.path}{ENDPOINT}")
        headers = {name.lower(): value for name, value in reader.texts("headers").items()}
        if key := reader.key(base):
            headers["x-api-key"] = key
        self._parameters = reader.mapping("additional_provider_specific_params")
        reader.end(("type", "timeout", "unreachable_fallback", "fail_on_error", "extra_headers"))
        self._service = Service(NAME, deps.http, place, _Answer, headers)

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Return what the service says of the texts as a whole: all pass, all are refused, or each has a text in its place."""
        if not question.texts:
            return ()
        answer = await self._service.ask(self._asked(question))
        if answer.action == "NONE":
            return [Finding()] * len(question.texts)
        if answer.action == "BLOCKED":
            return [Finding(refused=answer.blocked_reason or REASON)] * len(question.texts)
        if answer.action != "GUARDRAIL_INTERVENED":
            raise DetectorError(f"`{NAME}` did not answer NONE, BLOCKED or GUARDRAIL_INTERVENED")
        if answer.texts is None or len(answer.texts) != len(question.texts):
            count = 0 if answer.texts is None else len(answer.texts)
            raise DetectorError(f"`{NAME}` intervened with {count} texts for {len(question.texts)}")
        return [
            Finding(replacement=changed if changed != text else None)
            for text, changed in zip(question.texts, answer.texts, strict=True)
        ]

    def _asked(self, question: Question) -> dict[str, Any]:
        metadata, sent, request = question.metadata, question.metadata.get("extra_body"), question.request
        return {
            "texts": list(question.texts),
            "images": None,
            "structured_messages": request.get("messages"),
            "model": question.model or None,
            "input_type": "response" if answered(question) else "request",
            "tools": request.get("tools"),
            "request_data": {name: value for name, value in metadata.items() if name.startswith("user_api_key_")},
            "additional_provider_specific_params": {**self._parameters, **(sent if isinstance(sent, Mapping) else {})},
            **{name: metadata.get(name) for name in _BESIDE},
        }
