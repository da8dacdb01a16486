"""Names and types: what is deduced, and what is said of expressions that are wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.expr.library import FUNCTIONS
from engine.expr.names import Names
from engine.expr.program import Environment, ExpressionError, compile_expression
from engine.expr.schema import (
    BOOL,
    DOUBLE,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    A,
    Field,
    Function,
    Schema,
    Signature,
    Type,
    list_of,
    map_of,
    record,
)

REQUEST = record(model=STRING, messages=list_of(record(role=STRING)), max_tokens=Field(INT, optional=True))
SCHEMA = Schema(
    {
        "request": REQUEST,
        "body": DYN,
        "budget": record(spent=DOUBLE, limit=DOUBLE),
        "labels": map_of(STRING, STRING),
        "now": TIMESTAMP,
        "com.example.limit": INT,
    },
    {"response": "`response` is known only after the call"},
)


def faults(source: str, expects: Type | None = None) -> list[str]:
    with pytest.raises(ExpressionError) as error:
        compile_expression(source, SCHEMA, expects)
    return [str(one) for one in error.value.faults]


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("request.model", STRING),
        ("request['model']", STRING),
        ("request.messages[0].role", STRING),
        ("request.messages.map(m, size(m.role))", list_of(INT)),
        ("body.anything.at.all", DYN),
        ("budget.spent + 1.0 < budget.limit", BOOL),
        ("budget.limit > 0", BOOL),
        ("budget.limit == 0", BOOL),
        ("request.model == null", BOOL),
        ("labels.team", STRING),
        ("labels.?team.orValue('')", STRING),
        ("body.a + body.b", DYN),
        ("body.a + 1", INT),
        ("1 + body.a == body.b", BOOL),
        ("now - timestamp('2026-01-01T00:00:00Z') < duration('1h')", BOOL),
        ("body.ok ? 1 : null", DYN),
        ("request.messages.exists(i, m, i > 0 && m.role == 'user')", BOOL),
        ("labels.all(k, v, k != v)", BOOL),
        ("cel.bind(m, request.model, m + 'x')", STRING),
        ("'role' in request", BOOL),
        ("size(request)", INT),
        ("math.greatest(1, 2)", INT),
        ("type(body) == string", BOOL),
    ],
)
def test_types(source, result):
    assert compile_expression(source, SCHEMA).result == result


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("requst.model", "1:1: unknown variable `requst`; did you mean `request`?"),
        ("true &&\n  requst.model == ''", "2:3: unknown variable `requst`; did you mean `request`?"),
        ("request.mesages.size() > 1", "1:9: `request` has no field `mesages`; did you mean `messages`?"),
        ("request['mesages']", "1:8: `request` has no field `mesages`; did you mean `messages`?"),
        ("request.messages[0].rol == ''", "1:21: the record has no field `rol`; did you mean `role`?"),
        ("request.messages.all(m, m.rol == '')", "1:27: `m` has no field `rol`; did you mean `role`?"),
        ("response.status > 200", "1:1: `response` is known only after the call"),
        ("body.startWith('a')", "1:6: unknown function `startWith`; did you mean `startsWith`?"),
        ("request.messages.exist(m, m.role == '')", "1:18: unknown function `exist`; did you mean `exists`?"),
        ("math.greates(1, 2)", "1:6: unknown function `math.greates`; did you mean `math.greatest`?"),
        ("cel.bind(x, 1)", "1:5: `cel.bind` is written `cel.bind(name, value, expression)`"),
        ("body.exists(x)", "1:6: `exists` is written `x.exists(it, condition)`"),
        ("has()", "1:1: `has` is written `has(a.b)`"),
        ("startsWith('a', 'b')", "1:1: `startsWith` is written `x.startsWith(…)`"),
        ("body.double()", "1:6: `double` is written `double(x)`"),
        (
            "budget.spent + 1 > 2.0",
            "1:14: `+` does not take double and int; numbers of one type only: convert one side, as in double(x)",
        ),
        ("request.model + 1 == ''", "1:15: `+` does not take string and int"),
        ("request.model == 1", "1:15: `==` does not take string and int; they are never equal"),
        ("request.model < 1", "1:15: `<` does not take string and int"),
        (
            "body.?n > 1",
            "1:9: `>` does not take optional(dyn) and int; an optional has its value taken out first, as in x.orValue(0)",
        ),
        (
            "1 in labels",
            "1:3: `in` does not take int and map(string, string); on its right stands a list of such values",
        ),
        ("request.model && true", "1:9: `&&` takes bool, not string"),
        ("request.model ? 1 : 2", "1:9: the condition before `?` is bool, not string"),
        ("true ? 1 : 'a'", "1:6: `?` gives int or string: both must be of one type, or dyn(x)"),
        ("!request.model", "1:1: `!` does not take string"),
        ("-request.model", "1:1: `-` does not take string"),
        ("now.x", "1:5: timestamp has no field `x`"),
        ("now[0]", "1:4: timestamp cannot be indexed"),
        ("[1]['a']", "1:4: a list is indexed by int, not by string"),
        ("labels[1]", "1:7: the keys are string, not int"),
        ("{1.0: 2}", "1:2: a key is string, int, uint or bool, not double"),
        ("now.all(x, true)", "1:5: `all` loops over a list or a map, not over timestamp"),
        ("[1].filter(x, x)", "1:15: the condition of `filter` is bool, not int"),
        ("[1].exists(x, x + 1)", "1:17: the condition of `exists` is bool, not int"),
        ("[?1]", "1:3: after `?` stands an optional, not int"),
        ("now.optMap(x, x)", "1:5: `optMap` takes an optional, not timestamp"),
        ("optional.of(1).optFlatMap(x, x)", "1:30: `optFlatMap` gives an optional, not int"),
        ("[1].transformMapEntry(i, v, v)", "1:29: `transformMapEntry` gives a map for each entry, not int"),
        ("size(1)", "1:1: `size` takes "),
        ("body.matches('(')", "1:6: missing )"),
        ("timestamp('yesterday')", "1:1: "),
        ("duration('1 day')", "1:1: "),
        ("cidr('10.0.0.0/99')", "1:1: "),
        ("f(x)", "1:1: unknown function `f`"),
    ],
)
def test_faults_say_what_and_where(source, fault):
    assert faults(source)[0].startswith(fault)


def test_every_fault_is_told_at_once_and_in_order():
    assert [one.partition(";")[0] for one in faults("requst.a + request.mesages\n&& bdy")] == [
        "1:1: unknown variable `requst`",
        "1:20: `request` has no field `mesages`",
        "2:4: unknown variable `bdy`",
    ]


def test_faults_are_at_most_twenty():
    assert len(faults(" + ".join(f"x{number}" for number in range(100)))) == 20


@pytest.mark.parametrize(
    ("source", "expects", "fault"),
    [
        ("request.model", BOOL, "1:9: the expression is to be bool, not string"),
        ("1 + 2", DOUBLE, "1:3: the expression is to be double, not int; write double(…)"),
        ("request.messages", list_of(INT), "1:9: the expression is to be list(int), not list(record)"),
    ],
)
def test_the_result_is_what_its_user_needs(source, expects, fault):
    assert faults(source, expects) == [fault]


def test_dyn_may_be_what_its_user_needs():
    assert compile_expression("body.flag", SCHEMA, BOOL).result == DYN


def test_names_are_found_from_their_container():
    assert compile_expression("limit + 1", SCHEMA, container="com.example.inner").result == INT
    assert compile_expression("example.limit", SCHEMA, container="com").result == INT
    assert compile_expression("com.example.limit", SCHEMA).result == INT
    assert (
        compile_expression("[1].map(limit, 'a' + string(limit))", SCHEMA, container="com.example").result.name == "list"
    )
    with pytest.raises(ExpressionError):
        compile_expression(".limit", SCHEMA, container="com.example")


def test_functions_are_found_from_their_container_but_for_macro_variables():
    double = Function("my.twice", lambda x: x * 2, (Signature((INT,), INT),))
    functions = {**FUNCTIONS, "my.twice": double}
    assert compile_expression("my.twice(2)", SCHEMA, functions=functions).evaluate({}) == 4
    assert compile_expression("twice(2)", SCHEMA, container="my", functions=functions).evaluate({}) == 4
    with pytest.raises(ExpressionError, match="unknown function `twice`"):
        compile_expression("[1].all(my, my.twice(2) == 4)", SCHEMA, functions=functions)


def test_type_variables_tie_arguments_together():
    same = Function("same", lambda a, b: a == b, (Signature((A, list_of(A)), BOOL),))
    functions = {"same": same}
    compile_expression("same(1, [2])", SCHEMA, functions=functions)
    compile_expression("same(body, [2])", SCHEMA, functions=functions)
    with pytest.raises(ExpressionError, match="`same` takes"):
        compile_expression("same(1, ['a'])", SCHEMA, functions=functions)


def test_unchecked_expressions_fail_when_they_are_evaluated():
    unchecked = Environment(Names(SCHEMA, FUNCTIONS, ""), checked=False)
    for source in ("nobody", "nothing(1)", "'a' + 1", "request.mesages", "!'a'", "'a' ? 1 : 2", "'a'.b", "size(1, 2)"):
        program = unchecked.compile(f"({source}) == 1 || true")
        assert program.evaluate({"request": {}}) is True, source
        with pytest.raises(ExpressionError):
            replace(unchecked, checked=True).compile(source)


def test_macro_names_shadow_variables_within_only():
    assert compile_expression("[1].all(request, request > 0) && request.model == ''", SCHEMA).result == BOOL


@pytest.mark.parametrize(
    ("source", "warnings"),
    [
        (
            "request.max_tokens > 5",
            [
                (
                    "1:9: `request.max_tokens` may be absent, which is an error then: write"
                    " `has(request.max_tokens) && …` or `request.?max_tokens.orValue(…)`"
                )
            ],
        ),
        ("has(request.max_tokens) && request.max_tokens > 5", []),
        ("request.max_tokens > 5 && has(request.max_tokens)", []),
        ("!has(request.max_tokens) || request.max_tokens > 5", []),
        ("has(request.max_tokens) ? request.max_tokens : 1", []),
        ("!has(request.max_tokens) ? 1 : request.max_tokens", []),
        ("request.?max_tokens.orValue(0) > 5", []),
        ("!(!has(request.max_tokens) || request.max_tokens < 5) && true", []),
        (
            "request.messages.exists(a, body.list.exists(b, a == b))",
            ["1:38: `exists` loops within a loop: the time grows with the product of both lengths"],
        ),
        ("request.messages.exists(a, [1, 2].exists(b, b == 1))", []),
        ("body.exists(a, a.parts.exists(b, b == 1))", []),
    ],
)
def test_warnings(source, warnings):
    assert [str(one) for one in compile_expression(source, SCHEMA).warnings] == warnings
