"""Messages between processes of one gateway: a count of parts, then each part behind its length, 4 bytes each."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

_LENGTH = struct.Struct("<I")


def pack(parts: Sequence[bytes]) -> bytes:
    """Write one message."""
    return _LENGTH.pack(len(parts)) + b"".join(_LENGTH.pack(len(part)) + part for part in parts)


async def read_parts(reader: asyncio.StreamReader) -> list[bytes]:
    """Read one message; raises asyncio.IncompleteReadError at the end."""
    (count,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    parts = []
    for _ in range(count):
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        parts.append(await reader.readexactly(length))
    return parts
