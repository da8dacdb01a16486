"""What hooks raise to refuse, under LiteLLM's and FastAPI's names: all that counts is what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):  # noqa: N818 - LiteLLM's exceptions have their own names
    """What a guardrail raises to refuse, in all of LiteLLM's forms: the message is the first text, or `message`."""

    def __init__(self, *of: Any, **named: Any) -> None:
        texts = [one for one in of if isinstance(one, str)]
        self.message = str(
            named.pop("message", None) or (texts[-1] if len(texts) == len(of) > 1 else next(iter(texts), ""))
        )
        super().__init__(self.message)
        self.__dict__.update(named)


class GuardrailRaisedException(Refusal):
    """A guardrail refuses; written (guardrail_name, message)."""


class BlockedPiiEntityError(Refusal):
    """Personal data was found; written (entity_type, guardrail_name)."""

    def __init__(self, entity_type: str = "", guardrail_name: str | None = None, **named: Any) -> None:
        super().__init__(message=f"found {entity_type}, which is blocked", guardrail_name=guardrail_name, **named)
        self.entity_type = entity_type


class _Named(Refusal):
    """One whose message comes first."""

    def __init__(self, message: str = "", *of: Any, **named: Any) -> None:
        del of
        super().__init__(message=message, **named)


class ModifyResponseException(_Named):
    """LiteLLM answers with the message instead of a model; here it refuses with it."""


class GuardrailInterventionNormalStringError(_Named):
    """A guardrail refuses."""


class RejectedRequestError(_Named):
    """A request is refused."""


class BadRequestError(_Named):
    """A request is refused."""


class ContentPolicyViolationError(BadRequestError):
    """A request is refused."""


class AuthenticationError(_Named):
    """A request is refused."""


class RateLimitError(_Named):
    """A request is refused."""


class Timeout(_Named):
    """A service took too long."""


class APIError(_Named):
    """A service could not be asked."""


class APIConnectionError(_Named):
    """A service could not be reached."""


class InternalServerError(_Named):
    """A service could not answer."""


class ServiceUnavailableError(_Named):
    """A service cannot answer now."""


class NotFoundError(_Named):
    """A service has no such thing."""


class ProxyException(_Named):
    """A request is refused."""


class HTTPException(Exception):  # noqa: N818 - FastAPI's name
    """FastAPI's: a status and what is wrong, a text or a mapping."""

    def __init__(self, status_code: int = 500, detail: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status_code, detail)
        self.status_code = status_code
        self.detail = detail
        self.headers = headers
