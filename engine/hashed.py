"""Keys as stores keep them: by their SHA-256 and in no other way, whatever mistake is made elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from engine.storing import Entity, Kind, StoreError

HASH = re.compile(r"[0-9a-f]{64}")


def hashed(key: str) -> str:
    """Return a key's hash: one that is not hashed is, so that no mistake elsewhere stores a secret."""
    if not key or HASH.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def checked(entity: Entity) -> None:
    """Refuse a key that is not hashed; raises StoreError, which does not show it."""
    if entity.kind is not Kind.KEY:
        return
    if not HASH.fullmatch(entity.id):
        raise StoreError("a key is stored by its SHA-256, 64 lower-case hexadecimal digits")
    for text in _texts([*entity[2:6], entity.document]):
        if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() == entity.id:
            raise StoreError("a key's clear text is never stored; leave it out of what goes with its hash")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts([name, inner])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
