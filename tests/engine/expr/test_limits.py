"""No expression takes long, to compile or to evaluate, nor makes much of little."""

from __future__ import annotations

import pickle
import time

import pytest

from engine.expr.program import ERRORS, Program, compile_expression
from engine.expr.schema import BOOL, DYN, INT, STRING, Schema
from engine.expr.values import EvaluationError, LimitError

SCHEMA = Schema({"a": DYN, "b": BOOL, "n": INT}, {})


@pytest.mark.parametrize(
    "source",
    [
        "a.map(x, x) == []",
        "a.map(x, a.map(y, 1)).size() > 0 || true",
        "a.exists(x, a.exists(y, a.exists(z, false)))",
        "false && a.all(x, true) || a.all(x, a.all(y, true)) || true",
        "cel.bind(v, a.map(x, a.map(y, 1)), true || v == [])",
        "a.all(x, a.all(y, s.contains('zz') == false))",
    ],
)
def test_iterations_end_at_10000_and_nothing_absorbs_that(source):
    schema = Schema({"a": DYN, "s": STRING}, {})
    values = {"a": [1] * 10_001, "s": "x"}
    with pytest.raises(LimitError, match="10,000 iterations"):
        compile_expression(source, schema).evaluate(values)


@pytest.mark.parametrize(
    "source",
    [
        "a.map(x, s + 'x').size() > 0",
        "a.map(x, [s, s, s].join()).size() > 0",
        "a.all(x, !s.contains('zz'))",
        "a.all(x, s.indexOf('zz') < 0)",
        "a.map(x, l + [x]).size() > 0",
        "a.all(x, !(x in l))",
        "a.all(x, !(s in l))",
        "a.all(x, l == l2)",
        "a.map(x, l.map(y, y)).size() > 0",
        "a.all(x, s.matches('zz') || true)",
    ],
)
def test_work_within_loops_is_charged(source):
    """No loop takes long, however much each round has to do."""
    schema = Schema(dict.fromkeys("asl", DYN) | {"l2": DYN}, {})
    values = {"a": [1] * 9_999, "s": "y" * 1_000_000, "l": list(range(100_000)), "l2": list(range(100_000))}
    begin = time.process_time()
    with pytest.raises(LimitError):
        compile_expression(source, schema).evaluate(values)
    assert time.process_time() - begin < 2


def test_loops_over_parts_of_the_input_cost_what_the_input_is_long():
    values = {"a": [{"text": "x" * 2_000, "parts": ["y" * 1_000]}] * 2_000}
    assert (
        compile_expression("a.all(m, !m.text.contains('z') && m.parts.all(p, !p.contains('z')))", SCHEMA).evaluate(
            values
        )
        is True
    )


def test_patterns_share_256_kib():
    values = {"a": "x" * 100_000, "b": True}
    assert compile_expression("a.matches('y') || a.matches('z') || true", SCHEMA).evaluate(values) is True
    for source in ("a.matches('y') || a.matches('z') || a.matches('v')", "[1, 2, 3].exists(i, a.matches('y'))"):
        with pytest.raises(LimitError, match="256 KiB"):
            compile_expression(source, SCHEMA).evaluate(values)
    with pytest.raises(LimitError, match="256 KiB"):
        compile_expression("a.matches('y')", SCHEMA).evaluate({"a": "x" * 300_000})


def test_results_do_not_grow_for_ever():
    source = "cel.bind(v0, a, " + "".join(f"cel.bind(v{n + 1}, v{n} + v{n}, " for n in range(40)) + "v40" + ")" * 41
    for value in ("x" * 10, [1] * 10):
        with pytest.raises(LimitError):
            compile_expression(source, SCHEMA).evaluate({"a": value})


@pytest.mark.parametrize(
    "source",
    [
        " + ".join(["a"] * 900),
        "a" + ".b" * 1_900,
        "a" + ".?b" * 1_900,
        "a" + "[0]" * 900,
        "!" * 1_900 + "b",
        "-" * 1_900 + "a",
        " && ".join(["a.x"] * 600),
        " || ".join(["b"] * 900),
        "b ? a : " * 600 + "a",
        "a" + ".filter(x, x.b)" * 300,
        "[" + ", ".join(["a"] * 1_900) + "]",
        "{" + ", ".join(f"'{n}': a" for n in range(600)) + "}",
        "a in [" + ", ".join(f"'{n}'" for n in range(600)) + "]",
        " && ".join(["a.matches('x')"] * 300),
    ],
)
def test_long_expressions_run(source):
    program = compile_expression(source, SCHEMA)
    with pytest.raises(ERRORS):  # noqa: PT012 - either is an answer
        program.evaluate({"a": {"x": 1}, "b": True})
        raise EvaluationError("it has a value")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a.exists(x, a.y && ", ")"),
        ("a.map(x, ", ")"),
        ("(a.y && ", ")"),
        ("(a.y || (b && ", "))"),
        ("(b ? a.z : ", ")"),
        ("cel.bind(v, a.x, ", ")"),
        ("cel.bind(v, ", ", v)"),
        ("optional.of(", ").optMap(v, v)"),
        ("a.?x.orValue(", ")"),
        ("a.transformMap(k, v, ", ")"),
        ("[", "]"),
        ("{'a': ", "}"),
        ("a.all(k, v, b ? a.exists(z, z.q || ", ") : b)"),
    ],
)
def test_deep_expressions_compile(before, after):
    depth = 63 // (before.count("(") + before.count("[") + before.count("{"))
    program = compile_expression(before * depth + "a.z" + after * depth, SCHEMA)
    copy = pickle.loads(pickle.dumps(program))  # noqa: S301 - written here
    assert answers(copy, {"a": {"x": 1, "z": True}, "b": False})


def answers(program: Program, values: dict[str, object]) -> bool:
    """Tell whether a program has a value, or explains why not."""
    try:
        program.evaluate(values)
    except ERRORS as error:
        return bool(program.explain(error).message)
    return True
