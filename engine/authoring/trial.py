"""One request carried along the path that serves calls, to an upstream that is none."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from structlog.testing import capture_logs

from engine import body
from engine.api.inference import Inference
from engine.authoring.stage import Stage
from engine.authoring.upstream import Canned, StagedHttp
from engine.call import Call, Caller, Headers
from engine.claims import NANO, UNLIMITED
from engine.contracts import Claim, Counters, Hold, HoldId, Tunnel, Unit
from engine.decision import Decision
from engine.directory import Directory
from engine.errand import Errands
from engine.errors import GatewayError
from engine.forward import Forwarder
from engine.gateway import Gateway
from engine.governing import PolicySet
from engine.identity import Identity
from engine.ledger import Ledger
from engine.limiting import made
from engine.metrics import Metrics
from engine.passing import Passer
from engine.policy import Policy
from engine.receive import Receiver, read_members
from engine.record import Recorder
from engine.routing import route

ADDRESS = "127.0.0.1"
"""Where trials come from."""


class Before(NamedTuple):
    """What was used of a policy's counters before a trial: of those with these values, in their unit, money in USD."""

    policy: str
    values: tuple[str, ...]
    used: float


class Asked(NamedTuple):
    """What a trial asks. `clock` is in Unix seconds; `call_id` decides the draws of weights; `caller` is one made up."""

    target: str
    headers: Mapping[str, str]
    body: bytes
    clock: float
    call_id: str = "trial"
    upstream: Canned = Canned()
    caller: Caller | None = None
    method: str = "POST"
    before: tuple[Before, ...] = ()
    address: str = ADDRESS


class Trial(NamedTuple):
    """What came of it. `call` is None where no inference route answers; `sent` is None where nothing went upstream."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    call: Call | None
    error: GatewayError | None
    sent: Mapping[str, Any] | None
    before: Call | None
    """The call as policies find it: received and routed, nothing decided; None where it does not come so far."""

    @property
    def decision(self) -> Decision | None:
        """What policies decided, if they were asked."""
        return self.call.decision if self.call is not None else None

    @property
    def refused(self) -> bool:
        """Whether the gateway refused the call, so that no upstream saw it."""
        return self.sent is None

    @property
    def message(self) -> str:
        """What the caller is told that is refused."""
        return self.error.message if self.error is not None else ""


class Fixed:
    """A clock that stands still, but for how long things take."""

    def __init__(self, instant: float) -> None:
        self._instant = instant

    def time(self) -> float:
        """Return the instant."""
        return self._instant

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


class Client:
    """The source of a request and the way back, without a socket."""

    def __init__(self, asked: Asked) -> None:
        self.target = asked.target
        self.method = asked.method
        self.address = asked.address
        self.port = 0
        self.headers = Headers()
        self.headers.update({name.lower(): value for name, value in asked.headers.items()})
        self._body = asked.body
        self.started = False
        self.status = 0
        self.head = b""
        self.answer = b""

    def at_hand(self) -> bytes:
        """Return the body."""
        return self._body

    async def read(self, limit: int) -> bytes:
        """Return the body."""
        del limit
        return self._body

    def here(self) -> bytes:
        """Return the body."""
        return self._body

    whole = read
    length = 0
    upgrades = False

    def flow(self, write: Callable[[bytes], bool], end: Callable[[], None], broken: Callable[[], None]) -> None:
        """Hand on the body, all of it at once."""
        del broken
        write(self._body)
        end()

    def resume(self) -> None:
        """Do nothing: all has come."""

    def stop(self) -> None:
        """Do nothing: all has come."""

    async def join(self, tunnel: Tunnel, headers: bytes) -> None:
        """Refuse: no trial offers WebSocket."""
        raise NotImplementedError(tunnel, headers)

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Take a whole answer."""
        self.start(status, headers)
        self.answer = body

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Take the head of an answer."""
        del length
        self.started, self.status, self.head = True, status, headers

    def write(self, data: bytes) -> bool:
        """Take a piece of an answer."""
        self.answer += data
        return True

    async def drain(self) -> None:
        """Take anything at once."""

    def end(self) -> None:
        """Learn that the answer is whole."""

    def cut(self) -> None:
        """Learn that the answer will never be whole."""


class Witness(Recorder):
    """Keeps the calls that it records."""

    def __init__(self, ledger: Ledger, receiver: Receiver) -> None:
        super().__init__(ledger, Metrics(), receiver, time.monotonic)
        self.seen: list[Call] = []

    def finish(self, call: Call, error: BaseException | None) -> None:
        """Record a call."""
        self.seen.append(call)
        super().finish(call, error)


def tried(stage: Stage, asked: Asked) -> Trial:
    """Carry one request through the gateway; each time as if it were the first of its kind."""
    fresh = copy.copy(stage.snapshot)
    fresh.policies = PolicySet(stage.snapshot.policies.policies, stage.snapshot.policies.index)
    stage.scene.begin(asked.upstream)
    clock, receiver = Fixed(asked.clock), Receiver()
    ledger = Ledger(stage.registry.counters("memory", clock), clock)
    callers = (*stage.callers, asked.caller) if asked.caller is not None else stage.callers
    identity = Identity(Directory(stage.spec.general.master_key, callers), clock.time)
    asyncio.run(_use(ledger.counters, fresh.policies.policies, asked.before))
    ledger.callers = identity.known
    fresh.policies.limits.view = ledger.counters.view
    witness = Witness(ledger, receiver)
    passer = Passer(StagedHttp(stage.scene), ledger, stage.prices, _First(), clock)
    forwarder = Forwarder(ledger, _First(), clock)
    errands = Errands(forwarder, witness, stage.registry.dialect("openai"), clock)
    gateway = Gateway(identity, receiver, forwarder, witness, passer, errands)
    inference = Inference(gateway, stage.registry, lambda: fresh, clock, iter((asked.call_id,)))
    client = Client(asked)
    found = inference.match(asked.method, asked.target)
    if found is None:
        return Trial(404, {}, b"", None, None, None, None)
    with capture_logs():
        asyncio.run(inference.serve(client, *found))
    call, sent = witness.seen[-1] if witness.seen else None, stage.scene.sent
    before = asyncio.run(_before(call, identity, asked)) if call is not None else None
    error = call.error if call is not None else None
    read = _members(sent) if sent is not None else None
    return Trial(client.status, _headers(client.head), client.answer, call, error, read, before)


def _members(sent: bytes) -> Mapping[str, Any]:
    """Read what was sent upstream; what is no JSON object has no members."""
    try:
        found = orjson.loads(sent)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


async def _use(counters: Counters, policies: Sequence[Policy], before: Sequence[Before]) -> None:
    """Use of counters what a trial says was used before."""
    named = {policy.head.name: policy for policy in policies}
    for at, (policy, values, used) in enumerate(before):
        for limit in named[policy].limits():
            counter = made(named[policy], limit, values)
            amount = round(used * NANO) if counter.unit is Unit.USD else int(used)
            counter.limit = UNLIMITED
            hold = await counters.reserve(HoldId(f"before-{at}", 0), [Claim(counter, amount)], ())
            assert isinstance(hold, Hold)  # noqa: S101 - nothing is beyond what is unlimited
            if counter.unit is not Unit.PARALLEL:
                counters.settle(hold, {})


class _First:
    """Chance that always draws the first of what has any weight."""

    def random(self) -> float:
        return 0.0


async def _before(call: Call, identity: Identity, asked: Asked) -> Call | None:
    """Repeat the steps before policies are asked."""
    twin = Call(call.id, call.route, call.snapshot, Client(asked))
    twin.path_model, twin.address, twin.time, twin.body_size = call.path_model, call.address, call.time, len(asked.body)
    try:
        if call.route.passes:
            twin.method, twin.model = call.method, call.model
            twin.caller, twin.members = call.caller, call.members
            return twin
        await identity.identify(twin)
        twin.members = body.read(asked.body)
        read_members(twin)
        route(twin)
    except GatewayError:
        return None
    return twin


def _headers(head: bytes) -> dict[str, str]:
    """Read header lines; one that came twice holds both values."""
    found: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
