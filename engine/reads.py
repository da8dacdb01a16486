"""What the policies of a call read of it, written down: every attribute's value, content by its hash and size.

What caller, route and model alone decide is written once for all their calls; the rest is written for each.
"""

from __future__ import annotations

import hashlib
import json
from binascii import hexlify
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from engine.activation import BODIES, Activation
from engine.expr.program import ERRORS
from engine.standing import ABSENT, Standing, follow

if TYPE_CHECKING:
    from engine.policy import Ref

CONTENT = (
    ("llm", "prompt"), ("llm", "completion"), ("llm", "params", "prediction"), ("llm", "params", "suffix"),
    ("llm", "params", "system"), ("llmRequest",), ("response", "body"),
)  # fmt: skip
"""What is content: recorded by its hash and size, and so is what holds it."""
LONGEST = 256
"""Characters of one recorded value; a longer one is recorded by its hash."""
MOST = 16
"""Elements of one recorded value."""


class Read(NamedTuple):
    """One attribute that is read: its name, the way to it, and whether it is content."""

    name: str
    variable: str
    path: tuple[str, ...]
    content: bool


PROMPT = Read("llm.prompt", "llm", ("prompt",), content=True)


def every(refs: Iterable[Ref]) -> tuple[Read, ...]:
    """Return the attributes that references read, each once."""
    return tuple(dict.fromkeys(map(_read, sorted(refs))))


class Reads:
    """The attributes that the policies of one kind of call read; `standing` are those that never differ among its calls."""

    __slots__ = ("_every", "_prompt", "_standing", "_varying")

    def __init__(self, reads: tuple[Read, ...], refs: Iterable[Ref], standing: Standing) -> None:
        self._every = reads
        varying = {_read(ref) for ref in refs if not standing.stands(ref)}
        self._prompt = PROMPT in varying
        self._varying = tuple(read for read in self._every if read in varying and read != PROMPT)
        found = [(read, standing.value((read.variable, *read.path))) for read in self._every if read not in varying]
        fixed = {
            read.name: _hashed(value) if read.content or _large(value) else value
            for read, value in found
            if value is not ABSENT
        }
        self._standing = written(fixed)[:-1]

    def text(self, activation: Activation, *, content: bool, hidden: frozenset[str]) -> bytes:
        """Write all that was read of a call; `hidden` names what is left out."""
        if content or hidden:
            return self._shown(activation, content=content, hidden=hidden)
        text = self._standing
        if self._prompt and (prompt := _prompt(activation)):
            text = b"%b,%b" % (text, prompt) if len(text) > 1 else text + prompt
        values: dict[str, Any] = {}
        for name, variable, path, secret in self._varying:
            if variable not in activation:
                continue
            value: Any = activation[variable]
            for step in path:
                value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
            if value is not ABSENT:
                values[name] = _hashed(value) if secret or _large(value) else value
        if not values:
            return text + b"}"
        return text + (b"," if len(text) > 1 else b"") + written(values)[1:]

    def _shown(self, activation: Activation, *, content: bool, hidden: frozenset[str]) -> bytes:
        values: dict[str, Any] = {}
        if activation.scanned:
            with suppress(*ERRORS):
                _ = activation["llm"]
        whole: Mapping[str, Any] = {"apiKey": activation["apiKey"], **activation}
        for read in self._every:
            value = follow(whole, (read.variable, *read.path))
            if value is ABSENT or any(read.name == one or read.name.startswith(f"{one}.") for one in hidden):
                continue
            for inner in hidden:
                if inner.startswith(f"{read.name}."):
                    value = _without(value, inner[len(read.name) + 1 :])
            values[read.name] = _hashed(value) if not content and (read.content or _large(value)) else value
        return written(values)


def written(value: Any) -> bytes:
    """Write a value, an odd one too: clients send numbers beyond 64 bits, and headers that are not UTF-8."""
    try:
        return orjson.dumps(value, _plain)
    except TypeError:
        return json.dumps(value, default=_plain).encode()


def _read(ref: Ref) -> Read:
    path = ref[: ref.index("*")] if "*" in ref else ref
    content = any(path[: len(one)] == one[: len(path)] for one in CONTENT)
    return Read(".".join(path), path[0], path[1:], content)


def _prompt(activation: Activation) -> bytes:
    """Write the hash of a prompt that was read: of the member it came in where there is one, else as it was read."""
    if not activation.scanned and "prompt" not in activation.get("llm", ()):
        return b""
    members = activation.call.members
    holders = BODIES & members.keys() if not activation.edited else ()
    if len(holders) == 1:
        (holder,) = holders
        text = memoryview(members[holder])
        return b'"llm.prompt":{"sha256":"%b","size":%d}' % (hexlify(hashlib.sha256(text).digest()), len(text))
    with suppress(*ERRORS):
        return b'"llm.prompt":%b' % written(_hashed(activation["llm"]["prompt"]))
    return b""


def _plain(value: object) -> object:
    """Write what JSON has no word for: times in nanoseconds, unsigned numbers as numbers, anything else as text."""
    return int(value) if isinstance(value, int) else str(value)


def _without(value: Any, name: str) -> Any:
    """Return a value less what a path in it leads to; keys may hold dots themselves."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without(inner, name[len(key) + 1 :]) if name.startswith(f"{key}.") else inner
        for key, inner in value.items()
        if key != name
    }


def _large(value: Any) -> bool:
    kind = type(value)
    return (kind is str and len(value) > LONGEST) or (kind in (list, dict) and len(value) > MOST)


def _hashed(value: Any) -> dict[str, Any]:
    text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else written(value)
    return {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
