"""Where the texts of a body stand: a dialect names the places, whoever guards texts reads and replaces them there.

A place is a path of members, `[]` for each element of a list, `[role=tool]` for each whose member is that, `[role!=tool]` for
each whose is not, and `**` at its end for every text within. What stands there and is no text is passed over, but numbers
where a text should be: those are tokens, in which nobody can look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

INPUT, OUTPUT, CALLS, RESULTS = "input", "output", "toolCalls", "toolResults"
"""What a text is: asked, answered, passed to a tool, come from one."""
ASKED, ANSWERED = frozenset({INPUT, CALLS, RESULTS}), frozenset({OUTPUT, CALLS})
"""What the texts of a request are, and those of an answer."""
_STEP = re.compile(r"\[(?:(\w+)(!?=)(\w+))?\]|\*\*|[^.\[\]*]+")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Slot(NamedTuple):
    """One text, in `holder` at `key`, and what it is."""

    holder: Any
    key: Any
    text: str
    phase: str

    def put(self, text: str) -> None:
        """Write another text in its place."""
        self.holder[self.key] = text


class Each(NamedTuple):
    """The elements of a list that are meant: those whose member `name` is `value`, or is not; all where it has no name."""

    name: str
    value: str
    equal: bool
    node: Node

    def fits(self, element: Any) -> bool:
        """Tell whether an element is meant."""
        return not self.name or (type(element) is dict and (element.get(self.name) == self.value) is self.equal)


class Node:
    """What is looked at where some paths lead: they are walked together, each value once."""

    __slots__ = ("_for", "deep", "each", "inner", "phase")

    def __init__(self) -> None:
        self.phase = ""
        """What a text here is; empty where none is looked for."""
        self.deep = ""
        """What every text within is."""
        self.inner: dict[str, Node] = {}
        self.each: list[Each] = []
        self._for: dict[tuple[bool, ...], Node] = {}

    def add(self, steps: Sequence[re.Match[str]], phase: str) -> None:
        """Add a path from here."""
        if not steps:
            self.phase = phase
        elif steps[0][0] == "**":
            self.deep = phase
        else:
            self._next(steps[0]).add(steps[1:], phase)

    def element(self, value: Any) -> Node:
        """Return what is looked at in an element of a list: all that holds for it, in one."""
        fits = tuple([one.fits(value) for one in self.each])
        found = self._for.get(fits)
        if found is None:
            found = self._for[fits] = Node()
            for one, fit in zip(self.each, fits, strict=True):
                if fit:
                    found.merge(one.node)
        return found

    def merge(self, other: Node) -> None:
        """Add all that another looks at."""
        self.phase, self.deep = self.phase or other.phase, self.deep or other.deep
        for name, node in other.inner.items():
            self.inner.setdefault(name, Node()).merge(node)
        for one in other.each:
            self._each(one[:3]).merge(one.node)

    def _next(self, step: re.Match[str]) -> Node:
        if not step[0].startswith("["):
            return self.inner.setdefault(step[0], Node())
        return self._each((step[1] or "", step[3] or "", step[2] != "!="))

    def _each(self, wanted: tuple[str, str, bool]) -> Node:
        for one in self.each:
            if one[:3] == wanted:
                return one.node
        self.each.append(Each(*wanted, Node()))
        return self.each[-1].node


class Tokens(Exception):  # noqa: N818 - a finding of what is there, not a fault
    """Numbers stand where texts should; the member is the message."""


class Slots:
    """The places of texts in one kind of body; each path comes with its phase."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._by_phases: dict[frozenset[str], Node] = {}
        self._paths = [([*_STEP.finditer(path)], phase) for path, phase in paths.items()]

    def of_members(
        self, members: Mapping[str, msgspec.Raw], phases: frozenset[str]
    ) -> tuple[dict[str, Any], list[Slot]]:
        """Decode the members of a request that hold texts of some phases; return them and the texts. Raises Tokens."""
        wanted = self._root(phases).inner
        values = {name: _decode(members[name]) for name in wanted.keys() & members.keys()}
        found: list[Slot] = []
        for name in values:
            if _walk(values, name, wanted[name], found):
                raise Tokens(name)
        return values, found

    def of_body(self, body: Any, phases: frozenset[str]) -> list[Slot]:
        """Return the texts of a decoded body; what stands in their places and is none says nothing."""
        found: list[Slot] = []
        if isinstance(body, dict):
            for name, node in self._root(phases).inner.items():
                if name in body:
                    _walk(body, name, node, found)
        return found

    def _root(self, phases: frozenset[str]) -> Node:
        root = self._by_phases.get(phases)
        if root is None:
            root = self._by_phases[phases] = Node()
            for steps, phase in self._paths:
                if phase in phases:
                    root.add(steps, phase)
        return root


class Repeats:
    """Members that say again what texts of a body say."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._root = Node()
        for path in paths:
            self._root.add([*_STEP.finditer(path)], "again")

    def drop(self, body: dict[str, Any]) -> None:
        """Take them away."""
        _drop(body, self._root)


def _drop(value: Any, node: Node) -> None:
    if isinstance(value, dict):
        for name, inner in node.inner.items():
            if name in value and inner.phase:
                del value[name]
            elif name in value:
                _drop(value[name], inner)
    elif isinstance(value, list):
        for one in node.each:
            for element in value:
                _drop(element, one.node)


def encoded(value: Any) -> msgspec.Raw:
    """Write a member that was changed."""
    return msgspec.Raw(_encode(value))


def _walk(holder: Any, key: Any, node: Node, found: list[Slot]) -> bool:
    """Add the texts of a value; tell whether numbers stand where texts should."""
    value = holder[key]
    kind = type(value)
    if kind is str:
        phase = node.phase or node.deep
        if phase:
            found.append(Slot(holder, key, value, phase))
        return False
    tokens = kind is int and bool(node.phase)
    if kind is dict and node.inner:
        inner = node.inner
        for name in value:
            below = inner.get(name)
            if below is not None:
                tokens |= _walk(value, name, below, found)
    elif kind is list and node.each:
        for index, element in enumerate(value):
            tokens |= _walk(value, index, node.element(element), found)
    if node.deep:
        found += within(value, node.deep)
    return tokens


def within(value: Any, phase: str) -> Iterator[Slot]:
    """Give every text within a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in [*pairs]:
        if isinstance(inner, str):
            yield Slot(value, key, inner, phase)
        else:
            yield from within(inner, phase)
