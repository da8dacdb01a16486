"""From an upstream's answer to the client: held and counted when small, streamed when asked for or large.

Bytes reach the client as they came. A stream runs by callbacks: the upstream's socket feeds a relay, whose output goes
straight to the client's socket; the call's own task only waits for the end and for a slow client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from engine.amounts import WRITES
from engine.answered import blocked, guard_answer, guard_stream, tell
from engine.call import Call, Usage
from engine.compose import injects
from engine.contracts import Dialect, Reply, TextGuard, Upstream
from engine.detecting import Blocked
from engine.errors import GatewayError, PolicyError, UpstreamError
from engine.frames import Frames, Relay
from engine.guard import refuse_unguarded
from engine.headers import answer_head
from engine.holdback import Texts
from engine.ledger import Ledger
from engine.metering import Estimated, Metered
from engine.snapshot import Deployment

HELD = 8 * 1024 * 1024
"""Bytes of an answer that are held to be counted before its headers go out."""
TAIL = 64 * 1024
"""Bytes kept of the end of a larger answer, where its usage stands."""
NAMED = 512
"""Bytes at the beginning of an answer among which its id is looked for."""
UNBUFFERED = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
"""What keeps proxies on the way to a client from holding a stream up."""
_ID = re.compile(rb'"id"\s*:\s*"([!#-\[\]-~]{1,128})"')


class Answer:
    """One upstream's answer to one call."""

    __slots__ = ("_deployment", "_ledger", "_upstream", "call", "monotonic")

    def __init__(
        self, call: Call, deployment: Deployment, upstream: Upstream, ledger: Ledger, monotonic: Callable[[], float]
    ) -> None:
        self.call = call
        self._deployment = deployment
        self._upstream = upstream
        self._ledger = ledger
        self.monotonic = monotonic

    async def relay(self, reply: Reply, guards: tuple[TextGuard, ...]) -> None:
        """Send the answer on; sets the call's status, usage and cost. Raises UpstreamError before the first byte only."""
        self.call.status = self._upstream.status
        if self.call.watched is not None:
            try:
                await self.call.watched.passed()
            except PolicyError:
                await self._unsent()
                raise
        if self.call.stream and _is_stream(self._upstream):
            asks = self.call.watched is not None and self.call.watched.asks
            await (self._held_stream(reply, guards) if asks else self._stream(reply, self._relay(guards)))
        elif self.call.route.media and not _is_text(self._upstream):
            refuse_unguarded(self.call, "an answer that is no text")
            await self._stream(reply, self._relay(guards) if _is_stream(self._upstream) else Binary())
        else:
            await self._whole(reply)

    async def _unsent(self) -> None:
        """Account for an answer that is refused beside its call: a whole one by what it reports, a stream as if its client had left."""
        call = self.call
        answer = await self._upstream.read(HELD) if not _is_stream(self._upstream) else None
        if answer is None:
            self._ledger.abandon(call)
            return
        self._count(call.route.dialect.usage(answer) or guessed(call, answer))
        self._ledger.settle(call, call.usage)

    async def _whole(self, reply: Reply) -> None:
        call, upstream = self.call, self._upstream
        started = self.monotonic()
        answer = await upstream.read(HELD)
        call.upstream_seconds += self.monotonic() - started
        if answer is None:
            refuse_unguarded(call, "so large an answer")
            await self._stream(reply, Large(call.route.dialect))
            return
        call.account.answer_id = answer_id(answer)
        self._count(call.route.dialect.usage(answer) or guessed(call, answer))
        # What was used is on record, and counts in the headers, before the client can have all of the answer.
        self._ledger.settle(call, call.usage)
        if call.watched is not None:
            answer = await guard_answer(call, answer)
        reply.send(upstream.status, self.head(), answer)

    async def _held_stream(self, reply: Reply, guards: tuple[TextGuard, ...]) -> None:
        """Hold a stream until services have seen all that it says; what they find anything in is not sent."""
        call, relay = self.call, self._relay(guards)
        assert isinstance(relay, Texts) or not guards  # noqa: S101 - that is what guards texts
        data = await self._upstream.read(HELD)
        out = relay.feed(data) + relay.end() if data is not None else b""
        tell(call)
        self._count(_used(call, relay, None))
        self._ledger.settle(call, call.usage)
        if data is None:
            refuse_unguarded(call, "so large an answer")
        if isinstance(relay, Texts) and relay.blocked is not None:
            raise blocked(call, relay.blocked)
        await guard_stream(call, out)
        reply.start(self._upstream.status, self.head() + UNBUFFERED)
        reply.write(out)
        reply.end()

    async def _stream(self, reply: Reply, relay: Relay) -> None:
        call, upstream = self.call, self._upstream
        metered = self._metered(relay)
        going = Going(self, reply, relay, metered)
        try:
            await upstream.pump(going.write, going.drain)
            tail = relay.end() if metered is None else metered.end()
            if going.blocked is not None:
                going.send(tail)
            await going.drain()
            if not reply.started:
                reply.start(upstream.status, self.head() + UNBUFFERED)
            if tail:
                reply.write(tail)
        except Blocked as found:
            if not reply.started:
                raise blocked(call, found) from None
            going.send(going.stopped(blocked(call, found).message))
        except CutError as cut:
            assert metered is not None  # noqa: S101 - nothing else cuts
            going.send(metered.finish(call.route.operation, cut.said))
        except UpstreamError as error:
            if not reply.started:
                raise
            call.error = error
            reply.write(relay.broken(error))
        finally:
            if call.guards:
                tell(call)
            self._count(relay.usage if call.route.media else _used(call, relay, metered))
            self._ledger.settle(call, call.usage)
        reply.end()

    def _metered(self, relay: Relay) -> Metered | None:
        """Return what counts a stream while it passes; None where all that it may have is held, or nothing of it counts."""
        need, hold = self.call.account.wanted, self.call.account.hold
        if need is None or hold is None or not need.stream or need.held >= need.output:
            return None
        held = self.call.account.held
        if held is None or not held.by_output:
            return None
        exact, family = self._deployment.endpoint.meter, self._deployment.family
        return Metered(relay, self.call.route.dialect, need.held, lambda: exact() or Estimated(family))

    async def paid(self, metered: Metered) -> None:
        """Hold what frames need that wait; raises CutError where that is not to be had."""
        call, need = self.call, self.call.account.wanted
        assert need is not None  # noqa: S101 - nothing is metered without
        refused: str | None = ""
        for output in dict.fromkeys((metered.wants_all, metered.wants)):
            refused = await self._ledger.extend(call, output)
            if refused is None:
                metered.granted = need.held
                return
        raise CutError(refused or "")

    def _relay(self, guards: tuple[TextGuard, ...]) -> Relay:
        """Choose the cheapest way that does what this stream needs.

        Whole frames even where none is hidden: of a stream that breaks off, a client must not get half an event.
        """
        hide = not self.call.wants_usage and injects(self.call, self._deployment)
        dialect = self.call.route.dialect
        if guards:
            return Texts(dialect, guards, hide_usage=hide)
        return Frames(dialect, hide_usage=hide)

    def _count(self, usage: Usage | None) -> None:
        measure = self.call.route.measure
        if measure is not None:
            usage = measure(self.call, usage)
        if usage is not None and self._deployment.price is not None:
            usage.cost = self._deployment.price.cost(usage)
        self.call.usage = usage

    def head(self) -> bytes:
        """Write the header lines of the answer as they are now."""
        call = self.call
        spent = self._ledger.spent.of(call.caller.key_hash) if call.caller is not None else 0
        return answer_head(call, self._upstream.headers, spent, self.monotonic())


class Going:
    """One stream on its way: from the upstream's socket through its relay to the client's, by callbacks."""

    __slots__ = ("_answer", "_call", "_feed", "_metered", "_reply", "_texts")

    def __init__(self, answer: Answer, reply: Reply, relay: Relay, metered: Metered | None) -> None:
        self._answer, self._reply, self._metered = answer, reply, metered
        self._call = answer.call
        self._texts = relay if isinstance(relay, Texts) else None
        self._feed = relay.feed if metered is None else metered.feed

    @property
    def blocked(self) -> Blocked | None:
        """What was found that must not pass."""
        return self._texts.blocked if self._texts is not None else None

    def send(self, out: bytes) -> bool:
        """Send what may leave; False asks to `drain` before the next."""
        if not out:
            return True
        call = self._call
        if not call.first_byte:
            call.first_byte = self._answer.monotonic()
            call.account.answer_id = answer_id(out)
            self._reply.start(call.status, self._answer.head() + UNBUFFERED)
        return self._reply.write(out)

    def write(self, data: bytes) -> bool:
        """Take what comes; False asks to `drain` before the next."""
        willing = self.send(self._feed(data))
        if self._texts is not None and self._texts.blocked is not None:
            return False
        return willing and not (self._metered is not None and self._metered.wants)

    async def drain(self) -> None:
        """Hold what waits to be paid for, and wait for the client; raises Blocked or CutError where it ends here."""
        if self._texts is not None and self._texts.blocked is not None:
            raise self._texts.blocked
        metered = self._metered
        while metered is not None and metered.wants:
            await self._answer.paid(metered)
            self.send(metered.passed())
        await self._reply.drain()

    def stopped(self, said: str) -> bytes:
        """Write what ends a stream in which something was found."""
        assert self._texts is not None  # noqa: S101 - nothing else finds
        return self._texts.stopped(said)


class CutError(Exception):
    """A stream has to end: nothing more is held for it, as `said`."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


def answer_id(answer: bytes) -> str:
    """Return the id that an answer, or the first frame of a stream, gives itself; empty where it has none."""
    found = _ID.search(answer, 0, NAMED)
    return found[1].decode() if found is not None else ""


def guessed(call: Call, answer: bytes) -> Usage | None:
    """Count an answer of which its provider says nothing, as `_used` does: four bytes a token; an error is no answer."""
    if call.route.operation not in WRITES or call.route.dialect.is_error(answer):
        return None
    need = call.account.wanted
    usage = Usage(need.asks(call) if need is not None else call.body_size // 4, len(answer) // 4)
    usage.estimated = True
    return usage


class Binary:
    """Relays what is not text as it comes."""

    __slots__ = ("tokens", "usage")

    def __init__(self) -> None:
        self.tokens = 0
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Return `data`."""
        return data

    def end(self) -> bytes:
        """Return nothing: all of it is out."""
        return b""

    def broken(self, error: GatewayError) -> bytes:
        """Return nothing: a broken recording cannot be ended well, so its connection is cut."""
        raise error


class Large:
    """Relays an answer too large to hold; its usage is read from its end."""

    __slots__ = ("_dialect", "_tail", "tokens", "usage")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._tail = b""
        self.tokens = 0
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Return `data`."""
        self._tail = (self._tail + data)[-TAIL:] if len(data) < TAIL else data[-TAIL:]
        return data

    def end(self) -> bytes:
        """Return nothing: all of it is out."""
        *_, last = [None, *self._dialect.usage_pattern.finditer(self._tail)]
        if last is not None:
            text = self._tail[last.end() - 1 :].decode("utf-8", "replace")
            try:
                _, length = json.JSONDecoder().raw_decode(text)
            except (json.JSONDecodeError, RecursionError):
                return b""
            self.usage = self._dialect.usage(b"{" + last[0][:-1] + text[:length].encode() + b"}")
        return b""

    def broken(self, error: GatewayError) -> bytes:
        """Return nothing: a broken JSON answer cannot be ended well, so its connection is cut."""
        raise error


def _is_stream(upstream: Upstream) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in upstream.headers)


def _used(call: Call, relay: Relay, metered: Metered | None) -> Usage:
    """Take what the stream reported; count what the provider did not: four bytes a token asked, what its frames come to answered."""
    need = call.account.wanted
    usage = relay.usage or Usage(need.asks(call) if need is not None else call.body_size // 4)
    if metered is not None and metered.cut:
        # What the provider went on to say is not what was paid for, and nobody was sent it.
        usage.output, usage.reasoning, usage.audio_output = metered.seen, 0, 0
    elif relay.usage is None or usage.estimated:
        usage.output = max(usage.output, metered.seen if metered is not None else relay.tokens)
    else:
        return usage
    usage.total, usage.estimated = usage.input + usage.output, True
    return usage


def _is_text(upstream: Upstream) -> bool:
    """Tell whether an answer is one to hold and count: JSON, or the plain text of a transcript."""
    kinds = [value for name, value in upstream.headers if name == b"content-type"]
    return not kinds or any(
        b"json" in kind or kind.startswith(b"text/") for kind in kinds if b"event-stream" not in kind
    )
