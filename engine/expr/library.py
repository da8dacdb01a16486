"""Every function and type of the language, by name."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from engine.expr import conversions, encoders, lists, mathematics, network, optionals, patterns, strings, times
from engine.expr.schema import Function
from engine.expr.values import TypeValue

_MODULES: Final = (conversions, strings, patterns, lists, times, mathematics, optionals, encoders, network)

FUNCTIONS: Final[Mapping[str, Function]] = {
    function.name: function for function in chain.from_iterable(module.FUNCTIONS for module in _MODULES)
}

TYPES: Final[Mapping[str, TypeValue]] = {
    name: TypeValue(name)
    for name in (
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "net.IP",
        "net.CIDR",
    )
}
"""What a type's name means where a value is expected: `type(x) == list`."""
