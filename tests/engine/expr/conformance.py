"""Runs cases of the CEL specification's own suite: `python -m tests.engine.expr.conformance FILE`.

A case is a line of JSON, its form described in `shared/conformance/README.md`.
"""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from engine.expr.library import FUNCTIONS, TYPES
from engine.expr.names import Names
from engine.expr.operators import new_map
from engine.expr.program import ERRORS, Environment, ExpressionError
from engine.expr.schema import DYN, Function, Schema, Signature, Type
from engine.expr.values import Optional, TypeValue, Uint

_NAMED: Final = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}
_NAMED |= {"optional_type": "optional", "net.IP": "ip", "net.CIDR": "cidr"}
_WRITTEN: Final = {"timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}
_WRITTEN |= {"optional": "optional_type", "ip": "net.IP", "cidr": "net.CIDR"}


def cases(path: Path) -> Iterator[dict[str, Any]]:
    """Return the cases of a file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def fault(case: dict[str, Any]) -> str:
    """Return what is wrong with our answer to a case, nothing if it is right."""
    bindings = {name: value_of(one) for name, one in case.get("bindings", {}).items()}
    try:
        environment = environment_of(case, bindings)
        result = environment.check(case["expr"])[1]
    except ExpressionError as error:
        return "" if case["expect"] == "error" else f"refused: {error}"
    if "deduced_type" in case and written(result) != case["deduced_type"]:
        return f"deduced {written(result)}, expected {case['deduced_type']}"
    if case.get("check_only"):
        return ""
    program = environment.compile(case["expr"])
    try:
        value = program.evaluate(bindings)
    except ERRORS as error:
        return "" if case["expect"] == "error" else f"failed: {program.explain(error)}"
    if case["expect"] == "error":
        return f"expected an error, got {value!r}"
    return "" if same(value, value_of(case["expect"])) else f"got {value!r}, expected {case['expect']}"


def environment_of(case: dict[str, Any], bindings: dict[str, Any]) -> Environment:
    """Return what a case's expression is compiled against."""
    declared = case.get("type_env", {})
    variables = {name: type_of(one) for name, one in declared.items() if isinstance(one, str)}
    functions = {name: function_of(name, one["function"]) for name, one in declared.items() if isinstance(one, dict)}
    schema = Schema(dict.fromkeys(bindings, DYN) | variables, {})
    names = Names(schema, {**FUNCTIONS, **functions}, case.get("container", ""))
    return Environment(names, checked=not case.get("disable_check"), macros=not case.get("disable_macros"))


def function_of(name: str, overloads: list[dict[str, Any]]) -> Function:
    """Return a declared function; it cannot be called."""
    signatures = tuple(
        Signature(tuple(map(type_of, one["params"])), type_of(one["result"]), bool(one.get("member")))
        for one in overloads
    )
    return Function(name, lambda *_: None, signatures, pure=False)


def type_of(text: str) -> Type:
    """Return the type that a case names: `map(string, T)`."""
    words = re.findall(r"[\w.]+|[(),]", text)

    def parsed() -> Type:
        name = words.pop(0)
        name = f"${name}" if re.fullmatch("[A-Z]", name) else _NAMED.get(name, name)
        params: list[Type] = []
        if words and words[0] == "(":
            while words.pop(0) in {"(", ","}:
                params.append(parsed())
        return Type(name, tuple(params))

    return parsed()


def written(one: Type) -> str:
    """Return a type as the suite writes it."""
    name = _WRITTEN.get(one.name, one.name)
    return f"{name}({', '.join(map(written, one.parameters))})" if one.parameters else name


def _time(name: str) -> Callable[[str], Any]:
    return FUNCTIONS[name].call


_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    "int": int,
    "uint": Uint,
    "double": float,
    "string": str,
    "bytes": base64.b64decode,
    "bool": bool,
    "null": lambda _: None,
    "list": lambda values: [value_of(one) for one in values],
    "map": lambda pairs: new_map((value_of(key), value_of(one)) for key, one in pairs),
    "timestamp": _time("timestamp"),
    "duration": _time("duration"),
    "type": lambda name: TYPES.get(name, TypeValue(name)),
}


def value_of(one: dict[str, Any]) -> Any:
    """Return the value that a case writes as `{type: text}`."""
    ((kind, value),) = one.items()
    return _VALUES[kind](value)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, types and all; NaN is NaN here."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        theirs = {(type(key), key): value for key, value in other.items()}
        return len(one) == len(other) and all(
            (type(key), key) in theirs and same(value, theirs[type(key), key]) for key, value in one.items()
        )
    if type(one) is not type(other) or isinstance(one, Optional):
        return False
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def main(arguments: list[str]) -> int:
    """Run a file's cases and print those that fail."""
    passed = failed = 0
    for case in cases(Path(arguments[0])):
        try:
            reason = fault(case)
        except Exception as error:  # noqa: BLE001 - a defect in one case must not hide the others
            reason = f"defect: {type(error).__name__}: {error}"
        if reason:
            failed += 1
            print(f"{case['section']}/{case.get('group', '')}/{case['name']}: {case['expr']!r}: {reason}")
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
