"""The one place that turns errors into answers: status, headers and, by the caller's dialect, body."""

from __future__ import annotations

import html
import re

import orjson

from engine import __version__
from engine.contracts import Dialect
from engine.errors import GatewayError, UpstreamError
from engine.headers import line

QUOTED = 500
"""Characters quoted of an upstream's error that is not in the caller's dialect."""
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_SPACE = re.compile(r"\s+")
_JSON = b"content-type: application/json\r\n"


def render(error: GatewayError, dialect: Dialect, call_id: str) -> tuple[int, bytes, bytes]:
    """Return status, header lines and body of an error's answer.

    A provider's refusal keeps its status; its body too where it already is in the caller's dialect, else its text is
    quoted in one that is.
    """
    head = head_of(error, call_id)
    if isinstance(error, UpstreamError) and error.body:
        if dialect.is_error(error.body):
            kind = error.content_type or b"application/json"
            return error.status, b"content-type: %b\r\n%b" % (kind, head), error.body
        error.message = f"{error.message}: {_quoted(error.body)}"
    return error.status, _JSON + head, dialect.error(error)


def head_of(error: GatewayError, call_id: str) -> bytes:
    """Write the header lines that every error's answer has."""
    head = line("x-litellm-version", __version__) + line("x-interlock-error-id", error.id)
    if call_id:
        head += line("x-litellm-call-id", call_id)
    if error.retry_after is not None:
        head += line("retry-after", str(error.retry_after))
    if error.status == 401:
        head += b'www-authenticate: Bearer realm="interlock"\r\n'
    return head


def _quoted(body: bytes) -> str:
    """Return the text of an upstream's error, whatever form it has."""
    try:
        found = _message(orjson.loads(body))
    except orjson.JSONDecodeError:
        found = html.unescape(_TAG.sub(" ", body.decode("utf-8", "replace")))
    text = _SPACE.sub(" ", found).strip()
    return text if len(text) <= QUOTED else text[:QUOTED] + "..."


def _message(answer: object) -> str:
    if isinstance(answer, list):
        return _message(answer[0]) if answer else ""
    if not isinstance(answer, dict):
        return str(answer)
    for name in ("message", "detail", "error", "errors", "msg"):
        value = answer.get(name)
        if value:
            return _message(value)
    return orjson.dumps(answer).decode()
