"""What a request says of what is charged for beside tokens: characters to speak, seconds heard, pictures asked for.

What an answer counts itself goes before; where neither says it, it is reckoned and marked `estimated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.call import Call, Measure, Measured, Usage

HEARD = 16_000
"""Bytes of a recording taken for a second where nobody counts them: MP3 at 128 kbit/s."""
SPOKEN = 15
"""Characters taken for a second of speech: 150 words a minute."""
SIZE = "1024x1024"
"""Of a picture whose size nobody says."""
_WAVE = 44
"""Bytes of the head of a plain WAVE recording."""
_decode = msgspec.json.Decoder().decode


def nothing(call: Call, usage: Usage | None) -> Usage | None:
    """Count an answer that reports nothing as one of no tokens: what is charged for it is the call."""
    del call
    return usage or Usage()


def pictures(call: Call, usage: Usage | None) -> Usage | None:
    """Count the pictures that were sent and asked for, and say which kind."""
    found = _measured(usage)
    count = _said(call, "n")
    found.units.setdefault("images", count if isinstance(count, int) and count > 0 else 1)
    if call.form is not None:
        found.units["input_images"] = len(call.form.files.get("image", ()))
    quality, _, size = found.variant.partition("/")
    quality, size = quality or str(_said(call, "quality") or ""), size or str(_said(call, "size") or SIZE)
    found.variant = f"{quality}/{SIZE if size == 'auto' else size}"
    return found


def speech(call: Call, usage: Usage | None) -> Usage | None:
    """Count what is spoken: its characters, and the seconds that they may take."""
    found = _measured(usage)
    text = _said(call, "input")
    characters = len(text) if isinstance(text, str) else 0
    found.units["characters"] = characters
    if not found.input and not found.output:
        found.units["spoken"] = characters * 1000 // SPOKEN
        found.input = found.total = -(-characters // 4)
        found.estimated = True
    return found


def recording(call: Call, usage: Usage | None) -> Usage | None:
    """Count the seconds of a recording: as the answer says, else from its file."""
    found = _measured(usage)
    if not found.input and not found.output and "milliseconds" not in found.units and call.form is not None:
        files = call.form.files.get("file", [])
        found.units["milliseconds"] = sum(_milliseconds(bytes(one[:4096]), len(one)) for one in files)
        found.estimated = True
    return found


MEASURES: Mapping[str, Measure] = {
    "images.generations": pictures,
    "images.edits": pictures,
    "images.variations": pictures,
    "audio.speech": speech,
    "audio.transcriptions": recording,
    "audio.translations": recording,
    "moderations": nothing,
    "rerank": nothing,
}
"""How each task is measured; tokens alone count for the others."""


def _measured(usage: Usage | None) -> Measured:
    if isinstance(usage, Measured):
        return usage
    found = Measured()
    if usage is not None:
        for name in Usage.__slots__:
            setattr(found, name, getattr(usage, name))
    return found


def _said(call: Call, name: str) -> Any:
    raw = call.members.get(name)
    return None if raw is None else _decode(raw)


def _milliseconds(head: bytes, size: int) -> int:
    """Reckon how long a recording is: a WAVE file says its bytes a second, any other is taken for an MP3."""
    at = head.find(b"RIFF")
    rate = HEARD
    if at >= 0 and head[at + 8 : at + 16] == b"WAVEfmt ":
        rate = int.from_bytes(head[at + 28 : at + 32], "little") or HEARD
        size -= at + _WAVE
    return max(size, 0) * 1000 // rate
