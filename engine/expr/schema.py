"""The types that expressions are checked against: what each variable of a phase holds, as far as it is known.

Typing is gradual: `DYN` goes with everything, and what is declared is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Type:
    """A CEL type. `parameters`: of a list its element, of a map key and value, of an optional its value.

    A `record` is a JSON object whose fields are known: any other field is an error at load. A type whose name begins
    with `$` stands for any one type within a signature.
    """

    name: str
    parameters: tuple[Type, ...] = ()
    fields: tuple[tuple[str, Field], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parameters))})" if self.parameters else self.name


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record; an `optional` one may be absent, and is to be read with `has()` or `.?`."""

    type: Type
    optional: bool = False


DYN = Type("dyn")
NULL = Type("null_type")
BOOL = Type("bool")
INT = Type("int")
UINT = Type("uint")
DOUBLE = Type("double")
STRING = Type("string")
BYTES = Type("bytes")
TIMESTAMP = Type("timestamp")
DURATION = Type("duration")
TYPE = Type("type")
IP = Type("ip")
CIDR = Type("cidr")
A = Type("$A")
B = Type("$B")


def list_of(element: Type) -> Type:
    """Return the type of lists."""
    return Type("list", (element,))


def map_of(key: Type, value: Type) -> Type:
    """Return the type of maps."""
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    """Return the type of optionals."""
    return Type("optional", (value,))


def record(**fields: Type | Field) -> Type:
    """Return the type of JSON objects with these fields."""
    listed = tuple((name, one if isinstance(one, Field) else Field(one)) for name, one in fields.items())
    return Type("record", fields=listed)


@dataclass(frozen=True, slots=True)
class Signature:
    """One overload: `method` says that the first parameter is written before the dot; `variadic` repeats the last."""

    params: tuple[Type, ...]
    result: Type
    method: bool = False
    variadic: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its full name (`startsWith`, `math.least`); all its overloads share one `call`, receiver first.

    `call` looks at its arguments' types and raises EvaluationError or LimitError, nothing else. A `pure` one may be
    called once, at load, when its arguments are constants.
    """

    name: str
    call: Callable[..., Any]
    signatures: tuple[Signature, ...]
    pure: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """What an expression may name: variables and their types.

    `elsewhere` explains names that exist in another phase only, for the error message.
    """

    variables: Mapping[str, Type]
    elsewhere: Mapping[str, str]
