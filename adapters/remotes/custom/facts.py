"""What hooks are told beside the texts: who calls, what for, and the request or answer as LiteLLM would hand it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.detecting import Question, Whole

OURS = frozenset({"metadata", "litellm_metadata", "litellm_call_id", "guardrails"})
"""Members of `data` that say what the gateway knows; what a hook writes there goes nowhere."""
_TYPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/chat/completions", ("acompletion", "completion")), ("/completions", ("atext_completion", "text_completion")),
    ("/embeddings", ("aembedding", "embedding", "embeddings")), ("/images/generations", ("aimage_generation", "image_generation")),
    ("/moderations", ("amoderation", "moderation")), ("/rerank", ("arerank", "rerank")), ("/responses", ("aresponses", "responses")),
    ("/audio/transcriptions", ("atranscription", "transcription", "audio_transcription")), ("/audio/speech", ("aspeech", "speech")),
    ("/messages", ("anthropic_messages",)),
)  # fmt: skip
_CALLER = {
    "user_api_key_hash": "api_key", "user_api_key_alias": "key_alias", "user_api_key_user_id": "user_id",
    "user_api_key_team_id": "team_id", "user_api_key_org_id": "org_id", "user_api_key_end_user_id": "end_user_id",
    "user_api_key_request_route": "request_route",
}  # fmt: skip


class CallType(str):
    """What a call is for, by LiteLLM's name; equal to its names of other versions, for a hook must not pass over a call that it means."""

    __slots__ = ("others",)
    others: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or other in self.others

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def call_type(metadata: Mapping[str, Any]) -> CallType:
    """Return what a call is for; a text tried by itself is taken for a chat."""
    route = str(metadata.get("user_api_key_request_route") or "/chat/completions")
    found = next((names for end, names in _TYPES if route.endswith(end)), ("pass_through_endpoint",))
    made = CallType(found[0])
    made.others = found[1:]
    return made


def caller(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return who calls, under the names of LiteLLM's `UserAPIKeyAuth`."""
    return {mine: metadata[name] for name, mine in _CALLER.items() if metadata.get(name)}


def told(data: dict[str, Any], question: Question, guardrail: str) -> None:
    """Add to a request what LiteLLM adds: `metadata` with who calls and what is said to the guardrail, and the call's id.

    Nothing that a client writes gets to where the key's own facts stand.
    """
    sent, known = data.get("metadata"), question.metadata
    metadata: dict[str, Any] = sent if isinstance(sent, dict) else {}
    for name in [name for name in metadata if str(name).startswith("user_api_key")]:
        del metadata[name]
    extra = known.get("extra_body")
    metadata |= {name: value for name, value in known.items() if name.startswith("user_api_key_")}
    metadata["guardrails"] = [{guardrail: {"extra_body": extra}} if extra else guardrail]
    data["metadata"] = metadata
    if known.get("litellm_call_id"):
        data["litellm_call_id"] = known["litellm_call_id"]


def whole(question: Question, *, answered: bool) -> Whole:
    """Return the request or answer of a question; of texts that come alone one is made."""
    if question.whole is not None:
        return question.whole()
    messages = [{"role": "assistant" if answered else "user", "content": text} for text in question.texts]
    places = [(message, "content") for message in messages]
    request: dict[str, Any] = {"model": question.model, "messages": [] if answered else messages}
    if not answered:
        return Whole(request, request, places)
    choices = [{"index": at, "message": message, "finish_reason": "stop"} for at, message in enumerate(messages)]
    answer = {"id": "", "object": "chat.completion", "created": 0, "model": question.model, "choices": choices}
    return Whole(request, answer, places)


def called(body: Any) -> list[dict[str, Any]]:
    """Return the calls of tools in a request or an answer in OpenAI's form."""
    if not isinstance(body, Mapping):
        return []
    choices = [one.get("message") for one in _listed(body.get("choices"))]
    said = [one for one in (*_listed(body.get("messages")), *choices) if isinstance(one, Mapping)]
    return [call for message in said for call in _listed(message.get("tool_calls"))]


def _listed(value: Any) -> Sequence[Any]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
