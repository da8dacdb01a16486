"""The scripts that count, one for each verb, and how they are called: one key, and everything else in one packed argument."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha1
from importlib.resources import files

from adapters.counters.redis.link import command

VERBS = ("reserve", "extend", "settle", "keep", "reset", "join", "stage", "apply")


class Script:
    """One script, with all that it needs before it."""

    __slots__ = ("_head", "load")

    def __init__(self, text: str, key: bytes) -> None:
        # Redis names scripts by SHA-1; nothing is secured by it.
        sha = sha1(text.encode(), usedforsecurity=False).hexdigest().encode()
        self.load = command("SCRIPT", "LOAD", text)
        """The command that makes Redis know it."""
        self._head = b"*5\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n1\r\n$%d\r\n%b\r\n$" % (sha, len(key), key)

    def __repr__(self) -> str:
        return f"<Script {len(self.load)} bytes>"

    def call(self, argument: bytes) -> bytes:
        """Write a call of it."""
        return b"%b%d\r\n%b\r\n" % (self._head, len(argument), argument)


def scripts(prefix: str) -> Mapping[str, Script]:
    """Return every script, for the keys that begin with a prefix."""
    shared = _text("tallies") + _text("holds")
    return {verb: Script(shared + _text(verb), prefix.encode()) for verb in VERBS}


@cache
def _text(name: str) -> str:
    return files("adapters.counters.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")
