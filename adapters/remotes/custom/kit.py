"""What hooks are given: LiteLLM's own classes where a file was loaded beside LiteLLM, ours where not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from adapters.remotes.custom import answers, cache, litellm

_BASES = frozenset({"litellm.integrations.custom_logger", "litellm.integrations.custom_guardrail", litellm.__name__})
"""Modules whose hooks do nothing."""


class Kit(NamedTuple):
    """Makers of what hooks are called with."""

    caller: Callable[..., Any]
    cache: Any
    response: Callable[[Any], Any]
    """Gives an answer the form that hooks know; it may change what it is given, and be it."""
    piece: Callable[[Any], Any]
    """Makes a piece of a stream."""


def _shaped(body: Any) -> Any:
    kind = answers.kind_of(body)
    return body if kind is None else answers.shaped(body, kind)


OURS = Kit(
    litellm.UserAPIKeyAuth, cache.DualCache(), _shaped, lambda body: answers.shaped(body, answers.ModelResponseStream)
)  # fmt: skip


@functools.cache
def installed() -> Kit:
    """Return the kit of an installed LiteLLM; raises ValueError where it is not whole."""
    try:
        from litellm import ModelResponse, TextCompletionResponse  # noqa: PLC0415 - takes seconds, and is seldom there
        from litellm.caching.caching import DualCache  # noqa: PLC0415 - as above
        from litellm.proxy._types import UserAPIKeyAuth  # noqa: PLC0415 - as above
        from litellm.types.utils import ModelResponseStream  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ValueError(f"class: the LiteLLM beside this gateway has not all that hooks need ({error}): pip install 'litellm[proxy]'") from error  # fmt: skip
    kinds: Mapping[Any, Any] = {
        answers.ModelResponse: ModelResponse, answers.TextCompletionResponse: TextCompletionResponse,
    }  # fmt: skip

    def made(body: Any) -> Any:
        kind = kinds.get(answers.kind_of(body))
        return _shaped(body) if kind is None else kind(**body)

    return Kit(UserAPIKeyAuth, DualCache(), made, lambda body: ModelResponseStream(**body))


def written(kind: type, name: str) -> bool:
    """Tell whether a class has a hook of its own, and not the one that does nothing."""
    owner = next((one for one in kind.__mro__ if name in vars(one)), None)
    return owner is not None and owner.__module__ not in _BASES
