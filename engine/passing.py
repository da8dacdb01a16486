"""Sends a request on as it came, and its answer back as it came: bodies stream both ways, only usage is looked for.

A body is held only when a policy of its caller reads it, or when it is here already.
"""

from __future__ import annotations

import structlog

from engine import body
from engine.amounts import Fixed, Wanted, passed
from engine.call import Call
from engine.contracts import Arrival, Clock, Http, HttpRequest, Random, Refused, Tunnel, Upstream
from engine.counting import counted
from engine.errors import ClientError, InternalError, UpstreamError, invalid_request
from engine.headers import passed_head, switched_head
from engine.ledger import Ledger
from engine.passages import Passing, offered
from engine.passed import PassedAnswer, cost_of
from engine.pricing import Prices
from engine.refusals import OF_DEPLOYMENTS, refusal
from engine.routing import order

log = structlog.get_logger("interlock")


class Passer:
    """Opens the upstreams of passages."""

    def __init__(self, http: Http, ledger: Ledger, prices: Prices, random: Random, clock: Clock) -> None:
        self.http = http
        self.random = random
        self.ledger = ledger
        self.prices = prices
        self.clock = clock
        self.monotonic = clock.monotonic

    def forward(self, call: Call, passing: Passing, arrival: Arrival, held: bytes | None) -> Crossing:
        """Send a request on, and close its upstream behind the block; `held` is its body if that is here."""
        return Crossing(self, call, passing, arrival, held)

    def converse(self, call: Call, arrival: Arrival) -> Conversation:
        """Offer WebSocket to a deployment of a routed call, and close it behind the block."""
        return Conversation(self, call, arrival)


class Conversation:
    """The block within which a WebSocket to a model is open: the first deployment that can be reached is offered it."""

    __slots__ = ("_arrival", "_call", "_passer", "_tunnel")

    def __init__(self, passer: Passer, call: Call, arrival: Arrival) -> None:
        self._passer = passer
        self._call = call
        self._arrival = arrival
        self._tunnel: Tunnel | None = None

    async def __aenter__(self) -> PassedTunnel:
        call, passer = self._call, self._passer
        assert call.group is not None  # noqa: S101 - route comes before converse
        if not self._arrival.upgrades:
            raise ClientError(
                426, "upgrade_required", f"`{call.route.path}` is a WebSocket; offer `upgrade: websocket`"
            )
        last: UpstreamError | None = None
        soonest: Refused | None = None
        tries = 1 + call.snapshot.settings.retries
        for deployment in order(call.candidates or call.group.deployments, passer.random):
            request = deployment.endpoint.offer(call, _beside_model(call.source.target))
            if request is None:
                continue
            call.attempt += 1
            before, call.deployment = call.deployment, deployment
            soonest = await passer.ledger.reserve(call, deployment)
            if soonest is not None:
                call.attempt, call.deployment = call.attempt - 1, before
                if soonest.claim.counter.subject.scope in OF_DEPLOYMENTS:
                    continue
                break
            request.head += offered(call)
            request.begun = call.account.begun
            try:
                self._tunnel = await passer.http.tunnel(request)
            except InternalError:
                passer.ledger.release(call, recorded=False)
                raise
            except UpstreamError as error:
                passer.ledger.release(call)
                last, tries = error, tries - 1
                if not tries:
                    break
            else:
                return PassedTunnel(call, passer, self._tunnel)
        if soonest is not None:
            raise refusal(soonest, call, passer.clock.time())
        raise last or invalid_request(f"no deployment of `{call.model}` speaks in real time", "model")

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._tunnel is not None:
            self._tunnel.close()


class Crossing:
    """The block within which a request is on its way and its answer open."""

    __slots__ = ("_arrival", "_call", "_held", "_passer", "_passing", "_tunnel", "_upstream")

    def __init__(self, passer: Passer, call: Call, passing: Passing, arrival: Arrival, held: bytes | None) -> None:
        self._passer = passer
        self._call = call
        self._passing = passing
        self._arrival = arrival
        self._held = held
        self._upstream: Upstream | None = None
        self._tunnel: Tunnel | None = None

    async def __aenter__(self) -> PassedAnswer | PassedTunnel:
        call, passer, passing = self._call, self._passer, self._passing
        call.attempt += 1
        call.deployment = passing.deployment
        await self._hold()
        started = passer.monotonic()
        try:
            request = passing.request(call)
            if self._arrival.upgrades:
                request.head += offered(call)
                self._tunnel = await passer.http.tunnel(request)
                return PassedTunnel(call, passer, self._tunnel)
            self._upstream = await passer.http.send(_with_body(call, request, self._arrival, self._held))
            return PassedAnswer(call, passer, passing, self._upstream)
        except UpstreamError as error:
            if not error.sent:
                passer.ledger.release(call)
            raise
        finally:
            call.upstream_seconds += passer.monotonic() - started

    async def _hold(self) -> None:
        """Hold what a request may use that goes on as it came; raises GatewayError where that is too much."""
        call, passer, passing = self._call, self._passer, self._passing
        every = counted(call, passer.ledger.customers).beside(passing.deployment.counters)
        need: Wanted | None = None
        if every.measured and passing.cost is not None:
            # What the answer decides is not known before it is there: such a call is admitted, and settles what it costs.
            asks = any(ref[0] == "response" for ref in passing.cost.program.refs)
            need = Fixed(0 if asks else cost_of(passing.cost, call, None, None) or 0)
            need.unsure = asks
        elif every.measured:
            price = passer.prices.find(call.model, passing.deployment.provider) if call.model else None
            need = passed(call, price, self._held, passer.ledger.learned)
        refused = await passer.ledger.hold(call, every, need)
        if refused is not None:
            raise refusal(refused, call, passer.clock.time())

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._upstream is not None:
            self._upstream.close()
        if self._tunnel is not None:
            self._tunnel.close()
        if self._call.watched is not None:
            await self._call.watched.close(ended=error is None)


class PassedTunnel:
    """A connection on which WebSocket was offered to an upstream."""

    __slots__ = ("_call", "_passer", "_tunnel")

    def __init__(self, call: Call, passer: Passer, tunnel: Tunnel) -> None:
        self._call = call
        self._passer = passer
        self._tunnel = tunnel

    async def relay(self, reply: Arrival) -> None:
        """Carry bytes both ways until either side ends; an offer that was refused is answered as the upstream did."""
        call, tunnel = self._call, self._tunnel
        call.status = tunnel.status
        if tunnel.status != 101:
            reply.send(tunnel.status, passed_head(call, tunnel.headers, 0, self._passer.monotonic()), tunnel.body)
            return
        await reply.join(tunnel, switched_head(call, tunnel.headers))


def _with_body(call: Call, request: HttpRequest, arrival: Arrival, held: bytes | None) -> HttpRequest:
    """Add what the body is: the members as policies left them, the bytes that are here, or what is still on its way."""
    guarded = call.watched is not None and call.watched.changed
    if guarded or (call.decision is not None and call.decision.edits and call.legible):
        request.body = body.pieces(call.members)
    elif held is not None:
        request.body = (held,) if held else ()
        request.bodiless = not held and call.method not in ("POST", "PUT", "PATCH")
    else:
        request.upload = arrival
    return request


def _beside_model(target: str) -> str:
    """Return what a target asks beside the model, less a key."""
    query = target.partition("?")[2]
    return "&".join(
        one for one in query.split("&") if one and one.partition("=")[0] not in ("model", "key", "deployment")
    )
