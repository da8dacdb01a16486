"""The answer to a request that went on as it came: sent on as it came, too, but for what guardrails leave of it.

It is held only while it is JSON and small, so that its cost can stand in its headers.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from engine.activation import Activation, Needs
from engine.answered import blocked, guard_answer, guard_stream, tell
from engine.call import Call, Usage
from engine.contracts import Arrival, TextGuard, Upstream
from engine.detecting import Blocked
from engine.errors import PolicyError, UpstreamError
from engine.expr.program import ERRORS
from engine.frames import Chunks
from engine.guard import refuse_unguarded
from engine.headers import passed_head
from engine.holdback import Texts
from engine.passages import Passing
from engine.policy import Expression
from engine.receive import named_model
from engine.relay import HELD, UNBUFFERED, answer_id

if TYPE_CHECKING:
    from engine.passing import Passer

log = structlog.get_logger("interlock")

BODILESS = frozenset({204, 304})
NANO = 1_000_000_000


class PassedAnswer:
    """One upstream's answer to a request that went on as it came."""

    __slots__ = ("_call", "_passer", "_passing", "_upstream")

    def __init__(self, call: Call, passer: Passer, passing: Passing, upstream: Upstream) -> None:
        self._call = call
        self._passer = passer
        self._passing = passing
        self._upstream = upstream

    async def relay(self, reply: Arrival) -> None:
        """Send the answer on; sets the call's status, usage and cost. Raises UpstreamError before the first byte only."""
        call, upstream = self._call, self._upstream
        call.status = upstream.status
        kind, length = _told(upstream)
        if call.watched is not None:
            try:
                await call.watched.passed()
            except PolicyError:
                await self._unsent(kind)
                raise
        if call.method == "HEAD" or upstream.status in BODILESS:
            said = b"content-length: %d\r\n" % length if length is not None and call.method == "HEAD" else b""
            self._count(None, None)
            self._passer.ledger.settle(call, call.usage)
            reply.start(upstream.status, self._head() + said, -1)
            reply.end()
        elif kind == "text/event-stream":
            await self._events(reply)
        elif kind == "application/json" or kind.endswith("+json"):
            await self._held(reply, length)
        else:
            refuse_unguarded(call, "an answer that is no JSON")
            await self._stream(reply, None, length)

    async def _unsent(self, kind: str) -> None:
        """Account for an answer that is refused beside its call."""
        answer = await self._upstream.read(HELD) if kind == "application/json" or kind.endswith("+json") else None
        if answer is None:
            self._passer.ledger.abandon(self._call)
            return
        self._count(self._call.route.dialect.usage(answer), answer)
        self._passer.ledger.settle(self._call, self._call.usage)

    async def _events(self, reply: Arrival) -> None:
        """Send a stream of events on: its bytes as they come, or what guardrails leave of its texts."""
        call, watched = self._call, self._call.watched
        guards = watched.streaming() if watched is not None else ()
        if guards and not call.route.spoken:
            refuse_unguarded(call, "a stream in a form that is not known here")
            guards = ()
        if watched is not None and watched.asks and call.route.spoken:
            await self._held_events(reply, guards)
            return
        call.guards = guards
        relay = Texts(call.route.dialect, guards) if guards else Chunks(call.route.dialect)
        await self._stream(reply, relay, None)

    async def _held_events(self, reply: Arrival, guards: tuple[TextGuard, ...]) -> None:
        """Hold a stream until services have seen all that it says."""
        call, relay = self._call, Texts(self._call.route.dialect, guards)
        call.guards = guards
        data = await self._upstream.read(HELD)
        out = relay.feed(data) + relay.end() if data is not None else b""
        tell(call)
        self._count(relay.usage, None)
        self._passer.ledger.settle(call, call.usage)
        if data is None:
            refuse_unguarded(call, "so large an answer")
        if relay.blocked is not None:
            raise blocked(call, relay.blocked)
        await guard_stream(call, out)
        reply.start(self._upstream.status, self._head() + UNBUFFERED, None)
        reply.write(out)
        reply.end()

    async def _held(self, reply: Arrival, length: int | None) -> None:
        answer = await self._upstream.read(HELD)
        if answer is None:
            refuse_unguarded(self._call, "so large an answer")
            await self._stream(reply, None, length)
            return
        self._call.account.answer_id = answer_id(answer)
        self._count(self._call.route.dialect.usage(answer), answer)
        # What was used is on record, and counts in the headers, before the client can have all of the answer.
        self._passer.ledger.settle(self._call, self._call.usage)
        if self._call.watched is not None:
            answer = await guard_answer(self._call, answer)
        reply.send(self._upstream.status, self._head(), answer)

    async def _stream(self, reply: Arrival, relay: Chunks | Texts | None, length: int | None) -> None:
        call = self._call
        self._count(None, None)
        if length == 0:
            self._passer.ledger.settle(call, call.usage)
        reply.start(self._upstream.status, self._head() + (UNBUFFERED if relay is not None else b""), length)
        flow = _Flow(call, self._passer, reply, relay, length)
        try:
            await self._upstream.pump(flow.write, flow.drain)
            await flow.end()
        except Blocked as found:
            assert isinstance(relay, Texts)  # noqa: S101 - nothing else finds
            reply.write(relay.stopped(blocked(call, found).message))
        except UpstreamError as error:
            call.error = error
            if relay is None:
                raise
            reply.write(relay.broken(error))
        finally:
            if relay is not None:
                tell(call)
                self._count(relay.usage, None)
            self._passer.ledger.settle(call, call.usage)
        reply.end()

    def _count(self, usage: Usage | None, answer: bytes | None) -> None:
        """Set what the call used, and what that costs: as configured, else by the model's price."""
        call, passing = self._call, self._passing
        if passing.cost is not None:
            usage = usage or Usage()
            usage.cost = cost_of(passing.cost, call, self._upstream, answer)
        elif usage is not None:
            model = call.model or (named_model(answer) if answer else "")
            price = self._passer.prices.find(model, passing.deployment.provider) if model else None
            usage.cost = price.cost(usage) if price is not None else None
        call.usage = usage

    def _head(self) -> bytes:
        return passed_head(self._call, self._upstream.headers, self._spent(), self._passer.monotonic())

    def _spent(self) -> int:
        caller = self._call.caller
        return self._passer.ledger.spent.of(caller.key_hash) if caller is not None else 0


class _Flow:
    """A body on its way from the upstream's socket to the client's, by callbacks; `rest` is how much of it is still to come."""

    __slots__ = ("_call", "_passer", "_relay", "_reply", "_rest", "_texts")

    def __init__(
        self, call: Call, passer: Passer, reply: Arrival, relay: Chunks | Texts | None, rest: int | None
    ) -> None:
        self._call, self._passer, self._reply, self._relay, self._rest = call, passer, reply, relay, rest
        self._texts = relay if isinstance(relay, Texts) else None

    def write(self, data: bytes) -> bool:
        """Take what comes; False asks to `drain` before the next."""
        call = self._call
        if not call.first_byte:
            call.first_byte = self._passer.monotonic()
        if self._rest is not None:
            self._rest -= len(data)
            if self._rest <= 0:
                # The last byte of a body whose length is known: what it cost is on record before it is out.
                self._passer.ledger.settle(call, call.usage)
        willing = self._reply.write(self._relay.feed(data) if self._relay is not None else data)
        return willing and not (self._texts is not None and self._texts.blocked is not None)

    async def drain(self) -> None:
        """Wait for the client; raises Blocked where nothing more may leave."""
        if self._texts is not None and self._texts.blocked is not None:
            raise self._texts.blocked
        await self._reply.drain()

    async def end(self) -> None:
        """Send what the relay still holds."""
        if self._relay is not None:
            self._reply.write(self._relay.end())
            await self.drain()


def cost_of(cost: Expression, call: Call, upstream: Upstream | None, answer: bytes | None) -> int | None:
    """Return what a request costs in nano-dollars, by an expression in USD; None, and a warning, where it has no value."""
    activation = Activation(call, Needs(cost.program.refs))
    if upstream is not None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in upstream.headers}
        activation["response"] = {"code": upstream.status, "headers": headers, "body": _json(answer)}
    try:
        value = cost.program.evaluate(activation)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            log.warning("cost not computed", call=call.id, reason=f"not an amount of USD ({cost.place})")
            return None
        return int((Decimal(repr(value)) * NANO).to_integral_value(ROUND_HALF_UP))
    except ERRORS as error:
        log.warning("cost not computed", call=call.id, reason=cost.explained(error))
        return None
    finally:
        activation.clear()
        del activation.call


def _told(upstream: Upstream) -> tuple[str, int | None]:
    """Return an answer's media type and length; None where it does not say."""
    kind, length = "", None
    for name, value in upstream.headers:
        if name == b"content-type":
            kind = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    return kind, length


def _json(answer: bytes | None) -> Any:
    try:
        return msgspec.json.decode(answer) if answer else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
