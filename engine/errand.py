"""Calls that the gateway makes itself while it carries another: held against the same key, settled and recorded like any.

They are the operator's, who has written down what is asked: rules on who may call which model, and guardrails, do not judge them.
"""

from __future__ import annotations

import itertools
import secrets

from engine import body
from engine.call import Call, Route
from engine.contracts import Clock, Dialect
from engine.errors import UpstreamError
from engine.forward import Forwarder
from engine.receive import read_members
from engine.record import Recorder
from engine.routing import route

PATH = "/chat/completions"


class Errands:
    """Makes chat completions on behalf of other calls."""

    def __init__(self, forwarder: Forwarder, recorder: Recorder, dialect: Dialect, clock: Clock) -> None:
        self._forwarder, self._recorder, self._clock = forwarder, recorder, clock
        self._route = Route(PATH, "chat", dialect)
        self._ids = map(f"{secrets.token_hex(6)}-e{{:07x}}".format, itertools.count(1))

    async def complete(self, outer: Call, asked: bytes) -> bytes:
        """Make a completion for whoever made `outer`; return the answer's body. Raises GatewayError."""
        call = Call(next(self._ids), self._route, outer.snapshot, outer.source)
        call.caller, call.address = outer.caller, outer.address
        call.time, call.arrived = self._clock.time(), self._clock.monotonic()
        kept = _Kept()
        with self._recorder.recorded(call):
            call.members = body.read(asked)
            read_members(call)
            route(call)
            async with self._forwarder.forward(call) as answer:
                await answer.relay(kept, ())
        if kept.body is None:
            raise UpstreamError(502, "upstream_error", "the answer is too large to be read")
        return kept.body


class _Kept:
    """A way back that ends here."""

    def __init__(self) -> None:
        self.started = False
        self.body: bytes | None = None

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Keep a whole answer."""
        del status, headers
        self.started, self.body = True, body

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Begin an answer that is too large to be whole: nobody reads it."""
        del status, headers, length
        self.started = True

    def write(self, data: bytes) -> bool:
        """Let go of a piece."""
        del data
        return True

    async def drain(self) -> None:
        """Take anything at once."""

    def end(self) -> None:
        """Learn that the answer is whole."""
