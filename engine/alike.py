"""Which calls are alike: those in which everything steady that their policies read is the same.

Of a client's calls in a row, tags, limits, tools and headers seldom change, the prompt and the time always do. What
rules say of the former is decided once for all alike calls (`Plan.residual`); the latter are evaluated for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.activation import HIDDEN, TAGGED
from engine.call import Call
from engine.end_user import HEADERS as USER_HEADERS

if TYPE_CHECKING:
    from engine.policy import Ref

LARGEST = 1024
"""Bytes of a member that is compared; a call with a larger one is like no other."""
ALIKE = 64
"""Kinds of alike calls remembered for one plan; beyond it they are forgotten."""
END_USER = frozenset({"user", "litellm_metadata", "metadata", "safety_identifier"})
"""Members that may name the end user."""
_SAME = frozenset({("request", "route"), ("llm", "model")})
"""What is the same for all calls of a plan."""
_CALL = frozenset({("llm", "streaming"), ("llm", "requestModel"), ("request", "method")})
"""What is always compared."""
_TARGET = frozenset({("request", "path"), ("request", "query")})

Key = tuple[object, ...]


def stands(ref: Ref) -> bool:
    """Tell whether caller, route and model alone decide what a reference reads."""
    return ref[0] in ("apiKey", "env") or ref[:2] in _SAME


class Alike:
    """How calls of one plan are compared: by these members, headers and facts."""

    __slots__ = ("_address", "_headers", "_members", "_on_behalf", "_target", "steady")

    def __init__(self, refs: Iterable[Ref]) -> None:
        members: set[str] = set()
        headers: set[str] = set()
        self._address = self._target = self._on_behalf = False
        steady = set()
        for ref in refs:
            variable, *path = ref
            name = path[0] if path else ""
            inner = path[1] if len(path) > 1 else "*"
            if stands(ref) or ref[:2] in _CALL:
                pass
            elif (variable, name) == ("llm", "params") and inner != "*":
                members.add(inner)
            elif (variable, name) == ("llm", "tools"):
                members |= {"tools", "functions"}
            elif (variable, name) == ("request", "tags"):
                members |= TAGGED
                headers.add("x-litellm-tags")
            elif (variable, name) == ("request", "headers") and inner != "*":
                headers |= {inner} - HIDDEN
            elif (variable, name) == ("request", "host"):
                headers.add("host")
            elif ref[:2] in _TARGET:
                self._target = True
            elif (variable, name) == ("source", "address"):
                self._address = True
            elif (variable, name) == ("endUser", "id"):
                members |= END_USER
                headers.update(USER_HEADERS)
                self._on_behalf = True
            else:
                continue
            steady.add(ref)
        self.steady = frozenset(steady)
        self._members = frozenset(members)
        self._headers = tuple(sorted(headers))

    def key(self, call: Call) -> Key | None:
        """Return what alike calls have in common; None for a call that is like no other."""
        compared = self._members
        found: list[object] = []
        for name, raw in call.members.items():
            if name in compared:
                text = bytes(raw)
                if len(text) > LARGEST:
                    return None
                found += (name, text)
        place = call.address if self._address else None
        target = call.source.target if self._target else None
        return (
            call.stream,
            call.model_asked,
            call.method,
            place,
            target,
            call.headers.get(call.snapshot.settings.user_header) if self._on_behalf else None,
            *map(call.headers.get, self._headers),
            *found,
        )
