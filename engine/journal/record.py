"""One record in a segment: its length and its check, 4 bytes each, little-endian, then the payload.

The check is the CRC-32C (Castagnoli, RFC 3720 appendix B.4) of the payload, begun at the segment's salt XOR the length:
a wrong length fails it too, zeros never pass it, and a payload cannot be made to look like records of its segment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from google_crc32c import extend

HEAD = struct.Struct("<II")
LONGEST = 16 * 1024 * 1024
"""Bytes of a payload at most; what claims to be longer is no record."""


class JournalError(Exception):
    """The journal cannot be used; the message says why, and for damage the file and the offset."""


def encode(payload: bytes, salt: int) -> bytes:
    """Make the record of a payload; raises ValueError when it is too long."""
    length = len(payload)
    if length > LONGEST:
        raise ValueError(f"a record of {length} bytes; {LONGEST} at most")
    return HEAD.pack(length, extend(salt ^ length, payload)) + payload


def end_of(data: bytes, offset: int, salt: int) -> int | None:
    """Return where the record at `offset` ends, None when there is no whole one."""
    if len(data) - offset < HEAD.size:
        return None
    length, check = HEAD.unpack_from(data, offset)
    begin = offset + HEAD.size
    if length > min(LONGEST, len(data) - begin) or extend(salt ^ length, data[begin : begin + length]) != check:
        return None
    return int(begin + length)


def ends(data: bytes, offset: int, salt: int) -> Iterator[int]:
    """Walk over whole records from `offset` on; yields where each ends, up to the first that fails its check."""
    end = end_of(data, offset, salt)
    while end is not None:
        yield end
        end = end_of(data, end, salt)


def any_from(data: bytes, offset: int, salt: int) -> bool:
    """Tell whether a whole record begins anywhere from `offset` on, at a record's place or not."""
    last = len(data.rstrip(b"\0"))
    return any(end_of(data, place, salt) is not None for place in range(offset, last))
