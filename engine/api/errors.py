"""The one place that turns errors into answers: status, headers and, by the caller's dialect, body."""

from __future__ import annotations

from engine import __version__
from engine.contracts import Dialect
from engine.errors import GatewayError, UpstreamError
from engine.headers import line

_JSON = b"content-type: application/json\r\n"


def render(error: GatewayError, dialect: Dialect, call_id: str) -> tuple[int, bytes, bytes]:
    """Return status, header lines and body of an error's answer.

    A provider's refusal that already is in the caller's dialect goes out as it came.
    """
    head = head_of(error, call_id)
    if isinstance(error, UpstreamError) and error.body:
        kind = error.content_type or b"application/json"
        return error.status, b"content-type: %b\r\n%b" % (kind, head), error.body
    return error.status, _JSON + head, dialect.error(error)


def head_of(error: GatewayError, call_id: str) -> bytes:
    """Write the header lines that every error's answer has."""
    head = line("x-litellm-version", __version__) + line("x-interlock-error-id", error.id)
    if call_id:
        head += line("x-litellm-call-id", call_id)
    if error.retry_after is not None:
        head += line("retry-after", str(error.retry_after))
    for name, value in error.headers:
        head += line(name, value)
    if error.status == 401:
        head += b'www-authenticate: Bearer realm="interlock"\r\n'
    return head
