"""Keys as they are stored and shown: by hash, or by their last characters."""

from __future__ import annotations

import hashlib


def digest(key: str) -> str:
    """Hash a key as it is stored and shown: SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def masked(key: str) -> str:
    """Show a key's last four characters only."""
    return f"sk-...{key[-4:]}"
