"""Texts as the database takes them: valid UTF-8, no NUL, and none longer in an index than an index takes."""

from __future__ import annotations

import hashlib
import re

ESCAPE = "\U0010ffff"
"""A character that no language has; it stands before what it stands for: `0` a NUL, `1` itself."""
LONGEST = 200
"""Characters of a text in a key; an entry of an index holds 2,704 bytes, and four of them a character."""
DIGEST = 16
"""Bytes of the digest that tells long texts apart."""
_ODD = re.compile(f"[\0{ESCAPE}\ud800-\udfff]")
_SPELLED = {"\0": f"{ESCAPE}0", ESCAPE: f"{ESCAPE}1"}


def clean(text: str) -> str:
    """Return a text as it is stored: NUL is spelled out; half characters, which JSON can spell, become `?`."""
    if text.isascii() and "\0" not in text:
        return text
    return _ODD.sub(lambda found: _SPELLED.get(found[0], "?"), text)


def plain(text: str) -> str:
    """Return a stored text as it was."""
    if ESCAPE not in text:
        return text
    return text.replace(f"{ESCAPE}0", "\0").replace(f"{ESCAPE}1", ESCAPE)


def bounded(text: str) -> str:
    """Return what stands for a stored text in a key: itself, or its beginning and a digest of all of it."""
    if len(text) <= LONGEST:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=DIGEST).hexdigest()
    return f"{text[: LONGEST - 2 * DIGEST - 1]}{ESCAPE}{digest}"


def like(name: str, place: str, value: str, indexed: int) -> str:
    """Ask a column, whose first characters are in an index, for a parameter's value.

    Those of a shorter text are all of it; to ask for more would let the planner think that there is less of it.
    """
    if len(value) < indexed:
        return f'left("{name}", {indexed}) = {place}::text'
    return f'left("{name}", {indexed}) = left({place}::text, {indexed}) AND "{name}" = {place}::text'
