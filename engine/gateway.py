"""The request path. Read `handle` top to bottom and you know the product."""

from __future__ import annotations

from engine.call import Call
from engine.check import check, check_passed, judged
from engine.contracts import Arrival, Reply
from engine.errand import Errands
from engine.forward import Forwarder
from engine.guard import guard, guard_passed, refuse_unguarded
from engine.identity import Identity
from engine.passages import Passing, cross
from engine.passing import Passer
from engine.receive import Receiver
from engine.record import Recorder
from engine.routing import route


class Gateway:
    """Carries calls, over the parts it is given."""

    def __init__(
        self,
        identity: Identity,
        receiver: Receiver,
        forwarder: Forwarder,
        recorder: Recorder,
        passer: Passer,
        errands: Errands,
    ) -> None:
        self.identity = identity
        self.receiver = receiver
        self.forwarder = forwarder
        self.recorder = recorder
        self.passer = passer
        self.errands = errands

    async def handle(self, call: Call, reply: Reply) -> None:
        """Carry one call from arrival to its last byte; raises GatewayError while nothing has been sent."""
        call.errands = self.errands
        with self.recorder.recorded(call):  # settle + record, plain functions, however it ends
            await self.identity.identify(call)  # key hash -> Caller
            await self.receiver.receive(call)  # body -> members; never before the caller is known
            route(call)  # model name -> ModelGroup
            await check(call)  # access rules, tag routing, transforms
            await guard(call)  # what must not pass in what is asked
            async with self.forwarder.forward(call) as answer:  # per attempt: pick a deployment, reserve, send
                await answer.relay(reply, call.guards)  # bytes out; back-pressure and disconnect surface here

    async def converse(self, call: Call, arrival: Arrival) -> None:
        """Carry one WebSocket to a model, from its offer until either side ends it; raises GatewayError before it is granted."""
        with self.recorder.recorded(call):
            await self.identity.identify_passed(call, "")
            route(call)
            await check(call)
            refuse_unguarded(call, "a realtime conversation")
            async with self.passer.converse(call, arrival) as tunnel:
                await tunnel.relay(arrival)

    async def pass_through(self, call: Call, passing: Passing, arrival: Arrival) -> None:
        """Carry one request that goes on as it comes; raises GatewayError while nothing has been sent."""
        call.errands = self.errands
        with self.recorder.recorded(call):
            cross(call, passing)  # path and method are what the passage takes
            if passing.auth:
                await self.identity.identify_passed(call, passing.key_header)
            held = await self.receiver.look(call, arrival, judged=judged(call))
            await check_passed(call, passing)  # whom it is for, rules, transforms
            await guard_passed(call, upgrades=arrival.upgrades)
            async with self.passer.forward(call, passing, arrival, held) as answer:
                await answer.relay(arrival)  # as it came; back-pressure and disconnect surface here
