"""Keys in force, found by the SHA-256 of what a client sends; the clear text of a key is never kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from engine.call import Caller


class Directory:
    """Callers by key hash. The master key is one of them, with every right."""

    def __init__(self, master_key: str | None, callers: Iterable[Caller] = ()) -> None:
        self._callers = {caller.key_hash: caller for caller in callers}
        self._master: Caller | None = None
        if master_key:
            self._master = Caller(digest(master_key), "proxy_admin")
            self._master.alias = "master key"
            self._master.user = "default_user_id"

    def __len__(self) -> int:
        return len(self._callers)

    def __repr__(self) -> str:
        return f"<Directory {len(self._callers)} keys>"

    @property
    def guarded(self) -> bool:
        """Whether a master key is set; without one every caller would pass."""
        return self._master is not None

    def find(self, key: str) -> Caller | None:
        """Return the caller whose key this is."""
        return self.known(digest(key))

    def known(self, key_hash: str) -> Caller | None:
        """Return the caller whose key has this hash.

        Only hashes are compared: the master key's in constant time, the others' by table, where timing tells
        nothing of a key.
        """
        master = self._master
        if master is not None and hmac.compare_digest(master.key_hash, key_hash):
            return master
        return self._callers.get(key_hash)


def digest(key: str) -> str:
    """Hash a key as it is stored and shown: SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def masked(key: str) -> str:
    """Show a key's last four characters only."""
    return f"sk-...{key[-4:]}"
