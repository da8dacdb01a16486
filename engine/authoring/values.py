"""The values of an expression's parts for one call, as far as they were evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.authoring.anatomy import Loop, Part
from engine.expr.program import ERRORS, Program
from engine.expr.times import duration_text, timestamp_text
from engine.expr.values import Duration, Optional, Timestamp, TypeValue

ELEMENTS = 5
"""Elements of a loop that are looked at."""
LONGEST = 200
"""Characters of one value that are shown."""


class Value(NamedTuple):
    """What one part came to: a `value`, an `error`, or neither where it was not reached."""

    part: Part
    reached: bool
    value: Any
    error: str
    parts: tuple[Value, ...] = ()
    elements: tuple[tuple[str, str], ...] = ()
    """Of a loop: its first elements and what its body came to for each."""

    @property
    def told(self) -> str:
        """What is shown of it."""
        if not self.reached:
            return "not reached"
        return f"error: {self.error}" if self.error else written(self.value)


def values(part: Part, activation: Mapping[str, Any], *, elements: bool = False, reached: bool = True) -> Value:
    """Evaluate a part and what it is made of; the operands behind the one that decides are not reached."""
    if not reached:
        inner = tuple(values(one, activation, reached=False) for one in part.parts)
        return Value(part, reached=False, value=None, error="", parts=inner)
    value, error = evaluated(part.program, activation)
    inner = tuple(_parts(part, activation, elements=elements))
    looked = tuple(_elements(part.loop, activation)) if elements and part.loop is not None else ()
    return Value(part, True, value, error, inner, looked)


def evaluated(program: Program, activation: Mapping[str, Any]) -> tuple[Any, str]:
    """Return a program's value, or why it has none."""
    try:
        return program.evaluate(activation), ""
    except ERRORS as error:
        return None, program.explain(error).message


def every(value: Value) -> Iterator[Value]:
    """Return a value and those of all its parts, from the whole to the parts."""
    yield value
    for one in value.parts:
        yield from every(one)


def written(value: Any, longest: int = LONGEST) -> str:
    """Write a value for people: as JSON where it is, cut where it is long."""
    if isinstance(value, Optional) and not value.present:
        return "absent"
    if isinstance(value, str) and not isinstance(value, TypeValue) and len(value) > longest:
        return f"{json.dumps(value[:longest], ensure_ascii=False)}… ({len(value):,} characters)"
    text = json.dumps(plain(value), ensure_ascii=False, default=str)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def plain(value: Any) -> Any:
    """Return a value of CEL as JSON can say it."""
    for kind, write in _PLAIN.items():
        if isinstance(value, kind):
            return write(value)
    return value if value is None else str(value)


_PLAIN: Final[Mapping[type, Callable[[Any], Any]]] = {
    Optional: lambda value: plain(value.value) if value.present else None,
    Timestamp: timestamp_text,
    Duration: duration_text,
    bytes: lambda value: value.decode("utf-8", "backslashreplace"),
    dict: lambda value: {str(key): plain(one) for key, one in value.items()},
    list: lambda value: [plain(one) for one in value],
    bool: bool,
    int: int,
    float: float,
    str: str,
}
"""How values are written; a class stands before those that it inherits from."""


def _parts(part: Part, activation: Mapping[str, Any], *, elements: bool) -> Iterator[Value]:
    if part.sign == "?":
        test, yes, no = part.parts
        first = values(test, activation, elements=elements)
        yield first
        yield values(yes, activation, elements=elements, reached=first.value is True)
        yield values(no, activation, elements=elements, reached=first.value is False)
        return
    reached = True
    for one in part.parts:
        found = values(one, activation, elements=elements, reached=reached)
        yield found
        if part.sign in ("&&", "||") and found.value is (part.sign == "||"):
            reached = False


def _elements(loop: Loop, activation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    over, error = evaluated(loop.range, activation)
    if error or not isinstance(over, list | dict):
        return
    for given in _given(over, len(loop.node.names))[:ELEMENTS]:
        value, wrong = evaluated(loop.of(given), activation)
        yield written(given[-1] if len(given) == 1 else list(given), 60), f"error: {wrong}" if wrong else written(value)


def _given(over: list[Any] | dict[Any, Any], count: int) -> list[Sequence[Any]]:
    """Return the values of a loop's variables, for every element."""
    if isinstance(over, dict):
        return list(over.items()) if count == 2 else [(key,) for key in over]
    return list(enumerate(over)) if count == 2 else [(one,) for one in over]
