# ruff: noqa: RUF001 - letters that look alike are what this is about
"""What a text says that is not read off it at once: invisible characters, look-alikes, spread letters, encodings."""

from __future__ import annotations

import base64
import binascii
import codecs
import itertools
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from engine.closure import compiled
from engine.scanning import Sieve

_INVISIBLE = dict.fromkeys(
    [0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF, *range(0xE0000, 0xE0080), *range(0xFE00, 0xFE10)]
)  # fmt: skip
"""Characters that are not seen, and that split words for who looks for them."""
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
"""Tag characters: ASCII that nobody sees, and that models read."""
_ALIKE = str.maketrans("аеорсухіјѕһԁӏѵԛԝɡΑΒΕΖΗΙΚΜΝΟΡΤΥΧоαιονρυ", "aeopcyxijshdlvqwgABEZHIKMNOPTYXoaionpu")
"""Letters of other alphabets that look like ours."""
_BASE64, _HEX, _SPREAD, _TURNED, _ROTATED, _LEETED = _FORMS = tuple(
    map(
        compiled,
        (
            r"[A-Za-z0-9+/_-]{24,}={0,2}", r"(?:(?:\\\\?x|0x|%)?[0-9A-Fa-f]{2}[ ,]?){14,}", r"(?:\b[A-Za-z][._*-]){3,}[A-Za-z]\b|(?:\b[A-Za-z] ){4,}[A-Za-z]\b", r"(?i)\b(?:revers(?:e|ed|ing)|backwards?|mirrored|right to left)\b",
            r"(?i)\b(?:rot[ -]?13|caesar)\b", r"(?i)\b[a-z]+[013457@$]+[a-z]{1,20}[a-z013457@$]*\b",
        ),
    )
)  # fmt: skip
_GAPS = (compiled(r"\b[A-Za-z](?:[._*-][A-Za-z])+\b"), compiled(r"\b[A-Za-z](?: [A-Za-z])+\b"))
"""Letters set apart by signs, and by spaces: then more than one parts words."""
_SIEVE = Sieve([one.pattern for one in _FORMS])
_LEET = bytes.maketrans(b"013457@$", b"oieastas")
_LEAST_LEETED = 3
"""Words written so from which on a text is taken for written so."""
_BEGINNING, _FLOOD = 1024, 20
"""Bytes that are looked at for repetitions, and words from which on they are."""
_MOST = 8
"""Pieces of a text that are decoded."""


def plain(text: str) -> str:
    """Return a text as it reads: of full width, of look-alikes and with invisible characters, written in ordinary ones."""
    if text.isascii():
        return text
    shown = unicodedata.normalize("NFKC", text.translate(_TAGS)).translate(_INVISIBLE)
    return _latin(shown)


def _latin(text: str) -> str:
    """Write look-alikes in words that also have letters of ours; other words are of another language."""
    return re.sub(
        r"\w+", lambda found: found[0].translate(_ALIKE) if re.search("[A-Za-z]", found[0]) else found[0], text
    )


def flooded(data: bytes) -> bool:
    """Tell whether the beginning of a text repeats a few words again and again."""
    words = data[:_BEGINNING].split()
    return len(words) >= _FLOOD and len(set(words)) * 10 <= len(words) and words[-2].isalpha()


def hidden(data: bytes) -> Iterator[bytes]:
    """Yield what a text says in disguise, each disguise undone by itself; nothing for most texts."""
    passed = {_FORMS[place] for place in _SIEVE.passed(data)}
    if _BASE64 in passed:
        for found in itertools.islice(_BASE64.finditer(data), _MOST):
            yield from _read(_unpacked(found[0]))
    if _HEX in passed:
        for found in itertools.islice(_HEX.finditer(data), _MOST):
            yield from _read(_bytes(found[0]))
    if _SPREAD in passed:
        for gaps in _GAPS:
            yield bytes(gaps.sub(lambda found: found[0].translate(None, b" ._*-"), data))
    if _TURNED in passed:
        yield data[:_BEGINNING].decode("utf-8", "ignore")[::-1].encode()
    if _ROTATED in passed:
        yield codecs.encode(data.decode("utf-8", "replace"), "rot13").encode()
    if _LEETED in passed and len(list(itertools.islice(_LEETED.finditer(data), _LEAST_LEETED))) == _LEAST_LEETED:
        yield data.translate(_LEET)


def _unpacked(packed: bytes) -> bytes:
    body = packed.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(
            body[: len(body) // 4 * 4] + (body[len(body) // 4 * 4 :] + b"==")[: 4 * (len(body) % 4 > 1)]
        )
    except (binascii.Error, ValueError):
        return b""


def _bytes(written: bytes) -> bytes:
    if b"%" in written:
        return unquote_to_bytes(written)
    digits = re.sub(rb"\\+x|0x|[ ,]", b"", written)
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode())


def _read(data: bytes) -> Iterator[bytes]:
    """Yield what was unpacked if it is a text."""
    text = data.decode("utf-8", "ignore")
    if (
        len(text) >= 12
        and sum(one.isprintable() or one.isspace() for one in text) >= 0.95 * len(text)
        and len(text) >= 0.9 * len(data) / 3
    ):
        yield text.encode()
