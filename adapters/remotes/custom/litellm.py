"""The base class of guardrails and what goes with it, under LiteLLM's names, for gateways beside which LiteLLM is not installed.

All hooks are there and do nothing, so that a class says by writing one that it wants to be asked.

Source: docs.litellm.ai/docs/proxy/guardrails/custom_guardrail.
"""

from __future__ import annotations

import enum
import functools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from adapters.remotes.custom.refusals import ModifyResponseException

verbose_logger = logging.getLogger("LiteLLM")
verbose_proxy_logger = logging.getLogger("LiteLLM Proxy")
verbose_router_logger = logging.getLogger("LiteLLM Router")


class GuardrailEventHooks(str, enum.Enum):  # noqa: UP042 - `f"{event}"` is not what a StrEnum's is
    """When a guardrail is asked."""

    pre_call = "pre_call"
    post_call = "post_call"
    during_call = "during_call"
    logging_only = "logging_only"
    pre_mcp_call = "pre_mcp_call"
    during_mcp_call = "during_mcp_call"


class PiiAction(str, enum.Enum):  # noqa: UP042 - as above
    """What is done about personal data."""

    BLOCK = "BLOCK"
    MASK = "MASK"


class CallTypes(str, enum.Enum):  # noqa: UP042 - as above
    """What a call is for."""

    completion = "completion"
    acompletion = "acompletion"
    text_completion = "text_completion"
    atext_completion = "atext_completion"
    embedding = "embedding"
    aembedding = "aembedding"
    image_generation = "image_generation"
    aimage_generation = "aimage_generation"
    moderation = "moderation"
    amoderation = "amoderation"
    transcription = "transcription"
    atranscription = "atranscription"
    speech = "speech"
    aspeech = "aspeech"
    rerank = "rerank"
    arerank = "arerank"
    responses = "responses"
    aresponses = "aresponses"
    anthropic_messages = "anthropic_messages"
    pass_through = "pass_through_endpoint"  # noqa: S105 - the name of a kind of call
    call_mcp_tool = "call_mcp_tool"


class Record:
    """Named values: those that are given, None for all others that LiteLLM has."""

    absent: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)

    def __getattr__(self, name: str) -> Any:
        if name in self.absent:
            return None
        raise AttributeError(f"`{type(self).__name__}` has no member `{name}`")

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value by its name, or the default."""
        return getattr(self, name, default)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def model_dump(self, **how: Any) -> dict[str, Any]:
        """Return the values that were given."""
        del how
        return dict(self.__dict__)


class UserAPIKeyAuth(Record):
    """Who calls: the key by its hash, and its user, team and organization."""

    absent = frozenset({
        "token", "api_key", "key_name", "key_alias", "user_id", "user_email", "user_role", "team_id", "team_alias", "org_id",
        "organization_id", "project_id", "end_user_id", "max_budget", "spend", "expires", "tpm_limit", "rpm_limit",
        "max_parallel_requests", "budget_duration", "request_route", "parent_otel_span", "allowed_model_region", "permissions",
        "jwt_claims", "user_tpm_limit", "user_rpm_limit", "team_spend", "team_max_budget", "end_user_max_budget", "team_metadata",
        "team_tpm_limit", "team_rpm_limit", "team_member", "team_member_spend", "organization_alias", "organization_metadata",
        "project_alias", "project_metadata", "agent_id", "budget_id", "blocked", "soft_budget", "user_spend", "user_max_budget",
        "key_type", "created_at", "created_by", "updated_at", "updated_by", "last_active", "object_permission", "access_group_ids",
    })  # fmt: skip

    def __init__(self, **given: Any) -> None:
        empty: dict[str, Any] = {
            "models": [], "metadata": {}, "team_models": [], "aliases": {}, "permissions": {}, "spend": 0.0, "config": {},
            "allowed_routes": [], "model_max_budget": {}, "model_spend": {}, "token": given.get("api_key"),
        }  # fmt: skip
        super().__init__(**{**empty, **given})


class GuardrailConfigModel(Record):
    """What LiteLLM's pages show of a guardrail's settings; here there are none to show."""

    def __class_getitem__(cls, of: Any) -> type[GuardrailConfigModel]:
        del of
        return cls


class Mode(Record):
    """When a guardrail is asked, by tag."""

    absent = frozenset({"default", "tags"})


class CustomLogger:
    """All hooks; each does nothing."""

    def __init__(self, message_logging: bool = True, **more: Any) -> None:
        del more
        self.message_logging = message_logging

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> Any:
        """Look at a request, and change it: a dict that is returned is the request, a text or an exception refuses it."""

    async def async_moderation_hook(self, data: dict[str, Any], user_api_key_dict: Any, call_type: Any) -> Any:
        """Look at a request; an exception refuses it."""

    async def async_post_call_success_hook(self, data: dict[str, Any], user_api_key_dict: Any, response: Any) -> Any:
        """Look at an answer, and change it; an exception refuses it."""

    async def async_post_call_streaming_hook(self, user_api_key_dict: Any, response: str) -> Any:
        """Look at the text of a stream."""

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """Take the pieces of a stream, and give those that go on."""
        del user_api_key_dict, request_data
        async for piece in response:
            yield piece

    async def async_post_call_failure_hook(self, *of: Any, **more: Any) -> Any:
        """Learn of a call that failed; never called here."""

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Learn of a call that was answered; never called here."""

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Learn of a call that failed; never called here."""


class CustomGuardrail(CustomLogger):
    """What a guardrail knows of itself; `event_hook` is its `mode`."""

    def __init__(
        self, guardrail_name: str | None = None, supported_event_hooks: Sequence[Any] | None = None, event_hook: Any = None,
        default_on: bool = False, mask_request_content: bool = False, mask_response_content: bool = False,
        **more: Any,
    ) -> None:  # fmt: skip
        self.guardrail_name = guardrail_name
        self.supported_event_hooks = supported_event_hooks
        self.event_hook = event_hook
        self.default_on = default_on
        self.mask_request_content = mask_request_content
        self.mask_response_content = mask_response_content
        self.violation_message_template: str | None = more.pop("violation_message_template", None)
        self.timeout: float | None = more.pop("timeout", None)
        supported = [_value(one) for one in supported_event_hooks or ()]
        wrong = [one for one in _events(event_hook) if supported and one not in supported]
        if wrong:
            raise ValueError(
                f"event hook {wrong[0]} is none of those that this guardrail supports: {', '.join(supported)}"
            )
        super().__init__(**more)

    def get_guardrail_from_metadata(self, data: Mapping[str, Any]) -> Any:
        """Return what a request names in `metadata.guardrails`."""
        for name in ("metadata", "litellm_metadata"):
            metadata = data.get(name)
            if isinstance(metadata, Mapping) and metadata.get("guardrails"):
                return metadata["guardrails"]
        return data.get("guardrails") or []

    def should_run_guardrail(self, data: Mapping[str, Any], event_type: Any) -> bool:
        """Tell whether this guardrail is asked then: its mode says so, and it is for all or the request names it."""
        events = _events(self.event_hook)
        if events and _value(event_type) not in events:
            return False
        if self.default_on or not events or _value(event_type) == "logging_only":
            return True
        return any(self.guardrail_name in one if isinstance(one, Mapping) else self.guardrail_name == one
                   for one in self.get_guardrail_from_metadata(data))  # fmt: skip

    def get_guardrail_dynamic_request_body_params(self, request_data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the `extra_body` that a request sends for this guardrail."""
        for one in self.get_guardrail_from_metadata(request_data):
            said = one.get(self.guardrail_name) if isinstance(one, Mapping) else None
            if isinstance(said, Mapping):
                return dict(said.get("extra_body") or {})
        return {}

    def mask_content_in_string(self, content_string: str, mask_string: str, start_index: int, end_index: int) -> str:
        """Put a mask in the place of a part of a text; a part that is none is left alone."""
        if not 0 <= start_index < end_index <= len(content_string):
            return content_string
        return f"{content_string[:start_index]}{mask_string}{content_string[end_index:]}"

    def render_violation_message(self, default: str, context: Mapping[str, Any] | None = None) -> str:
        """Return what is said to who is refused: the `violation_message_template`, where there is one."""
        return (self.violation_message_template or "{default_message}").format(
            default_message=default, **(context or {})
        )

    def raise_passthrough_exception(self, violation_message: str, request_data: dict[str, Any], **more: Any) -> None:
        """Refuse with a message; LiteLLM would answer with it."""
        raise ModifyResponseException(violation_message, request_data=request_data, **more)

    def add_standard_logging_guardrail_information_to_request_data(self, *of: Any, **more: Any) -> None:
        """Do nothing: records of calls name the guardrails and what they found."""


def _value(event: Any) -> str:
    return str(getattr(event, "value", event))


def _events(said: Any) -> list[str]:
    """List the events that a mode names; of one by tag all that it names for any."""
    if isinstance(said, Mode):
        said = {"tags": said.tags, "default": said.default}
    if isinstance(said, Mapping):
        return [event for one in (*(said.get("tags") or {}).values(), said.get("default")) for event in _events(one)]
    return [_value(one) for one in said] if isinstance(said, list | tuple) else [] if said is None else [_value(said)]


def log_guardrail_information(hook: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Leave a hook as it is: records of calls name the guardrails and what they found."""

    @functools.wraps(hook)
    async def logged(*of: Any, **named: Any) -> Any:
        return await hook(*of, **named)

    return logged


async def should_proceed_based_on_metadata(data: Mapping[str, Any], guardrail_name: str) -> bool:
    """Tell whether a request leaves a guardrail on: `metadata.guardrails` may be a mapping of names to yes or no."""
    metadata = data.get("metadata")
    said = metadata.get("guardrails") if isinstance(metadata, Mapping) else None
    if isinstance(said, Mapping):
        return said.get(guardrail_name, False) is not False
    return not isinstance(said, list) or any(
        guardrail_name in one if isinstance(one, Mapping) else guardrail_name == one for one in said
    )


def add_guardrail_to_applied_guardrails_header(*of: Any, **more: Any) -> None:
    """Do nothing: every answer names its guardrails in `x-litellm-applied-guardrails`."""


def get_content_from_model_response(response: Any) -> str:
    """Join what the answers to a chat say."""
    return "".join(str(choice.message.content or "") for choice in response.choices)


def get_secret_str(secret_name: str, default_value: str | None = None) -> str | None:
    """Return a variable of the environment."""
    return os.environ.get(secret_name.removeprefix("os.environ/"), default_value)
