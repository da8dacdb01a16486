"""Providers' errors in OpenAI's classes: what an error that came in another shape, or in none, is called here.

Sources: platform.openai.com/docs/guides/error-codes for the classes; the texts are those by which providers say that a
prompt is too long, or that they will not answer it.
"""

from __future__ import annotations

import html
import re
from typing import Any

import orjson

from engine.errors import UpstreamError

QUOTED = 500
"""Characters quoted of a provider's error."""
PAGE = 4096
"""Bytes of an error that is no JSON in which its text is looked for: what is made of unclosed tags takes their number squared."""
SEARCHED = 64 * 1024
"""Bytes of an error in which is looked for what it is about."""
CLASSES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
"""What a refusal below 500 is called; others are `server_error`, and below 500 `invalid_request_error`."""
_TOO_LONG = re.compile(
    r"(?i)maximum context length|context[ _-]?(?:length|window|size)[^.]{0,40}exceed|exceed[^.]{0,60}context|too many tokens"
    r"|prompt is too long|input is too long|too long for|prompt too long|input tokens? exceed|too_many_(?:prompt_)?tokens"
    r"|context_length_exceeded|exceeds? the (?:maximum|max) number of tokens|total length of all messages is too long"
    r"|maximum number of input tokens"
)
_UNWANTED = re.compile(
    r"(?i)content[ _-]?(?:policy|filter|management policy|moderation)|responsible_?ai|safety system|"
    r"data_inspection_failed|flagged (?:as|by|for)|violat\w+ (?:our|the|its) (?:usage|content|safety)"
)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_SPACE = re.compile(r"\s+")
_SAID = ("message", "detail", "error", "errors", "msg", "Message", "error_description", "title")
"""Members that say what is wrong, the plainest first."""


def classify(error: UpstreamError, body: bytes) -> None:
    """Say a provider's error, which is in a shape of its own, in OpenAI's: message, type, code, and param where it has one.

    The status stays, but a prompt that is too long or unwanted is the request's fault: 400.
    """
    error.type = CLASSES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    if not body:
        return
    text, found = _read(body)
    whole = body[:SEARCHED].decode("utf-8", "replace")
    said = f"{error.message}: {text}" if text else error.message
    error.message = said if len(said) <= QUOTED else said[:QUOTED] + "..."
    error.param = next((value for value in (found.get("param"), found.get("loc")) if isinstance(value, str)), None)
    if error.status in {429, 401, 403, 404}:
        return
    if _TOO_LONG.search(text or whole):
        error.status, error.type, error.code = 400, "invalid_request_error", "context_length_exceeded"
    elif error.status < 500 and _UNWANTED.search(whole):
        error.status, error.type, error.code = 400, "invalid_request_error", "content_policy_violation"


def _read(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the text of an error, whatever form it has, and the object that it stands in."""
    try:
        text, holder = _message(orjson.loads(body))
    except orjson.JSONDecodeError:
        text, holder = html.unescape(_TAG.sub(" ", body[:PAGE].decode("utf-8", "replace"))), {}
    return _SPACE.sub(" ", text).strip(), holder


def _message(answer: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(answer, list):
        return _message(answer[0]) if answer else ("", {})
    if not isinstance(answer, dict):
        return str(answer), {}
    for name in _SAID:
        value = answer.get(name)
        if value:
            text, holder = _message(value)
            return text, holder or answer
    return orjson.dumps(answer).decode(), answer
