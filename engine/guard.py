"""Guardrails at work on a call: which of them are, what they find in its texts, and what is done about it.

What must not pass is refused before anything is held for the call, so that it uses up nothing. What a guardrail cannot look
at, as tokens instead of texts, it does not let pass either, unless its policy says `failurePolicy: Ignore`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import structlog

from engine.aside import aside
from engine.call import Call
from engine.contracts import Channel, TextGuard, TextSlot
from engine.decision import Decision, Outcome
from engine.detecting import Blocked, DetectorError, Finding, Hit, Question
from engine.errors import PolicyError, invalid_request
from engine.expr.program import ERRORS
from engine.frames import split
from engine.slots import CALLS, INPUT, OUTPUT, RESULTS, Repeats, Slot, Slots, Tokens, encoded, within
from engine.vault import Vault

if TYPE_CHECKING:
    from engine.watching import Guard

log = structlog.get_logger("interlock")

ASKED = frozenset({INPUT, CALLS, RESULTS})
ANSWERED = frozenset({OUTPUT, CALLS})
LONG = 32 * 1024
"""Characters of texts that are looked through on the loop; more are, in the thread for what may take long."""
NAMED = "guardrails"
"""The member of a request that names guardrails; it is ours, and no provider's."""


class Watched:
    """The guardrails that are at work for one call, and what they have masked of its request."""

    __slots__ = ("decision", "found", "guards", "id", "model", "said", "vault")

    def __init__(self, call: Call | None, guards: Sequence[Guard], said: Mapping[str, Any]) -> None:
        self.guards, self.said = tuple(guards), said
        self.decision = call.decision if call is not None else None
        self.id, self.model = (call.id, call.model) if call is not None else ("", "")
        self.vault = Vault() if any(guard.watch.restore for guard in guards) else None
        self.found: dict[str, None] = {}

    @property
    def applied(self) -> tuple[str, ...]:
        """The names of the guardrails."""
        return tuple(guard.name for guard in self.guards)

    def streaming(self) -> tuple[TextGuard, ...]:
        """Return what watches a stream, in order; what was masked of the request is put back at last."""
        guards = [Phased(one) for one in self.answering()]
        return (*guards, self.vault.guard()) if self.vault is not None else tuple(guards)

    @property
    def asks(self) -> bool:
        """Whether a service is to see what is answered."""
        return any(one.remotes for one in self.answering())

    def answering(self) -> tuple[Guard, ...]:
        """Return those that look at answers."""
        return tuple(guard for guard in self.guards if guard.watch.phases & ANSWERED)


class Phased:
    """One guardrail over one stream: it looks at the texts of its phases, and lets the others pass."""

    __slots__ = ("_inner", "_phases", "blocked", "guard")

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._inner = guard.redaction.guard()
        self._phases = guard.watch.phases
        self.blocked: Blocked | None = None

    def feed(self, slot: TextSlot) -> str:
        """Take the next piece of a text; raises Blocked."""
        if not self._looks(slot.channel):
            return slot.text
        try:
            return self._inner.feed(slot)
        except Blocked as found:
            self.blocked = found
            raise

    def flush(self, channel: Channel, choice: int, index: int) -> str:
        """Return what is still held; raises Blocked."""
        if not self._looks(channel):
            return ""
        try:
            return self._inner.flush(channel, choice, index)
        except Blocked as found:
            self.blocked = found
            raise

    @property
    def found(self) -> tuple[str, ...]:
        """The types of what was found."""
        return tuple(dict.fromkeys(kind for _, kind, _ in self._inner.noted))

    def _looks(self, channel: Channel) -> bool:
        return (CALLS if channel is Channel.TOOL_ARGUMENTS else OUTPUT) in self._phases


async def guard(call: Call) -> None:
    """Put the guardrails that govern a call to work, and let them look at what is asked; raises PolicyError, ClientError 400."""
    chosen = _chosen(call)
    if not chosen:
        return
    watched = call.watched = Watched(call, chosen, _named(call))
    values, slots = _asked(call, watched, call.route.dialect.asked)
    size = sum(len(slot.text) for slot in slots)
    if size <= LONG:
        _look(watched, slots, ASKED)
    else:
        await aside(_look, watched, slots, ASKED)
    await _ask(watched, slots, ASKED)
    if watched.found:
        call.members = {**call.members, **{name: encoded(value) for name, value in values.items()}}
    call.guards = watched.streaming()


async def guard_passed(call: Call) -> None:
    """Let guardrails look at what goes on as it came: all its texts. Raises PolicyError; closed for what cannot be looked at."""
    chosen = _chosen(call)
    if not chosen:
        return
    watched = call.watched = Watched(call, chosen, _named(call))
    refuse_unguarded(call, "an answer that goes on as it comes")
    asking = [one for one in chosen if one.watch.phases & ASKED and not one.policy.head.ignore_errors]
    if not call.legible and asking:
        _refuse(asking[0], "the body is not a JSON object, and cannot be looked through")
    values = {name: msgspec.json.decode(raw) for name, raw in call.members.items()}
    slots = list(within(values, INPUT))
    await aside(_look, watched, slots, ASKED)
    await _ask(watched, slots, ASKED)
    if watched.found:
        call.members = {name: encoded(value) for name, value in values.items()}


async def apply(one: Guard, text: str) -> str:
    """Let one guardrail look at a text as at one that is asked; return what it leaves of it. Raises PolicyError."""
    body = {"text": text}
    watched = Watched(None, (one,), {})
    for phases, phase in ((ASKED, INPUT), (ANSWERED, OUTPUT)):
        if phase in one.watch.phases:
            slots = [Slot(body, "text", text, phase)]
            _look(watched, slots, phases)
            await _ask(watched, slots, phases)
            break
    return body["text"]


def blocked(call: Call, found: Blocked) -> PolicyError:
    """Return the error of a stream in which something was found that must not pass, and put that on record."""
    assert call.watched is not None  # noqa: S101 - its guardrails have found it
    for one in call.guards:
        if isinstance(one, Phased) and one.blocked is found:
            _told(call.watched, one.guard, {found.type: None})
            return _blocking(one.guard, found.type)
    return PolicyError(400, "content_policy_violation", f"`{found.type}` was found, which must not pass")


def refuse_unguarded(call: Call, what: str) -> None:
    """Refuse what no guardrail can look at, where one is to; raises PolicyError unless its policy ignores that."""
    for one in _chosen(call):
        if one.watch.phases & ANSWERED and not one.policy.head.ignore_errors:
            _refuse(one, f"{what} cannot be looked through")


def _chosen(call: Call) -> list[Guard]:
    """Return the guardrails that are at work for a call; raises ClientError 400 for one that it names and nobody has."""
    decision, known = call.decision, call.snapshot.guardrails
    said = _named(call) if NAMED in call.members else {}
    unknown = said.keys() - known.keys()
    if unknown:
        raise invalid_request(f"there is no guardrail `{min(unknown)}` here; leave it out", NAMED)
    asked = call.caller.guardrails - known.keys() if call.caller is not None else None
    if asked:
        message = f"there is no guardrail `{min(asked)}` here, which this key asks for; ask an administrator"
        raise PolicyError(403, "policy_denied", message)
    if decision is None or not decision.plan.governed.watching:
        return []
    return [known[name] for name in decision.plan.governed.watching if _at_work(known[name], call, said)]


async def guard_answer(call: Call, answer: bytes) -> bytes:
    """Let guardrails look at a whole answer; return it as it may be sent. Raises PolicyError 400."""
    watched = call.watched
    if watched is None or (not watched.answering() and watched.vault is None):
        return answer
    try:
        body = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if watched.answering():
            _refuse(watched.answering()[0], "the answer is not JSON, and cannot be looked through")
        return answer
    dialect = call.route.dialect
    try:
        slots = dialect.answered.of_body(body, ANSWERED)
    except Tokens:
        slots = []
    before = [slot.text for slot in slots]
    if sum(map(len, before)) <= LONG:
        _look(watched, slots, ANSWERED)
    else:
        await aside(_look, watched, slots, ANSWERED)
    await _ask(watched, slots, ANSWERED)
    texts = [slot.holder[slot.key] for slot in slots]
    changed = texts != before
    if watched.vault is not None:
        for slot, text in zip(slots, texts, strict=True):
            slot.put(watched.vault.restore(text, quoted=slot.phase == CALLS))
    if changed:
        Repeats(dialect.repeated).drop(body)
    elif watched.vault is None:
        return answer
    return msgspec.json.encode(body)


async def guard_stream(call: Call, stream: bytes) -> None:
    """Let services see all that a stream says; raises PolicyError where one finds anything: it cannot be masked any more."""
    watched = call.watched
    assert watched is not None  # noqa: S101 - the caller's promise
    said: dict[tuple[Channel, int, int], list[str]] = {}
    for frame in split(stream):
        for slot in call.route.dialect.texts(frame):
            said.setdefault((slot.channel, slot.choice, slot.index), []).append(slot.text)
    body = {str(key): "".join(texts) for key, texts in said.items()}
    phases = (CALLS if channel is Channel.TOOL_ARGUMENTS else OUTPUT for channel, _, _ in said)
    slots = [Slot(body, key, body[key], phase) for key, phase in zip(body, phases, strict=True)]
    before = dict(body)
    await _ask(watched, slots, ANSWERED)
    if body != before:
        _block(watched.answering()[0], "text that cannot be masked in a stream")


def _named(call: Call) -> dict[str, Any]:
    """Return which guardrails a request names, and what it says to each; raises ClientError 400."""
    raw = call.members.get(NAMED)
    if raw is None:
        return {}
    found: dict[str, Any] = {}
    listed = msgspec.json.decode(raw)
    for one in listed if isinstance(listed, list) else [listed]:
        if isinstance(one, str):
            found[one] = {}
        elif isinstance(one, dict):
            found |= {name: said if isinstance(said, dict) else {} for name, said in one.items()}
        elif one is not None:
            raise invalid_request("must be a list of names of guardrails", NAMED)
    return found


def _at_work(one: Guard, call: Call, said: Mapping[str, Any]) -> bool:
    """Tell whether a guardrail looks at a call: it is for all, or named by the request, the key or its team."""
    named = one.name in said or (call.caller is not None and one.name in call.caller.guardrails)
    if one.watch.optional and not named:
        return False
    decision = call.decision
    assert decision is not None  # noqa: S101 - what governs a call has decided about it
    for name, condition in one.policy.head.conditions:
        try:
            if condition.program.evaluate(decision.activation) is not True:
                decision.outcomes.append(Outcome(f"{one.name}/{name}", "skipped"))
                return False
        except ERRORS:
            # Closed: who cannot say whether it is to look, looks.
            decision.outcomes.append(Outcome(f"{one.name}/{name}", "error"))
    return True


def _asked(call: Call, watched: Watched, places: Slots) -> tuple[dict[str, Any], list[Slot]]:
    wanted = frozenset().union(*(one.watch.phases for one in watched.guards)) & ASKED
    try:
        return places.of_members(call.members, wanted)
    except Tokens as member:
        closed = [one for one in watched.guards if one.watch.phases & ASKED and not one.policy.head.ignore_errors]
        if closed:
            _refuse(closed[0], f"`{member}` holds tokens, in which nobody can look: send text")
        return {}, []


def _look(watched: Watched, slots: Sequence[Slot], phases: frozenset[str]) -> None:
    """Let what looks at the text alone look, one guardrail after the other; raises PolicyError."""
    for one in watched.guards:
        mine = one.watch.phases & phases
        vault = watched.vault if one.watch.restore and phases is ASKED else None
        for slot in slots if mine and one.watch.detects else ():
            if slot.phase not in mine:
                continue
            found = one.redaction.whole(slot.holder[slot.key], vault, arguments=slot.phase == CALLS)
            if found.hits:
                _told(watched, one, {hit.type: None for hit in found.hits})
            if found.blocked is not None:
                _block(one, found.blocked.type)
            if found.text != slot.holder[slot.key]:
                watched.found[one.name] = None
                slot.put(found.text)


async def _ask(watched: Watched, slots: Sequence[Slot], phases: frozenset[str]) -> None:
    """Ask the services, each within its deadline; raises PolicyError."""
    for one in watched.guards:
        mine = [slot for slot in slots if slot.phase in one.watch.phases & phases]
        for detect, remote in one.remotes if mine else ():
            texts = [slot.holder[slot.key] for slot in mine]
            question = Question(
                "input" if phases is ASKED else "output", texts, watched.model, (), watched.said.get(one.name, {})
            )
            try:
                findings = await asyncio.wait_for(remote.ask(question), one.watch.timeout)
            except TimeoutError:
                _unasked(watched, one, f"`{detect.name}` did not answer within {one.watch.timeout:g} seconds")
                continue
            except DetectorError as error:
                _unasked(watched, one, f"`{detect.name}`: {error}")
                continue
            for slot, finding in zip(mine, findings, strict=True):
                _found(watched, one, detect.action, slot, finding)


def _found(watched: Watched, one: Guard, action: str, slot: Slot, finding: Finding) -> None:
    """Do about a service's finding what the guardrail says."""
    if not (finding.hits or finding.refused or finding.replacement is not None):
        return
    _told(watched, one, {hit.type: None for hit in finding.hits} or {finding.refused or "replaced": None})
    if action == "log":
        return
    if finding.refused or (action == "block" and finding.replacement is None):
        _block(one, finding.refused or finding.hits[0].type)
    text = slot.holder[slot.key]
    masked = finding.replacement if finding.replacement is not None else _masked(text, finding.hits)
    watched.found[one.name] = None
    slot.put(masked)


def _masked(text: str, hits: Sequence[Hit]) -> str:
    """Put what a service found out of sight; of hits that overlap the first names the mask."""
    pieces: list[str] = []
    left = 0
    for hit in sorted(hits):
        if hit.start >= left:
            pieces += (text[left : hit.start], f"<{hit.type}>")
        left = max(left, hit.end)
    return "".join((*pieces, text[left:]))


def _told(watched: Watched, one: Guard, types: Mapping[str, None]) -> None:
    """Put on record what was found, by its type and never by its text."""
    decision: Decision | None = watched.decision
    if decision is not None:
        decision.outcomes.append(Outcome(one.name, "match", ", ".join(types)))
        if one.name not in decision.determining:
            decision.determining = [*decision.determining, one.name]


def _unasked(watched: Watched, one: Guard, why: str) -> None:
    """Act on a service that could not be asked; raises PolicyError unless the policy ignores that."""
    if watched.decision is not None:
        watched.decision.outcomes.append(Outcome(one.name, "error", why))
    log.warning("guardrail could not be asked", guardrail=one.name, reason=why, call=watched.id)
    if not one.policy.head.ignore_errors:
        _refuse(one, "it could not be asked, and does not let pass what it has not seen", 503)


def _block(one: Guard, what: str) -> NoReturn:
    raise _blocking(one, what)


def _blocking(one: Guard, what: str) -> PolicyError:
    said = f": {one.watch.message}" if one.watch.message else ""
    message = f"guardrail `{one.name}` found `{what}`, which must not pass{said}"
    return PolicyError(one.watch.status, "content_policy_violation", message)


def _refuse(one: Guard, why: str, status: int = 400) -> NoReturn:
    raise PolicyError(status, "content_policy_violation", f"guardrail `{one.name}`: {why}")
