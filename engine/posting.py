"""What the journal holds of the ledger: holds granted, settled and given back, each a record of its own.

A settlement is whole in itself: what each counter got, and the spend row. Records are MessagePack arrays; instants of
counters are Unix nanoseconds, those of rows Unix seconds. What is the same for all calls of a key to a deployment (`Who`)
is encoded once and embedded.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from engine.storing import SpendRow


class Who(msgspec.Struct, array_like=True, frozen=True):
    """What the rows of a key's calls to a deployment have in common, by the names of `SpendRow`."""

    api_key: str = ""
    user: str = ""
    team_id: str = ""
    organization_id: str = ""
    call_type: str = ""
    model: str = ""
    model_id: str = ""
    model_group: str = ""
    custom_llm_provider: str = ""
    api_base: str = ""


class Row(msgspec.Struct, array_like=True):
    """A spend row without its `Who`."""

    who: Raw
    request_id: str
    start_time: float
    end_time: float
    completion_start_time: float
    status: str
    spend: int
    prompt_tokens: int
    completion_tokens: int
    end_user: str = ""
    request_tags: tuple[str, ...] = ()
    requester_ip_address: str = ""
    session_id: str = ""
    metadata: str = "{}"

    def spend_row(self) -> SpendRow:
        """Return the row as the store keeps it."""
        who = _who(self.who)
        return SpendRow(
            self.request_id, self.start_time, self.end_time, self.completion_start_time, who.call_type,
            "success" if self.status == "success" else "failure", who.api_key, who.user, who.team_id, who.organization_id,
            self.end_user, who.model, who.model_id, who.model_group, who.custom_llm_provider, who.api_base, self.spend,
            self.prompt_tokens, self.completion_tokens, session_id=self.session_id,
            requester_ip_address=self.requester_ip_address, request_tags=self.request_tags, metadata=self.metadata,
        )  # fmt: skip


Part = tuple[bytes, int, int]
"""The id of a counter, the instant from which on the amount no longer counts in it, and the amount."""


class Held(msgspec.Struct, array_like=True, tag=1):
    """A hold was granted; `row` is what to write if nothing more is ever heard of it.

    A later one of the same call and attempt holds more: its `row` replaces that of the first.
    """

    call: str
    attempt: int
    parts: list[Part]
    row: Row


class Settled(msgspec.Struct, array_like=True, tag=2):
    """A hold has ended: these amounts were used. `row` is None for an attempt after which the call went on."""

    call: str
    attempt: int
    parts: list[Part]
    row: Row | None


class Released(msgspec.Struct, array_like=True, tag=3):
    """A hold was given back unused."""

    call: str
    attempt: int


class Reset(msgspec.Struct, array_like=True, tag=4):
    """A counter began anew: what was used in it no longer counts."""

    counter: bytes


Record = Held | Settled | Released | Reset

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Record).decode
_who = msgspec.msgpack.Decoder(Who).decode


def packed(who: Who) -> Raw:
    """Encode what many records embed."""
    return Raw(encode(who))
