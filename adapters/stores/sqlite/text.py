"""Texts as the database takes them."""

from __future__ import annotations


def clean(text: str) -> str:
    """Return a text that is valid UTF-8: half characters, which JSON can spell, become `?`."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()
