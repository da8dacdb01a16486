"""Programs: what is known of them, their limits, their errors, and their way between processes."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import time

import pytest

from engine.expr import program as programs
from engine.expr.program import ERRORS, ExpressionError, Program, compile_expression
from engine.expr.schema import BOOL, DOUBLE, DYN, INT, STRING, Schema, list_of, map_of, record

SCHEMA = Schema(
    {
        "a": DYN,
        "b": BOOL,
        "n": INT,
        "d": DOUBLE,
        "r": record(s=STRING, l=list_of(record(text=STRING)), m=map_of(STRING, DYN)),
        "x.y": STRING,
    },
    {},
)


def compiled(source: str) -> Program:
    return compile_expression(source, SCHEMA)


def failure(source: str, values: dict[str, object]) -> tuple[str, BaseException]:
    """Evaluate what fails; return the explanation and the error."""
    program = compiled(source)
    try:
        value = program.evaluate(values)
    except ERRORS as error:
        return str(program.explain(error)), error
    raise AssertionError(f"evaluates to {value!r}")


@pytest.mark.parametrize(
    ("source", "refs"),
    [
        ("true", []),
        ("a.b.c == r.s", [("a", "b", "c"), ("r", "s")]),
        ("a['b'].c[0].d > 1", [("a", "b", "c", "*", "d")]),
        ("a.b[n].c > 1", [("a", "b"), ("n",)]),
        ("size(a) > 1", [("a",)]),
        ("has(a.b.c)", [("a", "b", "c")]),
        ("a.?b.?c.orValue(1) == 1", [("a", "b", "c")]),
        ("r.l.exists(x, x.text == a.t)", [("r", "l", "*", "text"), ("a", "t")]),
        ("r.l.exists(x, true)", [("r", "l")]),
        ("r.l.filter(x, x.text != '').map(y, y.text)", [("r", "l", "*", "text")]),
        ("r.l.filter(x, x.text != '').size()", [("r", "l"), ("r", "l", "*", "text")]),
        ("r.l.all(x, x == a)", [("r", "l", "*"), ("a",)]),
        ("a.l.exists(x, x.parts.exists(y, y.z == 1))", [("a", "l", "*", "parts", "*", "z")]),
        ("r.m.all(k, k != '')", [("r", "m")]),
        ("r.m.all(k, v, v.x == 1)", [("r", "m", "*", "x")]),
        ("r.l.all(i, v, v.text != '')", [("r", "l", "*", "text")]),
        ("cel.bind(v, a.b, v.c + v.d)", [("a", "b", "c"), ("a", "b", "d")]),
        ("a.?b.optMap(v, v.c).hasValue()", [("a", "b", "c")]),
        ("'k' in r.m", [("r", "m")]),
        ("x.y == ''", [("x.y",)]),
        ("b ? a.x : a.y", [("b",), ("a", "x"), ("a", "y")]),
        ("dyn(a).b", [("a", "b")]),
        ("{'k': a.b}['k']", [("a", "b")]),
    ],
)
def test_references(source, refs):
    assert compiled(source).refs == frozenset(refs)


@pytest.mark.parametrize(
    ("source", "loops", "searched"),
    [
        ("a.b == 1", 0, False),
        ("a.exists(x, x)", 1, False),
        ("a.filter(x, x).map(y, y) == []", 1, False),
        ("a.exists(x, x.exists(y, y.all(z, z)))", 3, False),
        ("a.matches('b+')", 0, True),
    ],
)
def test_loops_and_patterns_are_counted(source, loops, searched):
    program = compiled(source)
    assert program.loops == loops
    assert (program.patterns > 0) is searched
    assert compiled("a.matches(a.b)").patterns == 1_000


@pytest.mark.parametrize(
    ("source", "values", "explanation"),
    [
        ("a.b.c == 1", {"a": {"b": {}}}, "1:5: no such key: `c`"),
        ("a.b.c == 1", {"a": {}}, "1:3: no such key: `b`"),
        ("a.b.c == 1", {"a": {"b": 5}}, "1:5: no such overload: a field of int"),
        ("a.b.c == 1", {"a": {"b": None}}, "1:5: no such overload: a field of null"),
        ("a.b.c == 1", {"a": {"b": []}}, "1:5: no such overload: a field of list"),
        ("a.b.c == 1", {"a": {"b": ""}}, "1:5: no such overload: a field of string"),
        ("a.b.c == 1", {"a": {"b": b""}}, "1:5: no such overload"),
        ("n == 1 &&\n a.b < 'x'", {"n": 1, "a": {"b": 5}}, "2:6: no such overload: int < string"),
        ("a.x[3] == 1", {"a": {"x": [1]}}, "1:4: index out of range"),
        ("a.x[n] == 1", {"a": {"x": [1]}, "n": 3}, "1:4: index out of range: the list has 1 values"),
        ("r.m[a] == 1", {"r": {"m": {}}, "a": "secret"}, "1:4: no such key"),
        ("n / (n - n) > 0", {"n": 1}, "1:3: division by zero: int"),
        ("a.startsWith('b')", {"a": 5}, "1:3: no such overload: startsWith(int, string)"),
        ("a && b", {"a": 5, "b": True}, "1:1: no such overload: a condition of type int"),
        ("a.all(x, x > 0)", {"a": [1, "b"]}, "1:12: no such overload: string > int"),
        ("a.all(x, x > 0)", {"a": 5}, "1:3: no such overload: a loop over int"),
        ("a.b || a.c", {"a": {}}, "1:10: no such key: `c`"),
        ("cel.bind(v, a.b, b && v)", {"a": {}, "b": True}, "1:15: no such key: `b`"),
        ("a.map(x, a.map(y, 1)).size() > 0", {"a": [1] * 200}, "1:12: more than 10,000 iterations"),
        ("has(a.b.c)", {"a": {"b": 1}}, "1:9: no such overload: a field of int"),
        ("n + 9223372036854775807 > 0", {"n": 1}, "1:3: integer overflow: int"),
        ("missing.x == 1", None, ""),
    ],
)
def test_failures_are_explained_at_their_place_without_values(source, values, explanation):
    if values is None:
        with pytest.raises(ExpressionError):
            compiled(source)
        return
    assert failure(source, values)[0] == explanation


def test_other_errors_are_explained_too():
    program = compiled("a.b == 1")
    assert str(program.explain(RecursionError())) == "1:1: the evaluation takes more memory than it may"
    assert str(program.explain(OSError("/secret"))) == "1:1: the evaluation failed: OSError"
    assert str(program.explain(KeyError())) == "1:1: no such key"


@pytest.mark.parametrize(
    "source",
    [
        "a.b.startsWith('x') && a.c in ['p', 'q']",
        "a.exists(x, x.matches('(?i)é+'))",
        "timestamp('2026-01-01T00:00:00Z') < timestamp(n) && duration('1h') > duration('1s')",
        "{1u: 'a'}[1u] == 'a' && 1e309 > d",
        "cidr('10.0.0.0/8').containsIP(ip(a))",
        "(a.y && (b && " * 20 + "a.z" + "))" * 20,
        "r.l.exists(x, n > 1 && x.text == 'y')",
    ],
)
def test_programs_travel_between_processes(source):
    program = compiled(source)
    data = pickle.dumps(program)
    copy = pickle.loads(data)  # noqa: S301 - written here
    for one, other in ((program, copy), (copy, pickle.loads(pickle.dumps(copy)))):  # noqa: S301 - written here
        assert (one.source, one.result, one.refs, one.warnings) == (
            other.source,
            other.result,
            other.refs,
            other.warnings,
        )
        assert (one.loops, one.patterns, one.places) == (other.loops, other.patterns, other.places)
    values = {"a": {"b": "xy", "c": "p"}, "n": 5, "d": 0.5, "b": True, "r": {"l": []}}
    assert outcome(program, values) == outcome(copy, values)


def outcome(program: Program, values: dict[str, object]) -> object:
    try:
        return program.evaluate(values)
    except ERRORS as error:
        return program.explain(error)


def test_another_process_links_what_this_one_compiled(tmp_path):
    file = tmp_path / "program"
    file.write_bytes(pickle.dumps(compiled("a.exists(x, x.matches('^b') && x != 'bc')")))
    code = (
        "import pickle, sys; program = pickle.load(open(sys.argv[1], 'rb'));"
        "print(program.evaluate({'a': ['ab', 'bc', 'bd']}), program.evaluate({'a': ['bc']}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_linking_is_quick():
    data = pickle.dumps(compiled("a.b.startsWith('x') && a.c in ['p', 'q'] && a.exists(x, x.matches('^b'))"))
    begin = time.process_time()
    for _ in range(200):
        pickle.loads(data)  # noqa: S301 - written here
    assert (time.process_time() - begin) / 200 < 200e-6


def test_programs_are_kept_and_environments_told_apart():
    assert compiled("a.kept == 1") is compiled("a.kept == 1")
    other = Schema(dict(SCHEMA.variables), {})
    assert compile_expression("a.kept == 1", other) is not compiled("a.kept == 1")
    assert compile_expression("a.kept", SCHEMA, BOOL) is not compiled("a.kept")


def test_no_more_programs_are_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(programs, "KEPT_PROGRAMS", 2)
    monkeypatch.setattr(programs, "_cache", programs._Cache())
    for source in ("1", "2", "1", "3"):
        compiled(source)
    assert [key[0] for key in programs._cache.programs] == ["1", "3"]


def test_programs_cannot_be_changed():
    with pytest.raises(AttributeError):
        compiled("a").source = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("a.x || a.y || b", {"a": {}, "b": True}),
        ("a.x && a.y && b", {"a": {}, "b": False}),
        ("a.x || b", {"a": {}, "b": False}),
        ("a.x || a.y || a.z", {"a": {}}),
        ("(a.x && a.y) || (a.z && b)", {"a": {}, "b": True}),
        ("a.exists(x, x.y && x.z)", {"a": [{}, {"y": True}]}),
        ("cel.bind(v, a.x, cel.bind(w, v.y, w || v))", {"a": {}}),
        ("a.exists(x, x.y)", {"a": [{}, {"y": True}]}),
        ("a.exists(x, x.y)", {"a": [{}, {"y": False}]}),
        ("a.exists(x, x.y || x.z)", {"a": [{}, {"y": False}]}),
        ("cel.bind(v, a.x, b || v)", {"a": {}, "b": True}),
        ("cel.bind(v, a.x, b || v)", {"a": {}, "b": False}),
    ],
)
def test_errors_leave_no_garbage(source, values):
    """A frame that holds an error that holds the frame would keep a request in memory until the collector runs."""
    program = compiled(source)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            outcome(program, values)
        assert gc.collect() == 0
    finally:
        gc.enable()
