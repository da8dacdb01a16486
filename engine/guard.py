"""Guardrails at work on a call: which of them are, what they find in its texts, and what is done about it.

What must not pass is refused before anything is held for the call, so that it uses up nothing. What a guardrail cannot look
at, as tokens instead of texts, it does not let pass either, unless its policy says `failurePolicy: Ignore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.aside import aside
from engine.call import Call
from engine.consulting import consult
from engine.contracts import Channel
from engine.decision import Outcome
from engine.detecting import Blocked
from engine.errors import PolicyError, invalid_request
from engine.expr.program import ERRORS
from engine.frames import split
from engine.guarding import LONG
from engine.slots import CALLS, INPUT, OUTPUT, Slot, Slots, Tokens, encoded, within
from engine.watched import ANSWERED, ASKED, Phased, Watched, block, blocking, refuse

if TYPE_CHECKING:
    from engine.watching import Guard

NAMED = "guardrails"
"""The member of a request that names guardrails; it is ours, and no provider's."""


async def guard(call: Call) -> None:
    """Put the guardrails that govern a call to work, and let them look at what is asked; raises PolicyError, ClientError 400."""
    chosen = _chosen(call)
    if not chosen:
        return
    before, watched = call.watched, Watched(call, chosen, _named(call))
    if before is not None and before.vault is not None:
        # A call that goes to another model is looked at again: what was masked already is still to be put back.
        watched.vault = before.vault
    call.watched = watched
    values, slots = _asked(call, watched, call.route.dialect.asked)
    size = sum(len(slot.text) for slot in slots)
    if size <= LONG:
        _look(watched, slots, ASKED)
    else:
        await aside(_look, watched, slots, ASKED)
    await consult(watched, slots, ASKED, lambda: (asked := _decoded(call, values), asked))
    if watched.found:
        call.members = {**call.members, **{name: encoded(value) for name, value in values.items()}}
    if call.stream or call.route.media:
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
        refuse(asking[0], "the body is not a JSON object, and cannot be looked through")
    values = {name: msgspec.json.decode(raw) for name, raw in call.members.items()}
    slots = list(within(values, INPUT))
    await aside(_look, watched, slots, ASKED)
    await consult(watched, slots, ASKED, lambda: (values, values))
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
            await consult(watched, slots, phases)
            break
    return body["text"]


def blocked(call: Call, found: Blocked) -> PolicyError:
    """Return the error of a stream in which something was found that must not pass, and put that on record."""
    assert call.watched is not None  # noqa: S101 - its guardrails have found it
    for one in call.guards:
        if isinstance(one, Phased) and one.blocked is found:
            call.watched.told(one.guard, {found.type: None})
            return blocking(one.guard, found.type)
    return PolicyError(400, "content_policy_violation", f"`{found.type}` was found, which must not pass")


def refuse_unguarded(call: Call, what: str) -> None:
    """Refuse what no guardrail can look at, where one is to; raises PolicyError unless its policy ignores that."""
    for one in call.watched.guards if call.watched is not None else _chosen(call):
        if one.watch.phases & ANSWERED and not one.policy.head.ignore_errors:
            refuse(one, f"{what} cannot be looked through")


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
    if watched is None or not (watched.answering() or watched.masked):
        return answer
    try:
        body = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if watched.answering():
            refuse(watched.answering()[0], "the answer is not JSON, and cannot be looked through")
        return answer
    dialect = call.route.dialect
    slots = dialect.answered.of_body(body, ANSWERED)
    before = [slot.text for slot in slots]
    if sum(map(len, before)) <= LONG:
        _look(watched, slots, ANSWERED)
    else:
        await aside(_look, watched, slots, ANSWERED)
    await consult(watched, slots, ANSWERED, lambda: (_decoded(call, {}), body))
    texts = [slot.holder[slot.key] for slot in slots]
    changed = texts != before
    if watched.masked and watched.vault is not None:
        for slot, text in zip(slots, texts, strict=True):
            slot.put(watched.vault.restore(text, quoted=slot.phase == CALLS))
    if changed:
        dialect.repeated.drop(body)
    elif not watched.masked:
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
    await consult(watched, slots, ANSWERED)
    if body != before:
        block(watched.answering()[0], "text that cannot be masked in a stream")


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
            refuse(closed[0], f"`{member}` holds tokens, in which nobody can look: send text")
        return {}, []


def _decoded(call: Call, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a request says, with the members that are decoded already."""
    return {name: values[name] if name in values else msgspec.json.decode(raw) for name, raw in call.members.items()}


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
                watched.told(one, {hit.type: None for hit in found.hits})
            if found.blocked is not None:
                block(one, found.blocked.type)
            if found.text != slot.holder[slot.key]:
                watched.found[one.name] = None
                slot.put(found.text)
