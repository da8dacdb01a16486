"""Random expressions of every type over random data, for evaluation by several implementations.

A production is text with holes: `{int}` is any int, `{new int}` names a variable that the holes behind it may use,
`{let int}` begins a `cel.bind` of one.
What the implementations are known to answer differently is left out, by name:

- `int(bool)`: Google's C++ takes it, the specification does not.
- a `cel.bind` that fails and is not used: evaluated or not, as the implementation likes; here none is generated.
- `!!x` of a value that is no bool: folded away in C++; here `!` stands before bools only.
- the order of a map's keys: not specified; here lists made from maps are counted or searched.
- text of times with fractions, of doubles in `format`, of NaN and infinities: C++ writes `1.500s`, `20.120Z`, `inf`.
- `-[][0] + 1.0`: what an empty literal holds is an int to the checker of C++; here empty are values of variables only.
- base64 with spaces: C++ takes it.
- numbers in text with spaces around, hexadecimal, or beyond a double: C++ takes them.
- `substring` up to the very end: C++ calls that out of range.
- `split("")` of an empty string: none of nothing here and in Go, one empty string in C++.
- durations over 290 years: C++ reads them, and fails on adding.
- `{1: x, 1u: y}`: a repeated key here and in Go.
- `{1: x} == {1u: x}`: equal, but the checker of C++ does not let them be compared.
"""

from __future__ import annotations

import random
import re
import string
from datetime import UTC, datetime, timedelta
from typing import Any, Final

INTS: Final = [0, 1, -1, 2, 7, 10, 63, 64, -64, 255, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1, -(2**63)]
DOUBLES: Final = [0.0, -0.0, 1.0, -1.5, 0.1, 2.5, 1e-7, 1e15, 2.0**53, 2.0**63, -(2.0**63), 1.7e308, 5e-324]
STRINGS: Final = [
    "",
    "a",
    "abc",
    "gpt-4o",
    "ñandú",
    "🐍x🐍",
    "a,b,,c",
    " padded\t",
    "10",
    "-7",
    "1.5",
    "true",
    "Zürich",
]
ZONES: Final = ["UTC", "+05:30", "-09:30", "America/St_Johns", "Asia/Shanghai", "Europe/Paris"]
PATTERNS: Final = ["a+", "^g.t", "(?i)ZÜ", "[0-9]+$", "x|,", "^$", r"\\d{2}", r"\\bpad"]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

VARIABLES: Final = {
    "bool": ["flag"],
    "int": ["count", "limit"],
    "double": ["rate"],
    "string": ["name", "text"],
    "list_int": ["counts"],
    "list_string": ["names"],
    "list_double": ["rates"],
    "map_int": ["quotas"],
    "map_string": ["labels"],
    "timestamp": ["now"],
    "duration": ["span"],
    "dyn": ["thing", "body.a", "body.b.c", "body.items[0]"],
    "dyn_map": ["body", "body.b"],
    "dyn_list": ["body.items"],
}
LEAVES: Final = {
    "bool": ["true", "false"],
    "uint": ["0u", "1u", "7u", "64u", "18446744073709551615u"],
    "bytes": ["b''", "b'abc'", "b'\\xff\\x00'", "b'ñ'"],
    "duration": ["duration('90m')", "duration('-3600s')", "duration('0s')", "duration('1h1m1s')"],
    "timestamp": [
        "timestamp('2024-02-29T23:59:59Z')",
        "timestamp('1969-12-31T23:59:59.5Z')",
        "timestamp('2011-03-13T00:01:00-03:30')",
        "timestamp('0001-01-01T00:00:00Z')",
        "timestamp('9999-12-31T23:59:59Z')",
    ],
    "null": ["null"],
    "list_int": ["[1]", "[3, 1, 2]"],
    "list_string": ["['a']", "['b', 'a', 'ñ']"],
    "list_double": ["[0.5]"],
    "map_int": ["{'a': 1}"],
    "map_string": ["{'a': 'x', 'ñ': ''}"],
    "dyn_map": ["{'a': dyn(1), 'b': dyn([true])}", "{1: 2, 'a': 4}", "{true: 3}", "{dyn(7u): 'x'}"],
    "dyn_list": ["[1, 'a', 2.5, null, true]", "[dyn([1]), {'a': 1u}]"],
    "finite": ["rate", *map(repr, DOUBLES)],
    "number": ["name", "text", "'1e5'", "'.5'", "'-x'", "string({finite})", "string({int})"],
    "word": ["name", "text", "'abcabc'"],
    "zone": [repr(zone) for zone in ZONES],
    "pattern": [f"'{pattern}'" for pattern in PATTERNS],
    "separator": ["','", "' '", "'a'", "'🐍'"],
    "base64": ["'aGVsbG8='", "'aGVsbG8'", "'a'", "'_-8='", "base64.encode({bytes})"],
    "format": [
        "'%s|%d|%x'.format([{string}, {int}, {int}])",
        "'%s'.format([{list_int}])",
        "'%.2f %e'.format([{int}, {int}])",
        "'%s %s'.format([{bool}, {map_string}])",
        "'%b %o %X'.format([{int}, {uint}, {string}])",
    ],
}
_COMPARED: Final = ["int", "uint", "double", "string", "bytes", "bool", "timestamp", "duration"]
_SIGNS: Final = ["==", "!=", "<", "<=", ">", ">="]
_EQUALED: Final = ["list_int", "list_string", "list_double", "map_int", "map_string", "dyn_map", "dyn_list", "dyn"]

PRODUCTIONS: Final = {
    "bool": [
        *(f"{{{kind}}} {sign} {{{kind}}}" for kind in _COMPARED for sign in _SIGNS),
        *(f"{{{kind}}} {sign} {{{kind}}}" for kind in _EQUALED for sign in ("==", "!=")),
        *(f"dyn({{{one}}}) {sign} {{{other}}}" for one in _COMPARED[:3] for other in _COMPARED[:3] for sign in _SIGNS),
        *["{bool} && {bool}", "{bool} || {bool}", "!{bool}", "{bool} ? {bool} : {bool}"] * 8,
        *["{int} in {list_int}", "{string} in {list_string}", "{string} in {map_int}", "{dyn} in {dyn_list}"] * 2,
        *["dyn({double}) in {list_int}", "{string} in {dyn_map}", "dyn({int}) in {dyn_map}"],
        *["{string}.startsWith({string})", "{string}.endsWith({string})", "{string}.contains({string})"] * 2,
        *["{string}.matches({pattern})", "matches({string}, {pattern})"],
        *["has({dyn_map}.a)", "has({map_int}.a)", "has(body.b.c)", "has(body.missing.c)", "has(body.b)"] * 2,
        *["{list_int}.all({new int}, {bool})", "{list_string}.exists({new string}, {bool})"] * 3,
        *["{list_int}.exists_one({new int}, {bool})", "{map_int}.all({new string}, {bool})"] * 2,
        *["{dyn_list}.exists({new dyn}, {bool})", "{map_string}.exists({new string}, {bool})"] * 2,
        "{dyn} == {int}",
        "type({dyn}) == type({dyn})",
        "type({dyn}) == string",
        "bool({string})",
        "{map_int}[?{string}].hasValue()",
        "{dyn_map}.?a.hasValue()",
        "optional.ofNonZeroValue({int}).hasValue()",
        "math.isFinite({double})",
        "math.isInf({double})",
    ],
    "int": [
        *["{int} + {int}", "{int} - {int}", "{int} * {int}", "{int} / {int}", "{int} % {int}", "-({int})"] * 3,
        *["size({string})", "{list_int}.size()", "size({map_int})", "size({bytes})", "{string}.size()"],
        *["{bool} ? {int} : {int}", "{list_int}[{int}]", "{map_int}[{string}]", "{map_int}.a"] * 2,
        *["int({double})", "int({uint})", "int({string})", "int({timestamp})"],
        *["{string}.indexOf({string})", "{string}.indexOf({string}, {int})", "{string}.lastIndexOf({string})"],
        "{string}.lastIndexOf({string}, {int})",
        *["{timestamp}.getFullYear()", "{timestamp}.getMonth({zone})", "{timestamp}.getDate({zone})"],
        *["{timestamp}.getHours({zone})", "{timestamp}.getMinutes({zone})", "{timestamp}.getDayOfWeek({zone})"],
        *["{timestamp}.getDayOfYear()", "{timestamp}.getDayOfMonth()", "{timestamp}.getSeconds()"],
        *[
            "{duration}.getHours()",
            "{duration}.getMinutes()",
            "{duration}.getSeconds()",
            "{timestamp}.getMilliseconds()",
        ],
        *["math.abs({int})", "math.sign({int})", "math.greatest({int}, {int})", "math.least([{int}, {int}])"],
        *["math.bitAnd({int}, {int})", "math.bitXor({int}, {int})", "math.bitNot({int})", "math.bitOr({int}, {int})"],
        *["math.bitShiftLeft({int}, {int})", "math.bitShiftRight({int}, {int})"],
        *["{map_int}[?{string}].orValue({int})", "{list_int}[?{int}].orValue({int})"],
        "size({list_int}.filter({new int}, {bool}))",
        "size({dyn_map}.map({new dyn}, {dyn}))",
        "size({dyn_list}.filter({new dyn}, {bool}))",
        "{let int} {int})",
    ],
    "uint": [
        *["{uint} + {uint}", "{uint} - {uint}", "{uint} * {uint}", "{uint} / {uint}", "{uint} % {uint}"],
        *["uint({int})", "uint({double})", "uint({string})", "{bool} ? {uint} : {uint}"],
        *["math.bitNot({uint})", "math.bitShiftRight({uint}, {int})", "math.greatest({uint}, {uint})"],
    ],
    "double": [
        *["{double} + {double}", "{double} - {double}", "{double} * {double}", "{double} / {double}", "-({double})"]
        * 2,
        *[
            "double({int})",
            "double({uint})",
            "double({number})",
            "{bool} ? {double} : {double}",
            "{list_double}[{int}]",
        ],
        *["math.ceil({double})", "math.floor({double})", "math.round({double})", "math.trunc({double})"],
        *["math.abs({double})", "math.sign({double})", "math.least({double}, {double})", "math.sqrt({int})"],
    ],
    "string": [
        *["{string} + {string}", "{bool} ? {string} : {string}", "{list_string}[{int}]", "{map_string}[{string}]"] * 2,
        *["string({int})", "string({uint})", "string({bool})", "string({finite})", "string({bytes})", "{map_string}.a"],
        *[
            "{string}.charAt({int})",
            "{string}.substring({int})",
            "({string} + '0123456789').substring({int}, limit)",
            "{string}.trim()",
        ],
        *["{string}.lowerAscii()", "{string}.upperAscii()", "{string}.reverse()", "strings.quote({string})"],
        *["{string}.replace({string}, {string})", "{string}.replace({string}, {string}, {int})"],
        *["{list_string}.join()", "{list_string}.join({string})", "base64.encode({bytes})"],
        *["{map_string}.?a.orValue({string})", "{map_string}[?{string}].orValue({string})"],
        "{format}",
        "{let string} {string})",
    ],
    "bytes": ["{bytes} + {bytes}", "bytes({string})", "{bool} ? {bytes} : {bytes}", "base64.decode({base64})"],
    "timestamp": [
        "{timestamp} + {duration}",
        "{timestamp} - {duration}",
        "timestamp({int})",
        "{duration} + {timestamp}",
    ],
    "duration": ["{timestamp} - {timestamp}", "{duration} + {duration}", "{duration} - {duration}"],
    "list_int": [
        *["[{int}, {int}]", "{list_int} + {list_int}", "{list_int}.filter({new int}, {bool})"],
        *[
            "{list_int}.map({new int}, {int})",
            "{list_string}.map({new string}, {int})",
            "{bool} ? {list_int} : {list_int}",
        ],
        *["{list_int}.map({new int}, {bool}, {int})", "[{int}, ?{list_int}[?{int}]]"],
    ],
    "list_string": [
        *[
            "[{string}]",
            "{list_string} + {list_string}",
            "{string}.split({separator})",
            "{string}.split({separator}, {int})",
        ],
        *["{list_string}.filter({new string}, {bool})", "{list_int}.map({new int}, {string})"],
    ],
    "list_double": ["[{double}, {double}]", "{list_int}.map({new int}, {double})", "{list_double} + {list_double}"],
    "map_int": ["{{'a': {int}}}", "{{{string}: {int}, 'zz~': {int}}}", "{{'b': {int}, ?'c': {map_int}[?{string}]}}"],
    "map_string": [
        "{{'a': {string}, 'b': {string}}}",
        "{{{string}: {string}}}",
        "{bool} ? {map_string} : {map_string}",
    ],
    "dyn": [
        *[
            "dyn({int})",
            "dyn({uint})",
            "dyn({double})",
            "dyn({string})",
            "dyn({bool})",
            "dyn({null})",
            "dyn({list_int})",
        ],
        *[
            "dyn({dyn_map})",
            "{dyn_map}.a",
            "{dyn_list}[{int}]",
            "{dyn_map}[{string}]",
            "dyn({bytes})",
            "dyn({timestamp})",
        ],
        "{dyn_map}.?a.orValue({dyn})",
    ],
    "dyn_map": ["{{'a': {dyn}, 'b': {dyn}}}", "{{{int}: {dyn}}}", "{{{bool}: {dyn}}}"],
    "dyn_list": ["[{dyn}, {dyn}]", "{dyn_list} + {dyn_list}", "[{dyn}, {dyn}].filter({new dyn}, {bool})"],
}
_WANTED: Final = ["bool"] * 6 + ["int", "string"] * 3 + ["uint", "double", "bytes", "timestamp", "duration", "dyn"]
_CONTAINERS: Final = ["list_int", "list_string", "list_double", "map_int", "map_string", "dyn_map", "dyn_list"]
_HOLE: Final = re.compile(r"\{\{|\}\}|\{(?:(new|let) )?(\w+)\}")

EVERYWHERE: Final = {
    "bool": [
        *(f"{{{kind}}} {sign} {{{kind}}}" for kind in ("int", "string") for sign in _SIGNS),
        *["{bool} && {bool}", "{bool} || {bool}", "!{bool}", "{bool} ? {bool} : {bool}"] * 2,
        *["{string}.startsWith({string})", "{string}.endsWith({string})", "{word}.contains({string})"],
        *["{string}.matches({pattern})", "{int} in {list_int}", "{string} in {list_string}"],
        *["{list_int}.all({new int}, {bool})", "{list_string}.exists({new string}, {bool})"],
    ],
    "int": [
        *["{int} + {int}", "{int} - {int}", "{int} * {int}", "{int} / {int}", "{int} % {int}"] * 2,
        *["size({string})", "size({list_int})", "{bool} ? {int} : {int}"],
    ],
    "string": ["{string} + {string}", "{bool} ? {string} : {string}", "string({int})"],
    "list_int": ["[{int}, {int}]", "{list_int} + {list_int}", "{list_int}.filter({new int}, {bool})"],
    "list_string": ["[{string}]", "{list_int}.map({new int}, {string})"],
}
"""What cel-python does as the specification says; the sum of two strings has no `contains` there."""


class Writer:
    """Writes expressions of some productions, out of one source of chance."""

    def __init__(self, seed: int, productions: dict[str, list[str]] | None = None) -> None:
        self.chance = random.Random(seed)
        self.productions = PRODUCTIONS if productions is None else productions
        self.names: list[tuple[str, str]] = []

    def expression(self, depth: int = 4) -> str:
        """Write one expression, of any type."""
        wanted = _WANTED + _CONTAINERS if self.productions is PRODUCTIONS else list(EVERYWHERE)
        self.names = []
        return self.make(self.chance.choice(wanted), self.chance.randint(1, depth))

    def make(self, kind: str, depth: int) -> str:
        """Write an expression of a type."""
        productions = self.productions.get(kind)
        if depth <= 0 or productions is None or self.chance.random() < 0.1:
            return self.leaf(kind)
        return f"({self.fill(self.chance.choice(productions), depth - 1)})"

    def leaf(self, kind: str) -> str:
        """Write a literal or a variable."""
        bound = [name for name, of in self.names if of == kind]
        if bound and self.chance.random() < 0.7:
            return self.chance.choice(bound)
        choices = LEAVES.get(kind, []) + VARIABLES.get(kind, [])
        if kind in {"int", "double", "string"} and self.chance.random() < 0.6:
            return literal(self.chance.choice({"int": INTS, "double": DOUBLES, "string": STRINGS}[kind]))
        chosen = self.chance.choice(choices)
        return self.fill(chosen, 0) if kind in {"base64", "format", "number"} else chosen

    def fill(self, production: str, depth: int) -> str:
        """Fill the holes of a production; the names it binds end with it."""
        before = len(self.names)

        def filled(hole: re.Match[str]) -> str:
            if hole[2] is None:
                return hole[0][0]
            if not hole[1]:
                return self.make(hole[2], depth)
            name = f"v{len(self.names)}"
            # what is bound is made before the name is known, and never fails
            made = f"cel.bind({name}, {self.leaf(hole[2])}," if hole[1] == "let" else name
            self.names.append((name, hole[2]))
            return made

        text = _HOLE.sub(filled, production)
        del self.names[before:]
        return text

    def data(self) -> dict[str, Any]:
        """Make values for all variables."""
        choice, some = self.chance.choice, self.chance.randint
        return {
            "flag": choice([True, False]),
            "count": choice([*INTS, some(-100, 100)]),
            "limit": some(0, 9),
            "rate": choice(DOUBLES),
            "name": choice(STRINGS),
            "text": "".join(self.chance.choices(string.ascii_lowercase + ", ñ🐍", k=some(0, 12))),
            "counts": self.chance.choices(INTS, k=some(0, 4)),
            "names": self.chance.choices(STRINGS, k=some(0, 4)),
            "rates": self.chance.choices(DOUBLES, k=some(0, 3)),
            "quotas": {key: choice(INTS) for key in self.chance.sample(STRINGS, some(0, 4))},
            "labels": {key: choice(STRINGS) for key in self.chance.sample(STRINGS, some(0, 4))},
            "now": EPOCH + timedelta(seconds=some(-(2**32), 2**33), microseconds=some(0, 999_999)),
            "span": timedelta(seconds=some(-(10**6), 10**6), microseconds=some(0, 999_999)),
            "thing": self.json(2),
            "body": {key: self.json(3) for key in ("a", "b", "items", "c") if some(0, 4)},
        }

    def json(self, depth: int) -> Any:
        """Make a value as it comes out of JSON."""
        kind = self.chance.randint(0, 8 if depth else 5)
        if kind >= 7:
            return {key: self.json(depth - 1) for key in self.chance.sample("abcñ", self.chance.randint(0, 3))}
        if kind == 6:
            return [self.json(depth - 1) for _ in range(self.chance.randint(0, 3))]
        return self.chance.choice([INTS, DOUBLES, STRINGS, [True], [False], [None]][kind])


def literal(value: object) -> str:
    """Write a number or a string as CEL does."""
    if isinstance(value, str):
        return "'" + value.replace("\t", "\\t") + "'"
    if isinstance(value, float):
        text = repr(value)
        return f"({text if '.' in text or 'e' in text else text + '.0'})"
    return f"({value})"
