"""How hooks are called: which there are, what each is given, and what their exceptions say.

Source: docs.litellm.ai/docs/proxy/guardrails/custom_guardrail.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from adapters.remotes.custom.answers import Shape
from adapters.remotes.custom.litellm import GuardrailEventHooks

LONGEST = 500
"""Characters of a hook's reason that are said on."""
BEFORE, DURING, AFTER, APPLY = (
    "async_pre_call_hook",
    "async_moderation_hook",
    "async_post_call_success_hook",
    "apply_guardrail",
)
ITERATOR, STREAM, GATE = (
    "async_post_call_streaming_iterator_hook",
    "async_post_call_streaming_hook",
    "should_run_guardrail",
)
EVERY = (BEFORE, DURING, AFTER, ITERATOR, STREAM, APPLY)
_GIVEN = {
    BEFORE: ("user_api_key_dict", "cache", "data", "call_type"), DURING: ("data", "user_api_key_dict", "call_type"),
    AFTER: ("data", "user_api_key_dict", "response"), STREAM: ("user_api_key_dict", "response"),
    ITERATOR: ("user_api_key_dict", "response", "request_data"), GATE: ("data", "event_type"),
}  # fmt: skip
_NEWER, _OLDER = (
    ("inputs", "request_data", "input_type", "logging_obj"),
    ("text", "language", "entities", "request_data"),
)


def names(hook: str, method: Any) -> tuple[str, ...]:
    """Name what a hook is given."""
    return _GIVEN.get(hook) or (_NEWER if newer(method) else _OLDER)


def taken(hook: str, method: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what there is what a hook is given and takes."""
    parameters = inspect.signature(method).parameters
    every = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return {name: given[name] for name in names(hook, method) if every or name in parameters}


def reason(error: BaseException) -> str:
    """Return what an exception says, for whoever called: of FastAPI's its detail; cut."""
    said = getattr(error, "detail", None)
    if isinstance(said, Mapping):
        said = next((said[name] for name in ("error", "message") if isinstance(said.get(name), str)), None) or str(said)
    found = said if isinstance(said, str) and said else str(error)
    return (found or type(error).__name__)[:LONGEST]


def asks(modes: Sequence[str], phase: str) -> bool:
    """Tell whether some modes, all where there are none, ask hooks of a phase."""
    return not modes or any(mode.startswith(phase) for mode in modes)


def event(hook: str, modes: Sequence[str], *, answered: bool) -> GuardrailEventHooks:
    """Return when a hook is asked."""
    if answered:
        return GuardrailEventHooks.post_call
    during = hook == DURING or (hook == APPLY and not asks(modes, "pre_"))
    return GuardrailEventHooks.during_call if during else GuardrailEventHooks.pre_call


def newer(method: Any) -> bool:
    """Tell the two forms of `apply_guardrail` apart."""
    parameters = inspect.signature(method).parameters
    return "inputs" in parameters or "text" not in parameters


async def awaited(method: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a hook, which need not be a coroutine."""
    said = method(**given)
    return await said if inspect.isawaitable(said) else said


async def one(piece: Any) -> AsyncIterator[Any]:
    """Give one piece of a stream."""
    yield piece


def content(piece: Any) -> str:
    """Return what a piece of a stream adds."""
    choices = (piece.get("choices") if isinstance(piece, Mapping | Shape) else getattr(piece, "choices", None)) or ()
    said = []
    for choice in choices:
        delta = choice.get("delta") if isinstance(choice, Mapping) else getattr(choice, "delta", None)
        said.append(delta.get("content") if isinstance(delta, Mapping) else getattr(delta, "content", None))
    return "".join(one for one in said if isinstance(one, str))
