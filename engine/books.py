"""The ledger's side of the journal: what was held, used and given back, on disk before anybody may rely on it.

A hold's record is written before the first byte goes upstream, a settlement's before the last byte goes to the client:
where a loop's turns end with a flush of the journal, that is soon enough (`Cork`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Raw

from engine.call import Call
from engine.claims import Claim, CountersError, Hold
from engine.errors import InternalError
from engine.journal import Entry, Journal
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

    def held(self, call: Call, hold: Hold, parts: list[Part]) -> InternalError | None:
        """Write what was granted, and what to record of the call should nothing more be heard of it."""
        journal = self._journal
        if journal is None or journal.record(self._held(call, hold, parts), kept=False):
            return None
        return _unavailable(journal)

    def holding(self, call: Call, hold: Hold, parts: list[Part]) -> Callable[[], InternalError | None] | None:
        """Write what was granted with the others of this turn; what is returned is to be asked before anything is sent."""
        journal = self._journal
        if journal is None:
            return None
        return partial(_written, journal, journal.append(self._held(call, hold, parts), kept=False))

    @property
    def gathers(self) -> bool:
        """Whether the records of a loop's turn go out together."""
        return self._journal is not None and self._journal.soon is not None

    def _held(self, call: Call, hold: Hold, parts: list[Part]) -> bytes:
        account = call.account
        row = account.row = self._row(call)
        wanted = account.wanted
        if wanted is not None:
            row.prompt_tokens, row.completion_tokens, row.spend = wanted.input, wanted.held, wanted.worth
        row.metadata = ESTIMATED
        return encode(Held(call.id, hold.id.attempt, parts, row))

    def settled(self, call: Call, hold: Hold | None, parts: list[Part], duration: float, *, final: bool) -> None:
        """Write what was used; a `final` one with the call's row."""
        journal = self._journal
        if journal is None:
            return
        # What was never granted has an attempt of its own: no record is of two.
        attempt = hold.id.attempt if hold is not None else call.attempt + 1
        row = self._ended(call, duration) if final else None
        settled = encode(Settled(call.id, attempt, parts, row))
        if self.gathers:
            journal.append(settled)
        else:
            journal.record(settled)

    def released(self, hold: Hold) -> None:
        """Write that a hold was given back; nothing waits for it."""
        if self._journal is not None:
            self._journal.append(encode(Released(hold.id.call, hold.id.attempt)))

    def reset(self, counter: bytes) -> None:
        """Write that a counter began anew."""
        if self._journal is not None:
            self._journal.record(encode(Reset(counter)))

    def _row(self, call: Call) -> Row:
        """Begin the row of a call."""
        caller = call.caller
        return Row(
            self._who(call), call.id, call.time, call.time, 0.0, "success", 0, 0, 0, call.account.end_user,
            caller.tags if caller is not None else (), call.address,
        )  # fmt: skip

    def _ended(self, call: Call, duration: float) -> Row:
        """Complete the row of a call that has ended."""
        account, usage = call.account, call.usage
        row = account.row or self._row(call)
        row.request_id = account.answer_id or call.id
        row.end_time = call.time + duration
        if call.first_byte:
            row.completion_start_time = call.time + (call.first_byte - call.arrived)
        if call.error is not None or call.status >= 400:
            row.status = "failure"
        if usage is None:
            row.spend = row.prompt_tokens = row.completion_tokens = 0
        else:
            row.spend, row.prompt_tokens, row.completion_tokens = usage.cost or 0, usage.input, usage.output
        row.metadata = ESTIMATED if usage is not None and usage.estimated else "{}"
        return row

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


def parts(claims: Sequence[Claim], until: Sequence[int], amounts: Sequence[int]) -> list[Part]:
    """Return what outlives the process of some claims: all but what counts only while it runs."""
    return [
        (counter.id, end, amount)
        for (counter, _), end, amount in zip(claims, until, amounts, strict=True)
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


def uncounted(error: CountersError) -> InternalError:
    """Tell a client that nobody knows whether its call fits."""
    return InternalError(503, "limits_unavailable", f"{error}; no call that they limit is taken; try again soon")


def _written(journal: Journal, entry: Entry) -> InternalError | None:
    return None if journal.write_now(entry) else _unavailable(journal)


def _unavailable(journal: Journal) -> InternalError:
    return InternalError(
        503,
        "journal_unavailable",
        f"spend cannot be recorded ({journal.reason or 'not written'}), so no call is taken; try again soon",
    )
