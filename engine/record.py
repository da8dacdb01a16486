"""One record of every call, however it ends: settled, counted and written.

The lines of a few calls are made together, for code that has just run costs a third of code that has not; they wait in
a bounded queue until a thread writes them. They are made on the loop: a thread that encodes holds the interpreter lock
for milliseconds, and every call waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import structlog

from engine.activation import Activation, Needs
from engine.call import Call
from engine.contracts import Sink
from engine.decision import Decision
from engine.errors import GatewayError, InternalError
from engine.expr.program import ERRORS
from engine.ledger import Ledger
from engine.metrics import Metrics
from engine.policy import Expression
from engine.receive import Receiver

log = structlog.get_logger("interlock")

QUEUE = 100_000
BATCH = 2_000
TOGETHER = 8
"""Calls whose lines are made together."""
LARGE = 64 * 1024
"""Bytes of a body that is not kept until others have ended."""
PAUSE = 0.2
"""Seconds between two batches."""
SWITCHED = 101
CLIENT_GONE = 499
"""Status recorded when the client left before its answer was complete (nginx's convention)."""


class CallRecord(msgspec.Struct, omit_defaults=True):
    """What is written of a call. Times in seconds, cost in nano-dollars; never content, never a key."""

    id: str
    time: float
    route: str
    status: int
    model: str = ""
    group: str = ""
    deployment: str = ""
    provider: str = ""
    key: str = ""
    key_alias: str = ""
    user: str = ""
    team: str = ""
    org: str = ""
    address: str = ""
    revision: int = 0
    stream: bool = False
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cost: int | None = None
    duration: float = 0.0
    upstream: float = 0.0
    first_byte: float = 0.0
    error: str = ""
    error_id: str = ""
    error_source: str = ""
    determining: list[str] = msgspec.field(default_factory=list)
    """The rules that decided."""
    route_reason: str = ""
    rules: msgspec.Raw | None = None
    """What every rule that governs the call said."""
    read: msgspec.Raw | None = None
    """The attributes that were read, content by its hash and size; `now` among them, in nanoseconds."""
    policy: float = 0.0
    """Seconds that deciding took."""


NOTHING_HIDDEN = frozenset[str]()
COLUMNS = {
    "apiKey.id": "key", "apiKey.alias": "key_alias", "apiKey.user": "user", "apiKey.team": "team", "apiKey.org": "org",
    "source.address": "address",
}  # fmt: skip
"""Attributes that a record has columns of its own for; what masks the one masks the other."""


class Recorder:
    """Makes, queues and writes records.

    `monotonic` gives `loop.time()` seconds; `sinks` write what the queue holds.
    """

    def __init__(
        self, ledger: Ledger, metrics: Metrics, receiver: Receiver, monotonic: Callable[[], float],
        sinks: Sequence[Sink] = (),
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._metrics = metrics
        self._receiver = receiver
        self._monotonic = monotonic
        self._sinks = sinks
        self._ended: list[tuple[Call, float]] = []
        self._queue: deque[bytes] = deque()
        self._encode = msgspec.json.Encoder().encode

    @property
    def queued(self) -> int:
        """How many records wait to be written."""
        return len(self._ended) + len(self._queue)

    def recorded(self, call: Call) -> Recording:
        """Settle, count and record a call when the block ends, however it ends."""
        return Recording(self, call)

    def finish(self, call: Call, error: BaseException | None) -> None:
        """Account for a call that has ended; plain, never waiting, never failing the call."""
        if error is not None:
            _explain(call, error)
        self._ledger.close(call)
        duration = self._monotonic() - call.arrived
        self._metrics.observe(call, duration)
        self._ended.append((call, duration))
        if len(self._ended) >= TOGETHER or call.body_size > LARGE:
            self.gather()
        self._receiver.release(call)

    def gather(self) -> None:
        """Make the lines of the calls that have ended; a call of which none can be made is said in the log."""
        ended, self._ended = self._ended, []
        for call, duration in ended:
            try:
                self._enqueue(call, duration)
            except Exception as error:
                self._metrics.records_dropped += 1
                log.exception("record not made", call=call.id, kind=type(error).__name__)

    def _enqueue(self, call: Call, duration: float) -> None:
        if call.snapshot.policies.log.drops and _dropped(call):
            pass
        elif len(self._queue) < QUEUE:
            self._queue.append(self._encode(_record(call, duration)))
        else:
            self._metrics.records_dropped += 1
        if call.decision is not None:
            self._metrics.decided(call.decision.outcomes)
            call.decision.release()

    async def run(self) -> None:
        """Write queued records until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            self.gather()
            # What came while a batch was written waits for the next pause, or a busy gateway would write without one.
            for _ in range(1 + len(self._queue) // BATCH):
                if self._queue:
                    await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write one batch; when a sink fails this raises, and the batch goes back to the head of the queue."""
        lines = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
        try:
            for sink in self._sinks:
                sink.write(lines)
        except BaseException:
            self._queue.extendleft(reversed(lines))
            raise

    def close(self) -> None:
        """Write what is queued and close the sinks; what cannot be written is counted and said."""
        self.gather()
        try:
            while self._queue:
                self.flush()
        except OSError as error:
            self._metrics.records_dropped += len(self._queue)
            log.error("records lost", count=len(self._queue), reason=error.strerror)  # noqa: TRY400 - its place tells nothing
        for sink in self._sinks:
            sink.close()


class Recording:
    """The block within which a call lives."""

    __slots__ = ("_call", "_recorder")

    def __init__(self, recorder: Recorder, call: Call) -> None:
        self._recorder = recorder
        self._call = call

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._recorder.finish(self._call, error)


def _explain(call: Call, error: BaseException) -> None:
    """Say of an error that ended the call what the record will say."""
    if isinstance(error, GatewayError):
        call.error = error
        call.status = error.status
    elif isinstance(error, asyncio.CancelledError | ConnectionError):
        # A tunnel has no other end than that one side leaves.
        call.status = call.status if call.status == SWITCHED else CLIENT_GONE
    else:
        call.error = InternalError(500, "internal_server_error", type(error).__name__)
        call.status = 500


def _record(call: Call, duration: float) -> CallRecord:
    record = CallRecord(call.id, call.time, call.route.operation, call.status, model=call.model, stream=call.stream)
    record.address = call.address
    record.revision = call.snapshot.revision
    record.attempts = call.attempt
    record.duration = duration
    record.upstream = call.upstream_seconds
    if call.first_byte:
        record.first_byte = call.first_byte - call.arrived
    caller, deployment, usage, error = call.caller, call.deployment, call.usage, call.error
    if caller is not None:
        record.key, record.key_alias = caller.key_hash, caller.alias
        record.user, record.team, record.org = caller.user, caller.team, caller.org
    if deployment is not None:
        record.group, record.deployment, record.provider = deployment.name, deployment.id, deployment.provider
    if usage is not None:
        record.input_tokens, record.output_tokens, record.cost = usage.input, usage.output, usage.cost
        record.cached_input_tokens, record.reasoning_tokens = usage.cached_input, usage.reasoning
        record.estimated = usage.estimated
    if call.decision is not None:
        _decided(record, call, call.decision)
    if error is not None:
        record.error, record.error_id, record.error_source = error.type, error.id, error.source.value
    return record


def _dropped(call: Call) -> bool:
    """Tell whether a policy wants no record of a call; one that cannot say so wants it."""
    drops = call.snapshot.policies.log.drops if call.decision is None else call.decision.plan.log.drops
    return any(_holds(drop, call) for drop in drops)


def _holds(expression: Expression, call: Call) -> bool:
    decision = call.decision
    activation = decision.activation if decision is not None else Activation(call, Needs(expression.program.refs))
    try:
        return expression.program.evaluate(activation) is True
    except ERRORS:
        return False


def _decided(record: CallRecord, call: Call, decision: Decision) -> None:
    """Write of a decision what explains it and what replays it."""
    plan = decision.plan
    record.determining = decision.determining
    record.route_reason = call.route_reason
    record.policy = decision.seconds
    record.rules = decision.outcomes_text() if decision.outcomes else plan.quiet
    if plan.shown:
        record.read = decision.read_text(content=False, hidden=NOTHING_HIDDEN)
        return
    hidden = plan.hidden
    if plan.log.mask:
        hidden |= {name for name, when in plan.log.mask if when is not None and _holds(when, call)}
    for name in hidden:
        if name in COLUMNS:
            setattr(record, COLUMNS[name], "")
    record.read = decision.read_text(content=plan.log.content, hidden=hidden)
