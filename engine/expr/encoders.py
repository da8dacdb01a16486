"""Base64."""

from __future__ import annotations

import binascii
import re
from typing import Any, Final

from engine.expr.faults import no_overload, too_long
from engine.expr.schema import BYTES, STRING, Function, Signature
from engine.expr.values import MAX_TEXT, EvaluationError

_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*(={0,2})", re.ASCII)


def encode(data: Any) -> str:
    """Return bytes as base64 text, padded."""
    if type(data) is not bytes:
        raise no_overload("base64.encode", data)
    if (len(data) + 2) // 3 * 4 > MAX_TEXT:
        raise too_long(str)
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode(text: Any) -> bytes:
    """Return the bytes of base64 text, padded or not."""
    if type(text) is not str:
        raise no_overload("base64.decode", text)
    if len(text) // 4 * 3 > MAX_TEXT:
        raise too_long(bytes)
    found = _BASE64.fullmatch(text)
    if found is None or (len(text) % 4 if found[1] else len(text) % 4 == 1):
        raise EvaluationError("base64.decode: not base64")
    return binascii.a2b_base64(text if found[1] else text + "=" * (-len(text) % 4))


FUNCTIONS: Final = (
    Function("base64.encode", encode, (Signature((BYTES,), STRING),)),
    Function("base64.decode", decode, (Signature((STRING,), BYTES),)),
)
