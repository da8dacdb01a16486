"""Names with `*`, which stands for any text."""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    """Tell whether a name fits a pattern; every other character stands for itself."""
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    if not name.startswith(head):
        return False
    at = len(head)
    *middle, tail = rest
    for piece in middle:
        at = name.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(name) - len(tail) >= at and name.endswith(tail)
