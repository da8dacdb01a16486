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


class Step(NamedTuple):
    """One step of a path: a member's name, or each element, those whose `name` is `value` or is not."""

    each: bool
    name: str = ""
    value: str = ""
    equal: bool = True


class Place(NamedTuple):
    """One path, as its first member and the steps from there; `deep` where every text within is meant."""

    member: str
    steps: tuple[Step, ...]
    deep: bool
    phase: str


class Tokens(Exception):  # noqa: N818 - a finding of what is there, not a fault
    """Numbers stand where texts should; the member is the message."""


class Slots:
    """The places of texts in one kind of body; each path comes with its phase."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self.places = tuple(_place(path, phase) for path, phase in paths.items())
        self.members = frozenset(place.member for place in self.places)

    def of_members(
        self, members: Mapping[str, msgspec.Raw], phases: frozenset[str]
    ) -> tuple[dict[str, Any], list[Slot]]:
        """Decode the members of a request that hold texts of some phases; return them and the texts. Raises Tokens."""
        wanted = [place for place in self.places if place.phase in phases and place.member in members]
        values = {place.member: _decode(members[place.member]) for place in wanted}
        return values, [slot for place in wanted for slot in _walk(values, place.member, place, 0)]

    def of_body(self, body: Any, phases: frozenset[str]) -> list[Slot]:
        """Return the texts of a decoded body. Raises Tokens."""
        if not isinstance(body, dict):
            return []
        return [
            slot
            for place in self.places
            if place.phase in phases and place.member in body
            for slot in _walk(body, place.member, place, 0)
        ]


class Repeats:
    """Members that say again what texts of a body say."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._places = [_place(path, "") for path in paths]

    def drop(self, body: dict[str, Any]) -> None:
        """Take them away."""
        for place in self._places:
            if place.member in body:
                for holder, key in [*_holders(body, place.member, place, 0)]:
                    del holder[key]


def _holders(holder: Any, key: Any, place: Place, at: int) -> Iterator[tuple[Any, Any]]:
    value = holder[key]
    if at == len(place.steps):
        yield holder, key
    elif place.steps[at].each:
        if isinstance(value, list):
            for index in range(len(value)):
                yield from _holders(value, index, place, at + 1)
    elif isinstance(value, dict) and place.steps[at].name in value:
        yield from _holders(value, place.steps[at].name, place, at + 1)


def encoded(value: Any) -> msgspec.Raw:
    """Write a member that was changed."""
    return msgspec.Raw(_encode(value))


def _place(path: str, phase: str) -> Place:
    found = [*_STEP.finditer(path)]
    deep = found[-1][0] == "**"
    steps = []
    for step in found[1 : len(found) - deep]:
        if step[0].startswith("["):
            steps.append(Step(each=True, name=step[1] or "", value=step[3] or "", equal=step[2] != "!="))
        else:
            steps.append(Step(each=False, name=step[0]))
    return Place(found[0][0], tuple(steps), deep, phase)


def _walk(holder: Any, key: Any, place: Place, at: int) -> Iterator[Slot]:
    value = holder[key]
    if at == len(place.steps):
        yield from _leaf(holder, key, place)
        return
    step = place.steps[at]
    if step.each:
        if isinstance(value, list):
            for index, element in enumerate(value):
                if not step.name or _fits(element, step):
                    yield from _walk(value, index, place, at + 1)
    elif isinstance(value, dict) and step.name in value:
        yield from _walk(value, step.name, place, at + 1)


def _fits(element: Any, step: Step) -> bool:
    return isinstance(element, dict) and (element.get(step.name) == step.value) is step.equal


def _leaf(holder: Any, key: Any, place: Place) -> Iterator[Slot]:
    value = holder[key]
    if isinstance(value, str):
        yield Slot(holder, key, value, place.phase)
    elif place.deep:
        yield from within(value, place.phase)
    elif type(value) is int:
        raise Tokens(place.member)


def within(value: Any, phase: str) -> Iterator[Slot]:
    """Give every text within a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in [*pairs]:
        if isinstance(inner, str):
            yield Slot(value, key, inner, phase)
        else:
            yield from within(inner, phase)
