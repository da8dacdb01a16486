"""What the journal holds of the ledger: holds granted, settled and given back, each a record of its own.

A settlement is whole in itself: what each counter got, and the spend row. Records are MessagePack arrays; instants of
counters are Unix nanoseconds, those of rows Unix seconds. What is the same for all calls of a key to a deployment (`Who`)
is encoded once and embedded.
"""

from __future__ import annotations

import functools

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


class Row(msgspec.Struct, array_like=True, gc=False):
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
        who, name, start, end, first, status, spend, read, written, end_user, tags, address, session, metadata = (
            _fields(self)
        )
        key, user, team, organization, call_type, model, model_id, group, provider, api_base = _who(bytes(who))
        return _new(SpendRow, (
            name, start, end, first, call_type, "success" if status == "success" else "failure", key, user, team,
            organization, end_user, model, model_id, group, provider, api_base, spend, read, written, "", "", session,
            address, tags, metadata, "{}",
        ))  # fmt: skip


Part = tuple[bytes, int, int]
"""The id of a counter, the instant from which on the amount no longer counts in it, and the amount."""


class Held(msgspec.Struct, array_like=True, gc=False, tag=1):
    """A hold was granted; `row` is what to write if nothing more is ever heard of it.

    A later one of the same call and attempt holds more: its `row` replaces that of the first.
    """

    call: str
    attempt: int
    parts: list[Part]
    row: Row


class Opened(msgspec.Struct, array_like=True, gc=False, tag=1):
    """A `Held` of which only the names are read: most are settled before anybody asks for the rest."""

    call: str
    attempt: int
    parts: Raw
    row: Raw


class Settled(msgspec.Struct, array_like=True, gc=False, tag=2):
    """A hold has ended: these amounts were used. `row` is None for an attempt after which the call went on."""

    call: str
    attempt: int
    parts: list[Part]
    row: Row | None


class Released(msgspec.Struct, array_like=True, gc=False, tag=3):
    """A hold was given back unused."""

    call: str
    attempt: int


class Reset(msgspec.Struct, array_like=True, gc=False, tag=4):
    """A counter began anew: what was used in it no longer counts."""

    counter: bytes


Record = Held | Settled | Released | Reset

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Record).decode
decode_named = msgspec.msgpack.Decoder(Opened | Settled | Released | Reset).decode
_new = tuple.__new__
_fields = msgspec.structs.astuple
_decode_who = msgspec.msgpack.Decoder(Who).decode


@functools.lru_cache(maxsize=4096)
def _who(packed: bytes) -> tuple[str, ...]:
    """Decode what many rows embed, once."""
    return _fields(_decode_who(packed))


def packed(who: Who) -> Raw:
    """Encode what many records embed."""
    return Raw(encode(who))
