"""What `import litellm` and `import fastapi` mean in a file of hooks where those packages are not installed.

Only the names that guardrails are written with; any other is an ImportError that says so. Nothing of this gets into
`sys.modules`: no other code of the process sees it.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from adapters.remotes.custom import answers, cache, client, litellm, refusals

LACKS, ADVICE = "this gateway has no", "pip install {0} beside it, or leave it out"

_ANSWERS = {
    name: getattr(answers, name)
    for name in (
        "ModelResponse", "ModelResponseStream", "TextCompletionResponse", "EmbeddingResponse", "ImageResponse",
        "TranscriptionResponse", "Choices", "StreamingChoices", "TextChoices", "Message", "Delta", "Usage", "Function",
        "ChatCompletionMessageToolCall",
    )
}  # fmt: skip
_ERRORS = {
    name: getattr(refusals, name)
    for name in (
        "GuardrailRaisedException", "BlockedPiiEntityError", "GuardrailInterventionNormalStringError", "RejectedRequestError",
        "BadRequestError", "ContentPolicyViolationError", "AuthenticationError", "RateLimitError", "ModifyResponseException",
        "Timeout", "APIError", "APIConnectionError", "InternalServerError", "ServiceUnavailableError", "NotFoundError",
    )
}  # fmt: skip
_LOGGERS = {
    name: getattr(litellm, name) for name in ("verbose_logger", "verbose_proxy_logger", "verbose_router_logger")
}
_CACHES = {"DualCache": cache.DualCache, "InMemoryCache": cache.DualCache}


def _written(*names: str) -> dict[str, Any]:
    """Offer names that stand in annotations only."""
    return dict.fromkeys(names, Any)


_STATUS = {
    "HTTP_400_BAD_REQUEST": 400, "HTTP_401_UNAUTHORIZED": 401, "HTTP_403_FORBIDDEN": 403, "HTTP_422_UNPROCESSABLE_ENTITY": 422,
    "HTTP_429_TOO_MANY_REQUESTS": 429, "HTTP_500_INTERNAL_SERVER_ERROR": 500, "HTTP_503_SERVICE_UNAVAILABLE": 503,
}  # fmt: skip
OFFERED: Mapping[str, Mapping[str, Any]] = {
    "litellm": {
        **_ANSWERS, **_ERRORS, **_CACHES, "verbose_logger": litellm.verbose_logger,
        "stream_chunk_builder": answers.stream_chunk_builder,
    },
    "litellm._logging": _LOGGERS,
    "litellm.caching": _CACHES,
    "litellm.caching.caching": _CACHES,
    "litellm.caching.dual_cache": _CACHES,
    "litellm.exceptions": _ERRORS,
    "litellm.integrations.custom_guardrail": {
        "CustomGuardrail": litellm.CustomGuardrail, "ModifyResponseException": refusals.ModifyResponseException,
        "log_guardrail_information": litellm.log_guardrail_information,
    },
    "litellm.integrations.custom_logger": {"CustomLogger": litellm.CustomLogger},
    "litellm.litellm_core_utils.litellm_logging": _written("Logging"),
    "litellm.litellm_core_utils.prompt_templates.common_utils": {
        "get_content_from_model_response": litellm.get_content_from_model_response,
    },
    "litellm.llms.base_llm.base_model_iterator": {"MockResponseIterator": answers.MockResponseIterator},
    "litellm.llms.custom_httpx.http_handler": {
        "AsyncHTTPHandler": client.AsyncHTTPHandler, "get_async_httpx_client": client.get_async_httpx_client,
        "httpxSpecialProvider": client.httpxSpecialProvider,
    },
    "litellm.main": {"stream_chunk_builder": answers.stream_chunk_builder},
    "litellm.proxy._types": {
        "UserAPIKeyAuth": litellm.UserAPIKeyAuth, "ProxyException": refusals.ProxyException, **_written("LitellmUserRoles"),
    },
    "litellm.proxy.common_utils.callback_utils": {
        "add_guardrail_to_applied_guardrails_header": litellm.add_guardrail_to_applied_guardrails_header,
    },
    "litellm.proxy.guardrails.guardrail_helpers": {
        "should_proceed_based_on_metadata": litellm.should_proceed_based_on_metadata,
    },
    "litellm.secret_managers.main": {"get_secret": litellm.get_secret_str, "get_secret_str": litellm.get_secret_str},
    "litellm.types.guardrails": {
        "GuardrailEventHooks": litellm.GuardrailEventHooks, "PiiAction": litellm.PiiAction, "Mode": litellm.Mode,
        **_written("DynamicGuardrailParams", "Guardrail", "LitellmParams", "PiiEntityType", "SupportedGuardrailIntegrations"),
    },
    "litellm.types.proxy.guardrails.guardrail_hooks.base": {"GuardrailConfigModel": litellm.GuardrailConfigModel},
    "litellm.types.llms.openai": {
        "ResponsesAPIResponse": answers.ResponsesAPIResponse,
        **_written(
            "AllMessageValues", "ChatCompletionMessageToolCall", "ChatCompletionRequest", "ChatCompletionToolCallChunk",
            "ChatCompletionToolParam", "ChatCompletionUserMessage",
        ),
    },
    "litellm.types.utils": {
        **_ANSWERS, "CallTypes": litellm.CallTypes,
        **_written(
            "CallTypesLiteral", "GenericGuardrailAPIInputs", "GuardrailStatus", "GuardrailTracingDetail", "LLMResponseTypes",
            "StandardLoggingGuardrailInformation", "StandardLoggingPayload",
        ),
    },
    "fastapi": {"HTTPException": refusals.HTTPException, **_written("Request", "Response")},
    "fastapi.exceptions": {"HTTPException": refusals.HTTPException},
    "fastapi.status": _STATUS,
    "starlette.exceptions": {"HTTPException": refusals.HTTPException},
    "starlette.status": _STATUS,
}  # fmt: skip
ROOTS = frozenset(name.partition(".")[0] for name in OFFERED)


class Offer(ModuleType):
    """A module of names that we have; any other raises AttributeError that says so."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__dict__.update(OFFERED.get(name, {}))

    if not typing.TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(lacking(f"{self.__name__}.{name}"), name=name, obj=self)


def lacking(name: str) -> str:
    """Say that there is no such name, and what to do."""
    return f"{LACKS} {name}: {ADVICE.format(name.partition('.')[0])}"


def offer(roots: Iterable[str]) -> dict[str, ModuleType]:
    """Make the modules below some roots, each a member of the one that holds it."""
    wanted = frozenset(roots)
    made: dict[str, ModuleType] = {}
    for name in OFFERED:
        steps = name.split(".")
        if steps[0] not in wanted:
            continue
        for end in range(1, len(steps) + 1):
            path = ".".join(steps[:end])
            if path not in made:
                made[path] = Offer(path)
                if end > 1:
                    setattr(made[".".join(steps[: end - 1])], steps[end - 1], made[path])
    return made


def imported(modules: Mapping[str, ModuleType], name: str, wanted: Iterable[str]) -> ModuleType:
    """Return what an import statement of a name binds; raises ImportError for what we do not have.

    `wanted` are the names after `from … import`: with them it is the module itself, without the root that holds it.
    """
    if name not in modules:
        raise ModuleNotFoundError(lacking(name), name=name)
    module = modules[name]
    for one in wanted:
        if one != "*" and one not in vars(module):
            raise ImportError(lacking(f"{name}.{one}"), name=name)
    return module if wanted else modules[name.partition(".")[0]]
