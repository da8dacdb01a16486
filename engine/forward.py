"""From a routed call to an upstream that answers: per attempt pick a deployment, reserve, send.

Another deployment is tried only while not one byte of an answer has gone to the client, and never the same one twice:
whether a request was delivered cannot be known once it has been sent.
"""

from __future__ import annotations

from engine.call import Call
from engine.check import check
from engine.compose import compose
from engine.contracts import Clock, Dialect, Random, Refused, Upstream
from engine.errors import ClientError, InternalError, UpstreamError
from engine.foreign import classify
from engine.guard import guard
from engine.ledger import Ledger
from engine.refusals import OF_DEPLOYMENTS, refusal
from engine.relay import Answer
from engine.routing import order
from engine.snapshot import Deployment
from engine.windows import NEVER

ERROR_BODY = 1024 * 1024
"""Bytes of an upstream's error that are kept."""
RETRYABLE = frozenset({401, 403, 408, 409, 429})
"""Refusals below 500 that another deployment may not share."""


class Forwarder:
    """Opens upstream answers for calls."""

    def __init__(self, ledger: Ledger, random: Random, clock: Clock) -> None:
        self.ledger = ledger
        self.random = random
        self.monotonic = clock.monotonic
        self.wall = clock.time

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
        try:
            return await self._answer()
        except BaseException:
            await self._close(ended=False)
            raise

    async def _answer(self) -> Answer:
        call = self._call
        refused = await self._open()
        if refused is not None and refused.claim.counter.fallback:
            await degrade(call, refused)
            refused = await self._open()
        if refused is not None:
            raise refusal(refused, call, self._forwarder.wall())
        assert call.deployment is not None  # noqa: S101 - what is open has one
        assert self._upstream is not None  # noqa: S101 - it is open
        return Answer(call, call.deployment, self._upstream, self._forwarder.ledger, self._forwarder.monotonic)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._upstream is not None:
            self._upstream.close()
        await self._close(ended=error is None)

    async def _close(self, *, ended: bool) -> None:
        """Be done with the services that are asked beside the call."""
        if self._call.watched is not None:
            await self._call.watched.close(ended=ended)

    async def _open(self) -> Refused | None:
        """Open the answer of the first deployment that may take the call and does; or say which limit refuses it.

        A deployment whose own limits refuse is passed over. Raises the last UpstreamError when all that were tried failed.
        """
        call, forwarder = self._call, self._forwarder
        assert call.group is not None  # noqa: S101 - route comes before forward
        last: UpstreamError | None = None
        soonest: Refused | None = None
        tries = 1 + call.snapshot.settings.retries
        for deployment in order(call.candidates or call.group.deployments, forwarder.random):
            call.attempt += 1
            before, call.deployment = call.deployment, deployment
            refused = await forwarder.ledger.reserve(call, deployment)
            if refused is not None:
                call.attempt, call.deployment = call.attempt - 1, before
                if refused.claim.counter.subject.scope not in OF_DEPLOYMENTS:
                    return refused
                soonest = min(soonest or refused, refused, key=_until)
                continue
            try:
                self._upstream = await self._attempt(deployment)
            except UpstreamError as error:
                last, tries = error, tries - 1
                if not error.retryable or not tries:
                    break
            else:
                return None
        if last is not None:
            raise last
        if soonest is None:
            raise InternalError(429, "no_healthy_deployment", f"no deployment of `{call.model}` can take this call")
        return soonest

    async def _attempt(self, deployment: Deployment) -> Upstream:
        """Send once what is held for; raises UpstreamError for a refusal, whose own words it keeps."""
        call, forwarder = self._call, self._forwarder
        started = forwarder.monotonic()
        try:
            upstream = await deployment.endpoint.send(call, compose(call, deployment))
            if upstream.status >= 300:
                raise await _refusal(upstream, deployment, call.route.dialect)
        except UpstreamError as error:
            if error.sent:
                forwarder.ledger.settle(call, None, final=False)
            else:
                forwarder.ledger.release(call)
            raise
        except InternalError:
            # Its hold could not be put on record, so nothing was sent.
            forwarder.ledger.release(call, recorded=False)
            raise
        except ClientError:
            # What cannot be written for a deployment was not sent to it.
            forwarder.ledger.release(call)
            raise
        finally:
            call.upstream_seconds += forwarder.monotonic() - started
        return upstream


async def degrade(call: Call, refused: Refused) -> None:
    """Turn a call to the model that answers once a budget is used up; what governs calls to that decides about it anew."""
    counter, group = refused.claim.counter, call.snapshot.find(refused.claim.counter.fallback)
    if group is None or group is call.group:
        return
    call.route_reason = f"{counter.name} is used up: {call.model} -> {counter.fallback}"
    call.model, call.group, call.candidates = counter.fallback, group, ()
    await check(call)
    await guard(call)


def _until(refused: Refused) -> int:
    return NEVER if refused.reset_at is None else refused.reset_at


async def _refusal(upstream: Upstream, deployment: Deployment, dialect: Dialect) -> UpstreamError:
    """Make the error of an answer: its own body where that is in the caller's dialect, else what it says."""
    if upstream.status < 400:
        upstream.close()
        return UpstreamError(502, "upstream_error", f"the upstream answered {upstream.status}, which is not an answer")
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
