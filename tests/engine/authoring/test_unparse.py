"""Text of trees: what is unparsed parses to the same tree, whatever the tree."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.spacing import spaced
from engine.authoring.unparse import quoted, same, texts_of, unparse
from engine.expr.nodes import (
    Binary,
    Bind,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Has,
    Index,
    ListLiteral,
    Logic,
    MapLiteral,
    Name,
    Node,
    OptionalMap,
    Select,
    Unary,
    every,
)
from engine.expr.parser import parse
from engine.expr.values import MAX_INT, MAX_UINT, MIN_INT, Uint
from tests.engine.expr.expressions import Writer

NAMES = st.sampled_from(["a", "b", "request", "_x", "E5"])
FIELDS = st.sampled_from(["a", "e5", "for", "in", "true", "x-tenant", "a b", "9"])
FUNCTIONS = st.sampled_from(["f", "size", "matches"])
LITERALS = st.one_of(
    st.none(), st.booleans(), st.integers(MIN_INT, MAX_INT), st.integers(0, MAX_UINT).map(Uint),
    st.floats(allow_nan=False), st.text(), st.binary(),
).map(lambda value: Constant(0, value))  # fmt: skip
SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "in", "+", "-", "*", "/", "%"])


def _logic(sign: str, operands: list[Node]) -> Node:
    first = operands[0]
    inner = first.operands if isinstance(first, Logic) and first.sign == sign else [first]
    return Logic(0, sign, [*inner, *operands[1:]])


def _loop(over: Node, names: list[str], test: Node | None, body: Node, macro: str) -> Node:
    if macro == "filter":
        return Comprehension(0, macro, over, (names[0],), body, Name(0, names[0]))
    if macro == "map":
        return Comprehension(0, macro, over, (names[0],), test, body)
    two = macro.startswith("transform")
    return Comprehension(0, macro, over, tuple(names[: 1 + two]), test if two else None, body)


def _larger(part: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    macros = st.sampled_from(["all", "exists", "exists_one", "filter", "map", "transformList", "transformMap"])
    return st.one_of(
        st.builds(lambda o, f, q: Select(0, o, f, q), part, FIELDS, st.booleans()),
        st.builds(lambda o, f: Has(0, o, f), part, FIELDS),
        st.builds(lambda o, k, q: Index(0, o, k, q), part, part, st.booleans()),
        st.builds(lambda n, r, a: Call(0, n, r, a), FUNCTIONS, st.none() | part, st.lists(part, max_size=3)),
        st.builds(lambda n, a: Call(0, n, None, a, absolute=True), FUNCTIONS, st.lists(part, max_size=2)),
        st.builds(lambda s, o: Unary(0, s, o), st.sampled_from("!-"), part),
        st.builds(lambda s, x, y: Binary(0, s, x, y), SIGNS, part, part),
        st.builds(_logic, st.sampled_from(["&&", "||"]), st.lists(part, min_size=2, max_size=4)),
        st.builds(lambda t, y, n: Conditional(0, t, y, n), part, part, part),
        st.builds(lambda i, o: ListLiteral(0, i, frozenset(o) & {*range(len(i))}), st.lists(part, max_size=3), st.sets(st.integers(0, 2))),
        st.builds(lambda k, o: MapLiteral(0, [x for x, _ in k], [x for _, x in k], frozenset(o) & {*range(len(k))}), st.lists(st.tuples(part, part), max_size=3), st.sets(st.integers(0, 2))),
        st.builds(_loop, part, st.lists(NAMES, min_size=2, max_size=2, unique=True), st.none() | part, part, macros),
        st.builds(lambda n, v, b: Bind(0, n, v, b), NAMES, part, part),
        st.builds(lambda n, o, b, f: OptionalMap(0, n, o, b, f), NAMES, part, part, st.booleans()),
    )  # fmt: skip


TREES = st.recursive(LITERALS | st.builds(lambda n, a: Name(0, n, a), NAMES, st.booleans()), _larger, max_leaves=12)


@given(TREES)
@settings(max_examples=600, deadline=None)
def test_any_tree_comes_back(tree):
    text = unparse(tree)
    assert same(parse(text), tree), text
    assert unparse(parse(text)) == text


@pytest.mark.parametrize("seed", range(300))
def test_expressions_of_every_type_come_back(seed):
    source = Writer(seed).expression(5)
    tree = parse(source)
    text = unparse(tree)
    assert same(parse(text), tree), text
    again = spaced(source)
    assert same(parse(again), tree)
    assert spaced(again) == again


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a&&b||!c", "a && b || !c"),
        ("(a&&b)||c", "a && b || c"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a?b:c)?d:e", "(a ? b : c) ? d : e"),
        ("-(5)", "-(5)"),
        ("a[?'k'].orValue('')", 'a[?"k"].orValue("")'),
        ("x.existsOne(i,i>1)", "x.exists_one(i, i > 1)"),
        ("{'a':1,?'b':c}", '{"a": 1, ?"b": c}'),
        ("a.`x-y`", "a.`x-y`"),
        (r"s.matches('\\d+')", r's.matches(r"\d+")'),
    ],
)
def test_text_is_written_one_way(source, text):
    assert unparse(parse(source)) == text


def test_strings_are_quoted_so_that_they_need_least():
    assert [quoted(text) for text in ("a", 'say "x"', "it's \"x\"", "\n\\", "\x01\U0001f40d")] == [
        '"a"', "'say \"x\"'", '"it\'s \\"x\\""', '"\\n\\\\"', '"\\u0001🐍"',
    ]  # fmt: skip


def test_every_part_has_its_text():
    tree = parse("a.b > 1 && c")
    texts = texts_of(tree)
    assert [texts[id(node)] for node in every(tree)] == ["a.b > 1 && c", "a.b > 1", "a.b", "a", "1", "c"]


def test_trees_that_differ_are_not_the_same():
    for one, other in [
        ("1", "1u"),
        ("0.0", "-0.0"),
        ("a", ".a"),
        ("a.b", "a.?b"),
        ("a + b", "a - b"),
        ("[a]", "[a, a]"),
    ]:
        assert not same(parse(one), parse(other))
