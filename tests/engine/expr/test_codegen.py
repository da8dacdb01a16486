"""What expressions evaluate to, whichever way their code is written."""

from __future__ import annotations

import pytest

from engine.expr import codegen
from engine.expr.library import FUNCTIONS
from engine.expr.names import Names
from engine.expr.program import ERRORS, Environment, ExpressionError, Program, compile_expression
from engine.expr.schema import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    STRING,
    UINT,
    Field,
    Schema,
    list_of,
    map_of,
    record,
)
from engine.expr.values import NONE, Duration, EvaluationError, LimitError, Optional, Timestamp, Uint
from tests.engine.expr.expressions import Writer
from tests.engine.expr.oracles import ERROR, Answer, our_answer

TYPED = Schema(
    {
        "t": record(
            s=STRING,
            i=INT,
            u=UINT,
            d=DOUBLE,
            b=BOOL,
            x=BYTES,
            l=list_of(STRING),
            m=map_of(STRING, INT),
            r=record(s=STRING),
            o=Field(INT, optional=True),
            dyn=DYN,
        )
    },
    {},
)
UNTYPED = Schema({"t": DYN}, {})
VALUES = {
    "s": "abc",
    "i": 7,
    "u": Uint(7),
    "d": 7.0,
    "b": True,
    "x": b"abc",
    "l": ["abc", "d"],
    "m": {"abc": 7},
    "r": {"s": "d"},
    "dyn": {"list": [1, "a", None], "text": "abc", "int": 7, "double": 7.5, "yes": True, "nil": None},
}
DYNAMIC = ["t.dyn.list", "t.dyn.text", "t.dyn.int", "t.dyn.double", "t.dyn.yes", "t.dyn.nil", "t.dyn.missing", "t.dyn"]
OPERANDS = ["t.s", "t.i", "t.u", "t.d", "t.b", "t.x", "t.l", "t.m", "t.r", "t.o", "'abc'", "7", "7u", "7.0", "null"]
OPERANDS += ["true", "[7, 8]", "['abc']", "{'abc': 1}", "type(7)", "timestamp(7)", "duration('7s')", "optional.of(7)"]
PAIRS = [(left, right) for left in OPERANDS + DYNAMIC for right in OPERANDS + DYNAMIC]
SIGNS = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"]


def answer(program: Program, values: dict[str, object] | None = None) -> object:
    """Return what a program evaluates to, with its type, or that it failed."""
    try:
        value = program.evaluate({"t": VALUES if values is None else values})
    except LimitError:
        return "limit"
    except ERRORS:
        return "error"
    if isinstance(value, Optional):
        return "optional", value.present, value.value
    return type(value), value


def environment(schema: Schema, *, checked: bool = False) -> Environment:
    return Environment(Names(schema, FUNCTIONS, ""), checked=checked)


def checked(environment: Environment, source: str) -> object:
    """Return what a program evaluates to, None if the checker refuses it."""
    try:
        return answer(environment.compile(source))
    except ExpressionError:
        return None


@pytest.mark.parametrize("sign", SIGNS)
def test_types_make_operators_faster_and_no_different(sign):
    """Every operator gives the same for operands whose types are known, are known in part, or are not known."""
    typed, untyped = environment(TYPED, checked=True), environment(UNTYPED)
    for left, right in PAIRS[SIGNS.index(sign) % 5 :: 5]:
        expected = answer(untyped.compile(f"dyn({left}) {sign} dyn({right})"))
        for source in (f"{left} {sign} {right}", f"dyn({left}) {sign} {right}", f"{left} {sign} dyn({right})"):
            assert answer(untyped.compile(source)) == expected, source
            assert checked(typed, source) in (None, expected), source


@pytest.mark.parametrize(
    "call", ["{}.startsWith({})", "{}.endsWith({})", "{}.contains({})", "{}.matches({})", "{}[{}]"]
)
def test_types_make_calls_faster_and_no_different(call):
    untyped, typed = environment(UNTYPED), environment(TYPED)
    typed_checked = environment(TYPED, checked=True)
    for one, other in PAIRS[::4]:
        source = call.format(one, other)
        expected = answer(untyped.compile(call.format(f"dyn({one})", f"dyn({other})")))
        assert answer(untyped.compile(source)) == expected, source
        assert answer(typed.compile(source)) == expected, source
        assert checked(typed_checked, source) in (None, expected), source


@pytest.mark.parametrize("call", ["size({})", "string({})", "int({})", "double({})", "-{}", "!{}", "{}.?abc", "{}.abc"])
def test_types_make_what_takes_one_operand_no_different(call):
    untyped, typed = environment(UNTYPED), environment(TYPED, checked=True)
    for operand in [*OPERANDS, *DYNAMIC]:
        expected = answer(untyped.compile(call.format(f"dyn({operand})")))
        assert answer(untyped.compile(call.format(operand))) == expected, operand
        assert checked(typed, call.format(operand)) in (None, expected), operand


def test_code_in_pieces_does_the_same(monkeypatch):
    """Random expressions evaluate alike as one function and cut into many, with text spilled to names."""

    def answers(offset: int) -> list[Answer]:
        written = [(writer.expression(5), writer.data()) for writer in map(Writer, range(3_000, 3_400))]
        # another text, for the same text is compiled once
        return [our_answer(" " * offset + source, data) for source, data in written]

    whole = answers(1)
    monkeypatch.setattr(codegen, "MOST_BLOCKS", 0)
    monkeypatch.setattr(codegen, "DEEPEST_LEVEL", 3)
    monkeypatch.setattr(codegen, "DEEPEST_TEXT", 3)
    cut = answers(2)
    assert [one for one in whole if one[0] != "refused"] == [one for one in cut if one[0] != "refused"]
    assert ERROR in whole


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 / 0 > 0 || true", True),
        ("true || 1 / 0 > 0", True),
        ("1 / 0 > 0 && false", False),
        ("t.dyn.missing && t.dyn.missing && false", False),
        ("t.dyn.missing || t.i == 7 || t.dyn.also", True),
        ("t.dyn.missing || false || t.dyn.also", "error"),
        ("[1, 0].exists(x, 1 / x == 1)", True),
        ("[0, 1].exists(x, 1 / x == 1)", True),
        ("[0, 1].exists(x, 1 / x == 2)", "error"),
        ("[0, 1].all(x, 1 / x == 2)", False),
        ("[0, 1].all(x, 1 / x == 1)", "error"),
        ("[0, 1].exists_one(x, 1 / x == 1)", "error"),
        ("[1, 2, 3].exists(x, x == 2 && (x / 0 == 1 || x == 2))", True),
        ("false ? 1 / 0 : 2", 2),
        ("cel.bind(x, 1 / 0, true)", True),
        ("cel.bind(x, t.dyn.missing, has(t.dyn.missing) && x == 1)", False),
        ("cel.bind(x, t.dyn.missing, x == 1)", "error"),
        ("cel.bind(x, t.dyn.missing, x == 1 || true)", True),
        ("cel.bind(x, t.i, x + x)", 14),
        ("optional.of(1).orValue(1 / 0)", 1),
        ("optional.none().orValue(1 / 0)", "error"),
        ("optional.of(1).or(optional.of(1 / 0)).value()", 1),
        ("t.?dyn.?text.orValue('')", "abc"),
        ("t.?dyn.?missing.orValue('none')", "none"),
        ("t.dyn.?missing.?text.orValue('none')", "none"),
        ("t.dyn.?int.?text.orValue('none')", "error"),
        ("t.?dyn.list[?9].orValue(5)", 5),
        ("t.dyn.?missing.orValue([1].map(x, x + 1))", [2]),
        ("optional.of(t).i.orValue(0)", 7),
        ("dyn(optional.of({'a': 1})).a.value()", 1),
        ("dyn({'a': optional.of({'b': 2}), 'c': 1}).a.b.value()", 2),
        ("has(t.dyn.text) && !has(t.dyn.nothing)", True),
        ("has(t.dyn.missing.deeper)", "error"),
        ("has(t.dyn.nil)", True),
        ("t.dyn.int in [1, 7]", True),
        ("t.dyn.yes in [1, 7]", False),
        ("t.dyn.double in [7.5]", True),
        ("t.dyn.nil in [null]", True),
        ("t.dyn.list in ['a']", False),
        ("7.0 in [7]", True),
        ("t.dyn.yes == 1", False),
        ("t.dyn.int == 7.0", True),
        ("t.dyn == t.dyn", True),
        ("t.dyn.list.map(x, type(x))[0] == int", True),
        ("t.dyn.list.filter(x, x != null).size()", 2),
        ("t.m.map(k, k)", ["abc"]),
        ("t.dyn.map(k, k == 'text').filter(x, x).size()", 1),
        ("{1: 'a', 2u: 'b'}.map(k, k)", [1, Uint(2)]),
        ("{true: 1}.transformMap(k, v, !k)[true]", False),
        ("[5, 6].transformMap(i, v, v + i)[1]", 7),
        ("[5, 6].transformList(i, v, i > 0, v)", [6]),
        ("{'a': 1}.transformMapEntry(k, v, {v: k})[1]", "a"),
        ("[1, 2].transformMapEntry(i, v, {'same': v})", "error"),
        ("['a', 'b'].exists(i, v, i == 1 && v == 'b')", True),
        ("t.dyn.all(k, v, k != '' && (v != 0 || true))", True),
        ("optional.of(3).optMap(x, x + 1).value()", 4),
        ("optional.none().optFlatMap(x, optional.of(x)).hasValue()", False),
        ("dyn(optional.of(3)).optMap(x, x + 1).value()", 4),
        ("dyn(3).optMap(x, x)", "error"),
        ("[1, ?optional.none(), ?optional.of(2)]", [1, 2]),
        ("{'a': 1, ?'b': optional.none()}", {"a": 1}),
        ("{?'b': dyn(1)}", "error"),
        ("[?dyn(1)]", "error"),
        ("{'a': 1, 'a': 2}", "error"),
        ("timestamp('2026-01-01T00:00:00Z') + duration('1s') == timestamp('2026-01-01T00:00:01Z')", True),
        ("t.dyn.text.matches('^a.c$') && t.s.matches('B')", False),
        ("t.s.matches(t.dyn.text)", True),
        ("t.dyn.int.matches('a')", "error"),
        ("t.l.exists(x, x.matches('^d'))", True),
        ("9223372036854775807 + t.i", "error"),
        ("-9223372036854775808 - t.i", "error"),
        ("t.d / 0.0", float("inf")),
        ("t.dyn.list[1] + 'b'", "ab"),
        ("t.dyn.list[3]", "error"),
        ("t.dyn.list[-1]", "error"),
        ("t.dyn.text[0]", "error"),
        ("t.l[t.i - 6]", "d"),
        ("t.m[t.s]", 7),
        ("t.dyn[t.dyn.text]", "error"),
        ("t.m[t.dyn.text]", 7),
        ("t.m[t.dyn.int]", "error"),
    ],
)
def test_values(source, value):
    expected = value if value == "error" else (type(value), value)
    for schema in (TYPED, UNTYPED):
        assert answer(compile_expression(source, schema)) == expected


@pytest.mark.parametrize("name", ["__import__", "__builtins__", "act", "k0", "n", "c", "ABSORBED", "add", "print"])
def test_names_of_python_mean_nothing(name):
    schema = Schema({name: INT, "x": DYN}, {})
    program = compile_expression(f"{name} + 1 == 2 && x.`{name.replace('_', '-')}` == {name}", schema)
    assert program.evaluate({name: 1, "x": {name.replace("_", "-"): 1}}) is True
    with pytest.raises(ValueError, match="unknown variable"):
        compile_expression(name, UNTYPED)
    assert compile_expression(f"[3].map({name}, {name} + 1)", UNTYPED).evaluate({}) == [4]


@pytest.mark.parametrize(
    "text", ["'", '"', "\n", "\\", "\x02" + "1\x03", "\x04", "{}", "%s", "']", "\0", "\u2028", "é😀"]
)
def test_texts_stay_texts(text):
    written = "".join(f"\\U{ord(sign):08x}" for sign in text)
    program = compile_expression(f"t['{written}'] + {{'{written}': '{written}'}}['{written}']", UNTYPED)
    assert program.evaluate({"t": {text: text}}) == text * 2
    assert compile_expression(f"t == '{written}' && t in ['{written}', 'x']", UNTYPED).evaluate({"t": text}) is True


def test_attributes_are_out_of_reach():
    for field in ("__class__", "upper", "evaluate", "value", "present"):
        assert answer(compile_expression(f"t.{field}", UNTYPED), {"x": 1}) == "error"
        assert answer(compile_expression(f"t.s.{field}", UNTYPED)) == "error"


def test_values_of_all_kinds_come_back():
    assert compile_expression("[1, 1u, 1.0, 'a', b'a', null, true]", UNTYPED).evaluate({}) == [
        1,
        Uint(1),
        1.0,
        "a",
        b"a",
        None,
        True,
    ]
    assert compile_expression("duration('1s')", UNTYPED).evaluate({}) == Duration(10**9)
    assert compile_expression("timestamp(1)", UNTYPED).evaluate({}) == Timestamp(10**9)
    assert compile_expression("optional.none()", UNTYPED).evaluate({}) is NONE
    first, second = (compile_expression("['a']", UNTYPED).evaluate({}) for _ in range(2))
    assert first is not second


def test_a_result_of_another_type_than_expected_is_an_error():
    with pytest.raises(EvaluationError):
        compile_expression("t.i", UNTYPED, BOOL).evaluate({"t": {"i": 1}})
