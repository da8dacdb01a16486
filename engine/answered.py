"""Guardrails at work on what is answered: whole, or as a stream that services have to see whole."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.call import Call
from engine.consulting import consult_only
from engine.contracts import Channel
from engine.detecting import Blocked
from engine.errors import PolicyError
from engine.frames import split
from engine.guard import decoded, refuse_unguarded
from engine.looking import look
from engine.slots import ANSWERED, CALLS, OUTPUT, Slot, within
from engine.watched import Phased, blocking


async def guard_answer(call: Call, answer: bytes) -> bytes:
    """Let guardrails look at a whole answer; return it as it may be sent. Raises PolicyError 400."""
    watched = call.watched
    if watched is None or not (watched.answering or watched.masked):
        return answer
    try:
        whole = [msgspec.json.decode(answer)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        refuse_unguarded(call, "an answer that is no JSON")
        return answer
    slots = _texts(call, whole)
    if await look(watched, slots, ANSWERED, lambda: (decoded(call, {}), whole[0])):
        if call.route.spoken:
            call.route.dialect.repeated.drop(whole[0])
    elif not watched.masked:
        return answer
    if watched.masked and watched.vault is not None:
        for slot in slots:
            slot.put(watched.vault.restore(slot.holder[slot.key], quoted=slot.phase == CALLS))
    return msgspec.json.encode(whole[0])


def _texts(call: Call, whole: list[Any]) -> list[Slot]:
    """Return the texts of an answer, which is all that is in `whole`: those of its dialect, or where that is not known all there are."""
    (body,) = whole
    if call.route.answered is not None:
        return call.route.answered.of_body(body, ANSWERED)
    if not call.route.spoken:
        return list(within(whole, OUTPUT))
    if isinstance(body, list):
        # Gemini's stream where no events are asked for: each element says a piece of the texts.
        refuse_unguarded(call, "an answer in pieces that is no event stream (ask for `alt=sse`)")
    return call.route.dialect.answered.of_body(body, ANSWERED)


async def guard_stream(call: Call, stream: bytes) -> None:
    """Let services see all that a stream says; raises PolicyError where one finds anything: it cannot be masked any more."""
    watched = call.watched
    assert watched is not None  # noqa: S101 - the caller's promise
    said: dict[tuple[Channel, int, int], list[str]] = {}
    for frame in split(stream):
        for slot in call.route.dialect.texts(frame):
            said.setdefault((slot.channel, slot.choice, slot.index), []).append(slot.text)
    body = {key: "".join(texts) for key, texts in said.items()}
    slots = [Slot(body, key, text, CALLS if key[0] is Channel.TOOL_ARGUMENTS else OUTPUT) for key, text in body.items()]
    await consult_only(watched, watched.answering, slots, ANSWERED)


def blocked(call: Call, found: Blocked) -> PolicyError:
    """Return the error of a stream in which something was found that must not pass."""
    for one in call.guards:
        if isinstance(one, Phased) and one.blocked is found:
            return blocking(one.guard, found.type)
    return PolicyError(400, "content_policy_violation", f"`{found.type}` was found, which must not pass")


def tell(call: Call) -> None:
    """Put on record what was found in a stream."""
    for one in call.guards:
        if isinstance(one, Phased) and call.watched is not None and one.found:
            call.watched.told(one.guard, dict.fromkeys(one.found))
