"""Services that guardrails ask about texts: each within its deadline, and closed where it cannot be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import structlog

from engine.asking import Judging
from engine.decision import Outcome
from engine.detecting import DetectorError, Finding, Hit, Question, RemoteDetector, Whole, sides
from engine.slots import ANSWERED, ASKED, INPUT, OUTPUT, Slot
from engine.vault import Vault
from engine.watched import Watched, block, refuse

if TYPE_CHECKING:
    from engine.call import Call
    from engine.policy import Detect
    from engine.watching import Guard

CONFIG = "guardrail_config"
"""The member of a request with what its client asks of guardrails."""
SENT = ("extra_body",)
"""What a client may say to one guardrail, beside its name."""
log = structlog.get_logger("interlock")


Bodies = Callable[[], tuple[Mapping[str, Any], Any]]
"""Gives a request, decoded, and what of it or of its answer is looked at."""


class _Asked(NamedTuple):
    """Who is asked about texts of which phase, and what remembers what is masked of them, where it is to be put back."""

    detect: Detect
    remote: RemoteDetector
    phase: str
    vault: Vault | None


async def consult(
    watched: Watched,
    guards: Iterable[Guard],
    slots: Sequence[Slot],
    phases: frozenset[str],
    bodies: Bodies | None = None,
    standing: Sequence[Slot] | None = None,
) -> None:
    """Ask the services of some guardrails about texts of some phases; raises PolicyError.

    `standing` are the texts as they stand in a body, where `slots` are copies.
    """
    for one in guards:
        for detect, remote in one.remotes:
            for phase, together in _parts(remote, one.watch.phases & phases, OUTPUT if phases is ANSWERED else INPUT):
                pairs = zip(slots, standing or slots, strict=True)
                mine = [(slot, place) for slot, place in pairs if slot.phase in together]
                if mine:
                    vault = watched.vault if one.watch.restore and phases is ASKED else None
                    await _ask(watched, one, _Asked(detect, remote, phase, vault), mine, bodies)


def _parts(remote: RemoteDetector, phases: frozenset[str], side: str) -> list[tuple[str, frozenset[str]]]:
    """Say in how many questions a service is asked about some phases: each of what phase, and of the texts of which."""
    wanted = sides(remote)
    if wanted is None:
        return [(phase, frozenset({phase})) for phase in sorted(phases)]
    return [(side, phases)] if side in wanted else []


async def consult_only(
    watched: Watched,
    guards: Sequence[Guard],
    slots: Sequence[Slot],
    phases: frozenset[str],
    bodies: Bodies | None = None,
) -> None:
    """Ask services about texts that can be masked no more: what would be is refused. Raises PolicyError."""
    shown = [slot.holder[slot.key] for slot in slots]
    copies = [Slot(shown, at, slot.text, slot.phase) for at, slot in enumerate(slots)]
    for one in guards:
        before = [*shown]
        await consult(watched, (one,), copies, phases, bodies, slots)
        if shown != before:
            block(one, "text that can be masked no more")


async def _ask(
    watched: Watched,
    one: Guard,
    asked: _Asked,
    slots: Sequence[tuple[Slot, Slot]],
    bodies: Bodies | None,
) -> None:
    detect, remote, phase, vault = asked
    places = [(place.holder, place.key) for _, place in slots]
    question = Question(
        phase, [slot.holder[slot.key] for slot, _ in slots], watched.call.model if watched.call is not None else "",
        None if bodies is None else lambda: Whole(*bodies(), places), _metadata(watched, one),
    )  # fmt: skip
    try:
        findings = await asyncio.wait_for(_through(remote, watched.call).ask(question), one.watch.timeout)
    except TimeoutError:
        _unasked(watched, one, f"`{detect.name}` did not answer within {one.watch.timeout:g} seconds")
        return
    except DetectorError as error:
        _unasked(watched, one, f"`{detect.name}`: {error}")
        return
    for (slot, _), finding in zip(slots, findings, strict=True):
        if finding.hits or finding.refused or finding.replacement is not None:
            _found(watched, one, detect.action, slot, finding, vault)


def _through(remote: RemoteDetector, call: Call | None) -> RemoteDetector:
    """Give a detector that asks a model a way to: calls of this gateway, on behalf of who makes this one."""
    if call is None or call.errands is None or not isinstance(remote, Judging):
        return remote
    return remote.through(partial(call.errands.complete, call))


def _metadata(watched: Watched, one: Guard) -> Mapping[str, Any]:
    """Say what is known of a call: what its client sent for this guardrail, and by our own word who that is."""
    call = watched.call
    if call is None:
        return {}
    said, raw = watched.said.get(one.name, {}), call.members.get(CONFIG)
    sent = {name: said[name] for name in SENT if name in said}
    if raw is not None:
        sent[CONFIG] = msgspec.json.decode(raw)
    known: dict[str, Any] = {"litellm_call_id": call.id, "user_api_key_request_route": call.path}
    caller = call.caller
    if caller is not None:
        known |= {
            "user_api_key_hash": caller.key_hash, "user_api_key_alias": caller.alias, "user_api_key_user_id": caller.user,
            "user_api_key_team_id": caller.team, "user_api_key_org_id": caller.org,
            "user_api_key_end_user_id": call.account.end_user,
        }  # fmt: skip
    return sent | known


def _found(
    watched: Watched, one: Guard, action: str, slot: Slot, finding: Finding, vault: Vault | None
) -> None:  # fmt: skip
    """Do about a service's finding what the guardrail says."""
    watched.told(one, {hit.type: None for hit in finding.hits} or {finding.refused or "replaced": None})
    if action == "log":
        return
    if finding.refused or (action == "block" and finding.replacement is None):
        block(one, finding.refused or finding.hits[0].type)
    replacement = finding.replacement
    watched.put(slot, masked(slot.holder[slot.key], finding.hits, vault) if replacement is None else replacement)


def masked(text: str, hits: Sequence[Hit], vault: Vault | None = None) -> str:
    """Put hits out of sight; those that overlap are one, and the first names the mask. A vault remembers what masks stand for."""
    pieces: list[str] = []
    left = 0
    spans: list[Hit] = []
    for hit in sorted(hits):
        if spans and hit.start < spans[-1].end:
            spans[-1] = spans[-1]._replace(end=max(spans[-1].end, hit.end))
        else:
            spans.append(hit)
    for hit in spans:
        mask = f"<{hit.type}>"
        said = mask if vault is None else vault.mask(mask, text[hit.start : hit.end])
        pieces += (text[left : hit.start], said)
        left = hit.end
    return "".join((*pieces, text[left:]))


def _unasked(watched: Watched, one: Guard, why: str) -> None:
    """Act on a service that could not be asked; raises PolicyError unless the policy ignores that."""
    if watched.decision is not None:
        watched.decision.outcomes.append(Outcome(one.name, "error", why))
    log.warning(
        "guardrail could not be asked",
        guardrail=one.name,
        reason=why,
        call=watched.call.id if watched.call is not None else "",
    )
    if not (one.policy.head.ignore_errors or one.watch.observes):
        refuse(one, "it could not be asked, and does not let pass what it has not seen", 503)
