"""From a routed call to an upstream that answers: per attempt pick a deployment, reserve, send.

Another deployment is tried only while not one byte of an answer has gone to the client, and never the same one twice:
whether a request was delivered cannot be known once it has been sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.call import Call
from engine.compose import compose
from engine.contracts import Dialect, Random, Upstream
from engine.errors import InternalError, UpstreamError
from engine.foreign import classify
from engine.ledger import Ledger
from engine.relay import Answer
from engine.routing import order
from engine.snapshot import Deployment

ERROR_BODY = 1024 * 1024
"""Bytes of an upstream's error that are kept."""
RETRYABLE = frozenset({401, 403, 408, 409, 429})
"""Refusals below 500 that another deployment may not share."""


class Forwarder:
    """Opens upstream answers for calls."""

    def __init__(self, ledger: Ledger, random: Random, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.ledger = ledger
        self.random = random
        self.monotonic = monotonic

    def forward(self, call: Call) -> Forwarding:
        """Open the first good answer for a call, and close it behind the block."""
        return Forwarding(self, call)


class Forwarding:
    """The block within which an upstream's answer is open."""

    __slots__ = ("_call", "_forwarder", "_upstream")

    def __init__(self, forwarder: Forwarder, call: Call) -> None:
        self._forwarder = forwarder
        self._call = call
        self._upstream: Upstream | None = None

    async def __aenter__(self) -> Answer:
        call, forwarder = self._call, self._forwarder
        assert call.group is not None  # noqa: S101 - route comes before forward
        last: UpstreamError | None = None
        for deployment in order(
            call.candidates or call.group.deployments, forwarder.random, 1 + call.snapshot.settings.retries
        ):
            try:
                self._upstream = await self._attempt(deployment)
            except UpstreamError as error:
                last = error
                if not error.retryable:
                    break
            else:
                return Answer(call, deployment, self._upstream, forwarder.ledger, forwarder.monotonic)
        raise last or InternalError(429, "no_healthy_deployment", f"no deployment of `{call.model}` can take this call")

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._upstream is not None:
            self._upstream.close()

    async def _attempt(self, deployment: Deployment) -> Upstream:
        """Reserve and send once; raises UpstreamError for a refusal, whose own words it keeps."""
        call, forwarder = self._call, self._forwarder
        call.attempt += 1
        call.deployment = deployment
        call.hold = await forwarder.ledger.reserve(call)
        started = forwarder.monotonic()
        try:
            upstream = await deployment.endpoint.send(call, compose(call, deployment))
            if upstream.status >= 400:
                raise await _refusal(upstream, deployment, call.route.dialect)
        except UpstreamError as error:
            if error.sent:
                forwarder.ledger.settle(call, call.hold, None)
            else:
                forwarder.ledger.release(call.hold)
            raise
        finally:
            call.upstream_seconds += forwarder.monotonic() - started
        if upstream.status >= 300:
            upstream.close()
            raise UpstreamError(
                502, "upstream_error", f"the upstream answered {upstream.status}, which is not an answer"
            )
        return upstream


async def _refusal(upstream: Upstream, deployment: Deployment, dialect: Dialect) -> UpstreamError:
    """Make the error of an answer: its own body where that is in the caller's dialect, else what it says."""
    try:
        text = await upstream.read(ERROR_BODY) or b""
    finally:
        upstream.close()
    error = UpstreamError(upstream.status, "upstream_error", f"`{deployment.provider}` refused the call")
    error.retryable = upstream.status >= 500 or upstream.status in RETRYABLE
    for secret in deployment.endpoint.secrets:
        text = text.replace(secret, b"[REDACTED]")
    for name, value in upstream.headers:
        if name == b"content-type":
            error.content_type = value
        elif name == b"retry-after" and value.isdigit():
            error.retry_after = int(value)
    if dialect.is_error(text):
        error.body = text
    else:
        classify(error, text)
    return error
