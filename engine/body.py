"""A JSON request body as its top-level members, undecoded: read in one pass, rebuilt from the same bytes.

Laws of this file:
1. Each key once: parsers differ on duplicates, so a body with two equal keys (after unescaping and case folding) could
   show one value to a policy and another to the provider. It is refused.
2. What a strict parser may refuse is refused here, as 400: nesting over 512, lone surrogates, NaN, bad UTF-8.
3. The common body (compact JSON of a few kilobytes) pays for one decode and a handful of byte scans.
"""

from __future__ import annotations

import re
from array import array
from itertools import accumulate

import msgspec
import orjson
from msgspec import Raw

from engine.errors import ClientError, invalid_request

NESTING = 512
LARGE = 32 * 1024
"""Bytes of a value from which it is sent on where it lies: writing two pieces costs less than copying them."""
Members = dict[str, Raw]

_decoder = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode
_KEY = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_NEXT = re.compile(rb"[ \t\r\n]*([,}])")
_NOT_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_DISTINCT = frozenset(
    [
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "tools",
        "tool_choice",
        "response_format",
        "user",
        "metadata",
        "seed",
        "stop",
        "input",
        "prompt",
        "instructions",
        "encoding_format",
        "dimensions",
    ]
)
"""Common members, no two of which are alike: a body of these alone need not be folded."""
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""A bracket as the step it takes, a signed byte."""


def read(body: bytes) -> Members:
    """Decode a body to its members; raises ClientError 400 saying what is wrong and where."""
    try:
        members = _decoder.decode(body)
    except msgspec.ValidationError:
        raise invalid_request("the request body must be a JSON object") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _broken(body, error) from None
    _check_text(body)
    if len(body) > 2 * NESTING and _openers(body, b"[", NESTING) + _openers(body, b"{", NESTING) > NESTING:
        _check_nesting(body)
    if _compact_length(members) != len(body):
        _check_unique(body, members)
    if not members.keys() <= _DISTINCT and len({key.casefold() for key in members}) != len(members):
        raise invalid_request(f"two members of the request body are the same but for case: {_alike(members)}")
    return members


def rebuild(members: Members) -> bytes:
    """Write a body from its members: each key once, values as they came."""
    return _encode(members)


def pieces(members: Members) -> list[bytes | memoryview]:
    """Write a large body from its members without copying the large ones."""
    written: list[bytes | memoryview] = []
    text = bytearray()
    before = b"{"
    for name, value in members.items():
        view = memoryview(value)
        text += b"%b%b:" % (before, _encode(name))
        before = b","
        if len(view) < LARGE:
            text += view
        else:
            written += (bytes(text), view)
            text = bytearray()
    text += b"}" if members else b"{}"
    written.append(bytes(text))
    return written


def _broken(body: bytes, error: Exception) -> ClientError:
    if not body.strip():
        return invalid_request("the request body is empty; send a JSON object")
    if isinstance(error, RecursionError):
        return _too_deep()
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as found:
        return invalid_request(
            f"the request body is not valid JSON: {found.msg} (line {found.lineno}, column {found.colno})"
        )
    return invalid_request("the request body is not valid JSON")


def _too_deep() -> ClientError:
    return invalid_request(f"the request body is nested deeper than {NESTING} levels")


def _check_text(body: bytes) -> None:
    """Refuse bad UTF-8 and lone surrogates: undecoded members have been skipped, not read."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise invalid_request(f"the request body is not valid UTF-8 (byte {error.start})") from None
    if b"\\" in body and (b"\\ud" in body or b"\\uD" in body):
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError:
            raise invalid_request("the request body holds a lone surrogate (`\\ud800` to `\\udfff` unpaired)") from None


def _openers(body: bytes, bracket: bytes, most: int) -> int:
    """Count a bracket up to a bound; `find` leaps where `count` walks, and brackets are few."""
    found, find = 0, body.find
    at = find(bracket)
    while at >= 0 and found <= most:
        found += 1
        at = find(bracket, at + 1)
    return found


def elements(members: Members, most: int) -> int:
    """Count objects and lists up to a bound; beyond it, say as many as there are bytes."""
    found = size = 0
    for value in members.values():
        text = bytes(value)
        size += len(text)
        found += _openers(text, b"{", most) + _openers(text, b"[", most)
        if found > most:
            return size
    return found


def _check_nesting(body: bytes) -> None:
    """Count brackets up and down, in time that grows with the body alone."""
    rest = body
    if b"\\" in rest:
        rest = rest.replace(b"\\\\", b"").replace(b'\\"', b"")
    rest = b"".join(rest.translate(_STEPS, _NOT_BRACKETS).split(b'"')[::2])
    if max(accumulate(array("b", rest)), default=0) > NESTING:
        raise _too_deep()


def _compact_length(members: Members) -> int:
    """Compute the shortest text of these members; a body of just this length has nothing else in it."""
    length = 1 + (4 * len(members) or 1)
    for key, value in members.items():
        length += len(key) + len(memoryview(value))
    return length


def _check_unique(body: bytes, members: Members) -> None:
    """Walk the top level beside its decoded form: a key said twice leaves the walk out of step."""
    at = body.index(b"{") + 1
    for key, value in members.items():
        found = _KEY.match(body, at)
        if found is None or orjson.loads(found[1]) != key or not body.startswith(bytes(value), found.end()):
            raise _twice(body, at)
        after = _NEXT.match(body, found.end() + len(memoryview(value)))
        if after is None:
            raise _twice(body, at)
        at = after.end()
    if members and body[at - 1 : at] != b"}":
        raise _twice(body, at)


def _twice(body: bytes, at: int) -> ClientError:
    found = _KEY.match(body, at)
    name = f" `{orjson.loads(found[1])}`" if found else ""
    return invalid_request(f"the request body says a member twice, near{name}; say each once")


def _alike(members: Members) -> str:
    seen: dict[str, str] = {}
    for key in members:
        other = seen.setdefault(key.casefold(), key)
        if other != key:
            return f"`{other}` and `{key}`"
    return ""
