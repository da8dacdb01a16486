"""What can go wrong with a call, by whose fault it is.

An error knows its source, status and wire type; how it looks on the wire is the dialect's affair
(`Dialect.error`), which headers go with it is `api/errors.py`'s. Messages are lower case, without a full stop,
put the user's own words in backticks and say what to do next.
"""

from __future__ import annotations

import enum
import secrets


class Source(enum.StrEnum):
    """Whose fault an error is."""

    CLIENT = "client"
    POLICY = "policy"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class GatewayError(Exception):
    """A call cannot go on.

    `type` is the wire's error type, `code` a name that clients look for (empty: the status), `param` the offending
    request member, `retry_after` seconds until a new try makes sense, `headers` go with the answer. `id` joins the client's answer and the log line.
    """

    def __init__(self, status: int, type: str, message: str, *, source: Source, param: str | None = None) -> None:  # noqa: A002 - the wire's own word
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.source = source
        self.param = param
        self.code = ""
        self.retryable = False
        self.retry_after: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.id = secrets.token_hex(4)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {self.type} source={self.source} id={self.id}>"


class ClientError(GatewayError):
    """The request is at fault."""

    def __init__(self, status: int, type: str, message: str, param: str | None = None) -> None:  # noqa: A002 - the wire's own word
        super().__init__(status, type, message, source=Source.CLIENT, param=param)


class PolicyError(GatewayError):
    """A rule says no."""

    def __init__(self, status: int, type: str, message: str, param: str | None = None) -> None:  # noqa: A002 - the wire's own word
        super().__init__(status, type, message, source=Source.POLICY, param=param)


class UpstreamError(GatewayError):
    """The upstream refused, broke off or cannot be reached.

    `sent` tells whether any byte of the request may have reached it. A refusal keeps the upstream's own `body`
    and `content_type`, so that a caller of the same dialect sees exactly what the provider said.
    """

    def __init__(self, status: int, type: str, message: str, *, retryable: bool = True, sent: bool = True) -> None:  # noqa: A002 - the wire's own word
        super().__init__(status, type, message, source=Source.UPSTREAM)
        self.retryable = retryable
        self.sent = sent
        self.body = b""
        self.content_type = b""


class InternalError(GatewayError):
    """The gateway is at fault, or too busy."""

    def __init__(self, status: int, type: str, message: str) -> None:  # noqa: A002 - the wire's own word
        super().__init__(status, type, message, source=Source.GATEWAY)


def invalid_request(message: str, param: str | None = None) -> ClientError:
    """Make the 400 of a request that cannot be understood."""
    return ClientError(400, "invalid_request_error", message, param)
