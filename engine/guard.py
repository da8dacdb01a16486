"""Guardrails at work on what is asked: which of them are, what they find in its texts, and what is done about it.

What must not pass is refused before anything is held for the call, so that it uses up nothing. What a guardrail cannot look
at, as tokens instead of texts, it does not let pass either, unless its policy says `failurePolicy: Ignore`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.call import Call
from engine.consulting import consult_only
from engine.decision import Outcome
from engine.errors import PolicyError, invalid_request
from engine.expr.program import ERRORS
from engine.looking import look
from engine.slots import ANSWERED, ASKED, INPUT, OUTPUT, Slot, Slots, Tokens, encoded, within
from engine.watched import Watched, refuse

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
    if before is not None:
        # A call that goes to another model is looked at again: what was masked already is still to be put back.
        watched.vault = before.vault or watched.vault
        await before.close(ended=False)
    call.watched = watched
    values, slots = _asked(call, watched, call.route.dialect.asked)
    if await look(watched, slots, ASKED, lambda: (asked := decoded(call, values), asked)):
        call.members = {**call.members, **{name: encoded(value) for name, value in values.items()}}
    _ask_beside(call, watched, slots, values)
    if call.stream or call.route.media:
        call.guards = watched.streaming()


async def guard_passed(call: Call, *, upgrades: bool) -> None:
    """Let guardrails look at what goes on as it came; raises PolicyError. Closed for what cannot be looked at.

    Where nothing is known of a body, all its texts are looked at as what is asked.
    """
    chosen = _chosen(call)
    if not chosen:
        return
    watched = call.watched = Watched(call, chosen, _named(call))
    if upgrades:
        refuse_unguarded(call, "a WebSocket")
    asking = [one for one in chosen if one.asked and not one.policy.head.ignore_errors]
    if not call.legible and asking:
        refuse(asking[0], "the body is not a JSON object, and cannot be looked through")
    route = call.route
    if route.asked is not None or route.spoken:
        values, slots = _asked(call, watched, route.asked or route.dialect.asked)
    else:
        values = decoded(call, {})
        slots = list(within(values, INPUT))
    if await look(watched, slots, ASKED, lambda: (asked := decoded(call, values), asked)):
        call.members = {**call.members, **{name: encoded(value) for name, value in values.items()}}
    _ask_beside(call, watched, slots, values)


def _ask_beside(call: Call, watched: Watched, slots: list[Slot], values: Mapping[str, Any]) -> None:
    """Ask the services that are asked while a call is on its way; it ends them when it ends."""
    beside = [one for one in watched.guards if one.watch.parallel and one.remotes] if watched.remote else ()
    if beside:
        asking = consult_only(watched, beside, slots, ASKED, lambda: (asked := decoded(call, values), asked))
        watched.beside = asyncio.get_running_loop().create_task(asking)


async def apply(one: Guard, text: str) -> str:
    """Let one guardrail look at a text as at one that is asked; return what it leaves of it. Raises PolicyError."""
    body = {"text": text}
    watched = Watched(None, (one,), {})
    for phases, phase in ((ASKED, INPUT), (ANSWERED, OUTPUT)):
        if phase in one.watch.phases:
            await look(watched, [Slot(body, "text", text, phase)], phases)
            break
    return body["text"]


def refuse_unguarded(call: Call, what: str) -> None:
    """Refuse what no guardrail can look at, where one is to; raises PolicyError unless its policy ignores that."""
    for one in call.watched.guards if call.watched is not None else _chosen(call):
        if one.answered and not one.policy.head.ignore_errors:
            refuse(one, f"{what} cannot be looked through")


def _chosen(call: Call) -> list[Guard]:
    """Return the guardrails that are at work for a call; raises ClientError 400 for one that it names and nobody has."""
    decision, known = call.decision, call.snapshot.guardrails
    said = _named(call) if NAMED in call.members else {}
    unknown = said.keys() - known.keys()
    if unknown:
        raise invalid_request(f"there is no guardrail `{min(unknown)}` here; leave it out", NAMED)
    asked = call.caller.guardrails - known.keys() if call.caller is not None and call.caller.guardrails else None
    if asked:
        message = f"there is no guardrail `{min(asked)}` here, which this key asks for; ask an administrator"
        raise PolicyError(403, "policy_denied", message)
    if decision is None or not decision.plan.governed.watching:
        return []
    return [known[name] for name in decision.plan.governed.watching if _at_work(known[name], call, said)]


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
    """Tell whether a guardrail looks at a call: it is for all, or named by the request, the key, its team, the model or the passage."""
    caller, group, name = call.caller, call.group, one.name
    if (one.watch.optional or (one.watch.waivable and caller is not None and caller.waives)) and not (
        name in said
        or (caller is not None and name in caller.guardrails)
        or (group is not None and name in group.guardrails)
        or name in call.route.guardrails
    ):
        return False
    decision = call.decision
    assert decision is not None  # noqa: S101 - what governs a call has decided about it
    for condition_name, condition in one.policy.head.conditions:
        try:
            if condition.program.evaluate(decision.activation) is not True:
                decision.outcomes.append(Outcome(f"{name}/{condition_name}", "skipped"))
                return False
        except ERRORS:
            # Closed: who cannot say whether it is to look, looks.
            decision.outcomes.append(Outcome(f"{name}/{condition_name}", "error"))
    return True


def _asked(call: Call, watched: Watched, places: Slots) -> tuple[dict[str, Any], list[Slot]]:
    wanted = watched.guards[0].asked
    for one in watched.guards[1:]:
        wanted |= one.asked
    try:
        return places.of_members(call.members, wanted)
    except Tokens as member:
        closed = [one for one in watched.guards if one.asked and not one.policy.head.ignore_errors]
        if closed:
            refuse(closed[0], f"`{member}` holds tokens, in which nobody can look: send text")
        return {}, []


def decoded(call: Call, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a request says, with the members that are decoded already."""
    return {name: values[name] if name in values else msgspec.json.decode(raw) for name, raw in call.members.items()}
