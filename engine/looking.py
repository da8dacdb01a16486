"""Lets guardrails look at texts: first what looks at the text alone, then the services that are asked."""

from __future__ import annotations

from collections.abc import Sequence

from engine.aside import aside
from engine.consulting import Bodies, consult
from engine.guarding import LONG
from engine.slots import ASKED, CALLS, Slot
from engine.watched import Watched, block


async def look(watched: Watched, slots: Sequence[Slot], phases: frozenset[str], bodies: Bodies | None = None) -> bool:
    """Put what must not be seen out of sight; tell whether any text was changed. Raises PolicyError.

    Services that are asked beside the call (`parallel`) are not asked here about a request.
    """
    watched.changed = False
    size = 0
    for slot in slots:
        size += len(slot.text)
    if size <= LONG:
        _look(watched, slots, phases)
    else:
        await aside(_look, watched, slots, phases)
    if watched.remote:
        first = [one for one in watched.guards if not (one.watch.parallel and phases is ASKED)]
        await consult(watched, first, slots, phases, bodies)
    return watched.changed


def _look(watched: Watched, slots: Sequence[Slot], phases: frozenset[str]) -> None:
    """Let one guardrail look after the other; raises PolicyError."""
    for one in watched.guards:
        mine = one.asked if phases is ASKED else one.answered
        if not (mine and one.detectors):
            continue
        vault = watched.vault if one.watch.restore and phases is ASKED else None
        for slot in slots:
            if slot.phase not in mine:
                continue
            text = slot.holder[slot.key]
            found = one.redaction.whole(text, vault, arguments=slot.phase == CALLS)
            if found.hits:
                watched.told(one, {hit.type: None for hit in found.hits})
            if found.blocked is not None:
                block(one, found.blocked.type)
            if found.text != text:
                watched.put(slot, found.text)
