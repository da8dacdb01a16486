"""The ledger's side of the journal: what was held, used and given back, on disk before anybody may rely on it.

A hold's record is written before the first byte goes upstream, a settlement's before the last byte goes to the client.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from engine.call import Call, Usage
from engine.claims import Claim, Hold
from engine.errors import InternalError
from engine.journal import Journal
from engine.posting import Held, Part, Released, Reset, Row, Settled, Who, encode, packed
from engine.windows import Algorithm

PACKED = 10_000
"""Callers and deployments whose common part of rows is kept."""
CALL_TYPES = {
    "chat": "acompletion",
    "completions": "atext_completion",
    "embeddings": "aembedding",
    "responses": "aresponses",
    "messages": "anthropic_messages",
    "moderations": "amoderation",
    "rerank": "arerank",
    "realtime": "_arealtime",
    "images.generations": "aimage_generation",
    "images.edits": "aimage_edit",
    "images.variations": "aimage_variation",
    "audio.speech": "aspeech",
    "audio.transcriptions": "atranscription",
    "audio.translations": "atranscription",
    "pass-through": "pass_through_endpoint",
}
"""LiteLLM's names of what is called."""
ESTIMATED = '{"estimated": true}'


class Books:
    """Writes the journal of one process; without one nothing is written, and nothing outlives the process."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._packed: dict[tuple[str, str, str], Raw] = {}

    def available(self) -> InternalError | None:
        """Tell why nothing new may begin; None while all is well."""
        journal = self._journal
        return None if journal is None or journal.healthy else _unavailable(journal)

    def held(self, call: Call, hold: Hold, claims: Sequence[Claim], until: Sequence[int]) -> InternalError | None:
        """Write what was granted, and what to record of the call should nothing more be heard of it."""
        journal = self._journal
        if journal is None:
            return None
        wanted = call.account.wanted
        usage = Usage(wanted.input, wanted.held) if wanted is not None else None
        if usage is not None and wanted is not None:
            usage.cost = wanted.cost(wanted.held)
        row = self._row(call, usage, 0.0, ESTIMATED)
        record = Held(call.id, hold.id.attempt, parts(claims, until), row)
        entry = journal.append(encode(record), kept=False)
        return None if journal.write_now(entry) else _unavailable(journal)

    def settled(self, call: Call, hold: Hold | None, amounts: Sequence[Part], duration: float, *, final: bool) -> None:
        """Write what was used; a `final` one with the call's row."""
        journal = self._journal
        if journal is None:
            return
        usage = call.usage
        row = (
            self._row(call, usage, duration, ESTIMATED if usage is not None and usage.estimated else "{}")
            if final
            else None
        )
        # What was never granted has an attempt of its own: no record is of two.
        attempt = hold.id.attempt if hold is not None else call.attempt + 1
        journal.write_now(journal.append(encode(Settled(call.id, attempt, list(amounts), row))))

    def released(self, hold: Hold) -> None:
        """Write that a hold was given back; nothing waits for it."""
        if self._journal is not None:
            self._journal.append(encode(Released(hold.id.call, hold.id.attempt)))

    def reset(self, counter: bytes) -> None:
        """Write that a counter began anew."""
        if self._journal is not None:
            self._journal.write_now(self._journal.append(encode(Reset(counter))))

    def _row(self, call: Call, usage: Usage | None, duration: float, metadata: str) -> Row:
        failed = call.error is not None or call.status >= 400
        first = call.time + (call.first_byte - call.arrived) if call.first_byte else 0.0
        caller = call.caller
        return Row(
            self._who(call), call.account.answer_id or call.id, call.time, call.time + duration, first,
            "failure" if failed else "success", (usage.cost or 0) if usage is not None else 0,
            usage.input if usage is not None else 0, usage.output if usage is not None else 0, call.account.end_user,
            caller.tags if caller is not None else (), call.address, "", metadata,
        )  # fmt: skip

    def _who(self, call: Call) -> Raw:
        caller, deployment = call.caller, call.deployment
        key = (
            caller.key_hash if caller is not None else "",
            deployment.id if deployment is not None else "",
            call.route.task,
        )
        found = self._packed.get(key)
        if found is None:
            if len(self._packed) >= PACKED:
                self._packed.clear()
            found = self._packed[key] = packed(_who(call))
        return found


def parts(claims: Sequence[Claim], until: Sequence[int]) -> list[Part]:
    """Return what outlives the process of some claims: all but what counts only while it runs."""
    return [
        (counter.id, end, amount)
        for (counter, amount), end in zip(claims, until, strict=True)
        if amount and counter.algorithm is not Algorithm.LEASE
    ]


def _who(call: Call) -> Who:
    caller, deployment = call.caller, call.deployment
    who = Who(call_type=CALL_TYPES.get(call.route.task, call.route.task))
    own = {} if caller is None else {
        "api_key": caller.key_hash, "user": caller.user, "team_id": caller.team, "organization_id": caller.org,
    }  # fmt: skip
    there = {} if deployment is None else {
        "model": deployment.model or call.model, "model_id": deployment.id, "model_group": deployment.name,
        "custom_llm_provider": deployment.provider, "api_base": deployment.api_base.partition("?")[0],
    }  # fmt: skip
    return Who(call_type=who.call_type, **own, **there)


def _unavailable(journal: Journal) -> InternalError:
    return InternalError(
        503,
        "journal_unavailable",
        f"spend cannot be recorded ({journal.reason or 'not written'}), so no call is taken; try again soon",
    )
