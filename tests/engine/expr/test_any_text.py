"""Whatever is written, the compiler answers with a program or with faults, and soon."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expr.program import ERRORS, ExpressionError, Program, compile_expression
from engine.expr.schema import BOOL, DYN, INT, STRING, Schema, map_of, record

SCHEMA = Schema({"a": DYN, "b": BOOL, "n": INT, "r": record(s=STRING, m=map_of(STRING, DYN))}, {})
WORDS = [
    *[
        "a",
        "b",
        "n",
        "r",
        "x",
        "1",
        "0",
        "2u",
        "1.5",
        "'s'",
        "b'x'",
        "true",
        "null",
        "in",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
    ],
    *[
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">",
        "<=",
        ">=",
        "?",
        ":",
        ".",
        ",",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".?",
        "[?",
        "has(a.b)",
    ],
    *["a.all(x, ", "a.map(x, ", "a.exists(x, x)", "cel.bind(x, ", "size(", "'a'.matches(", ".orValue(", "timestamp('"],
    *["optional.of(", "type(", "dyn(", "'%s'.format([", "`a-b`", "//", "\n", "'", '"""', "r'\\", "9223372036854775808"],
]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
def test_any_words_compile_or_are_refused(source):
    judge(source)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="()[]{}.?:'\"\\ax1&|!`-/\n", max_size=400))
def test_any_text_compiles_or_is_refused(source):
    judge(source)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(WORDS), st.sampled_from(WORDS), st.integers(1, 4_000))
def test_any_repetition_compiles_or_is_refused_in_time(one, other, count):
    judge((one + other) * count)


def judge(source: str) -> None:
    begin = time.process_time()
    try:
        program = compile_expression(source, SCHEMA)
    except ExpressionError as error:
        for fault in error.faults:
            assert fault.line >= 1
            assert fault.column >= 1
            assert fault.message
    else:
        assert answers(program)
    assert time.process_time() - begin < 1


def answers(program: Program) -> bool:
    """Tell whether a program has a value, or explains why not."""
    try:
        program.evaluate({"a": {"b": [1, "x"]}, "b": True, "n": 1, "r": {"s": "", "m": {}}})
    except ERRORS as error:
        return bool(program.explain(error).message)
    return True
