"""The values of parts: those that the whole was made of, and no others."""

from __future__ import annotations

import pytest

from engine.authoring.anatomy import anatomy
from engine.authoring.telling import tree
from engine.authoring.values import evaluated, every, plain, values, written
from engine.expr.program import ExpressionError, Program, compile_expression
from engine.expr.schema import DYN, Schema
from engine.expr.values import NONE, Duration, Optional, Timestamp, Uint
from engine.variables import REQUEST
from tests.engine.expr.expressions import VARIABLES, Writer

ANY = Schema({name.partition(".")[0]: DYN for names in VARIABLES.values() for name in names}, {})
CALL = {
    "llm": {"params": {"max_tokens": 5000}, "prompt": [{"role": "user", "content": text} for text in "abcdefg"]},
    "apiKey": {"team": "web", "metadata": {}},
    "request": {"tags": ["x"], "headers": {}},
}


def shown(source: str, **more) -> list[str]:
    return list(tree(values(anatomy(source, REQUEST), {**CALL, **more}, elements=True)))


def test_a_junction_shows_its_operands_and_what_was_not_reached():
    assert shown('llm.params.?max_tokens.orValue(0) > 4096 || apiKey.team == "x"') == [
        'llm.params.?max_tokens.orValue(0) > 4096 || apiKey.team == "x" = true',
        "  llm.params.?max_tokens.orValue(0) > 4096 = true",
        "    llm.params.?max_tokens.orValue(0) = 5000",
        "      llm.params.?max_tokens = 5000",
        '  apiKey.team == "x" = not reached',
        "    apiKey.team = not reached",
    ]


def test_a_guard_keeps_its_field_from_being_read():
    assert shown("has(apiKey.metadata.tier) && apiKey.metadata.tier == 1")[-2:] == [
        "  apiKey.metadata.tier == 1 = not reached",
        "    apiKey.metadata.tier = not reached",
    ]


def test_an_error_says_why():
    assert shown("apiKey.metadata.tier == 1") == [
        "apiKey.metadata.tier == 1 = error: no such key: `tier`",
        "  apiKey.metadata.tier = error: no such key: `tier`",
    ]


def test_a_choice_shows_the_branch_that_was_taken():
    lines = shown('apiKey.team == "web" ? size(request.tags) : size(apiKey.team)')
    assert [line.rpartition(" = ")[2] for line in lines] == [
        "1",
        "true",
        '"web"',
        "1",
        '["x"]',
        "not reached",
        "not reached",
    ]


def test_a_loop_shows_its_first_elements():
    lines = shown('llm.prompt.exists(m, m.content == "c")')
    assert lines[0] == 'llm.prompt.exists(m, m.content == "c") = true'
    assert lines[1:6] == [
        f'  for {{"role": "user", "content": "{text}"}}: {"true" if text == "c" else "false"}' for text in "abcde"
    ]
    assert lines[6].startswith("  llm.prompt = [")
    assert shown('{"a": 1}.all(k, v, v > 1)') == [
        '{"a": 1}.all(k, v, v > 1) = false', '  for ["a", 1]: false',
    ]  # fmt: skip


def test_names_of_one_value_are_seen_in_its_body():
    lines = shown("cel.bind(n, size(request.tags), n > 1 || request.tags.exists(t, size(t) == n))")
    assert "  n > 1 || request.tags.exists(t, size(t) == n) = true" in lines
    assert "    n > 1 = false" in lines
    assert '      for "x": true' in lines


def test_a_chain_of_sums_is_one():
    assert shown('"a" + apiKey.team + "b" + string(size(request.tags))') == [
        '"a" + apiKey.team + "b" + string(size(request.tags)) = "awebb1"',
        '  apiKey.team = "web"',
        '  string(size(request.tags)) = "1"',
        "    size(request.tags) = 1",
        '      request.tags = ["x"]',
    ]


def compiling(writer: Writer) -> Program:
    """Write expressions until one goes with a schema of which nothing is known."""
    while True:
        try:
            return compile_expression(writer.expression(4), ANY)
        except ExpressionError:
            continue


@pytest.mark.parametrize("seed", range(200))
def test_the_whole_is_what_the_production_program_says(seed):
    writer = Writer(seed)
    program = compiling(writer)
    source, data = program.source, writer.data()
    found = values(anatomy(source, ANY), data, elements=True)
    assert repr((found.value, found.error)) == repr(evaluated(program, data))
    assert all(one.told for one in every(found))


def test_values_are_written_as_json():
    given = [None, True, 3, Uint(3), 1.5, "ü", b"\xff", [1], {"a": Optional(2)}, Timestamp(0), Duration(90 * 10**9)]
    assert [plain(value) for value in given] == [
        None, True, 3, 3, 1.5, "ü", "\\xff", [1], {"a": 2}, "1970-01-01T00:00:00Z", "90s",
    ]  # fmt: skip
    assert written(NONE) == "absent"
    assert written("x" * 300) == '"' + "x" * 200 + '"… (300 characters)'
