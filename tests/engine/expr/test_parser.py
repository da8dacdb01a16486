"""The grammar, its limits, and what is said of text that it does not take."""

from __future__ import annotations

import pytest

from engine.expr.nodes import Binary, Call, Comprehension, Conditional, Constant, Has, Index, Logic, Node, Select, Unary
from engine.expr.parser import MAX_NESTING, MAX_NODES, MAX_SOURCE, parse
from engine.expr.problems import FaultAt


def shape(node: Node) -> str:  # noqa: PLR0911 - a line for each kind of node
    """Write a tree with all its parentheses."""
    parts = [shape(one) for one in node.children()]
    match node:
        case Binary() | Logic():
            return f"({f' {node.sign} '.join(parts)})"
        case Unary():
            return f"{node.sign}{parts[0]}"
        case Conditional():
            return f"({parts[0]} ? {parts[1]} : {parts[2]})"
        case Select():
            return f"{parts[0]}{'.?' if node.optional else '.'}{node.field}"
        case Index():
            return f"{parts[0]}[{'?' if node.optional else ''}{parts[1]}]"
        case Has():
            return f"has({parts[0]}.{node.field})"
        case Comprehension():
            return f"{node.macro}[{', '.join(node.names)}]({', '.join(parts)})"
        case Call():
            return f"{node.name}({', '.join(parts)})"
        case Constant():
            return repr(node.value)
    return f"{'.' if getattr(node, 'absolute', False) else ''}{getattr(node, 'name', type(node).__name__)}"


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a || b && c || d", "(a || (b && c) || d)"),
        ("a < b == c", "((a < b) == c)"),
        ("!a.b && -c[0] in d", "(!a.b && (-c[0] in d))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a - -1", "(a - -1)"),
        ("--1", "--1"),
        ("-9223372036854775808", "-9223372036854775808"),
        (".a.b", ".a.b"),
        ("a.?b[?c].`x-y`", "a.?b[?c].x-y"),
        ("a.as.break", "a.as.break"),
        ("has(a.b.c)", "has(a.b.c)"),
        ("a.all(x, x > 0)", "all[x](a, (x > 0))"),
        ("a.exists(i, x, x > i)", "exists[i, x](a, (x > i))"),
        ("a.existsOne(x, x)", "exists_one[x](a, x)"),
        ("a.map(x, x > 0, x + 1)", "map[x](a, (x > 0), (x + 1))"),
        ("a.filter(x, x)", "filter[x](a, x, x)"),
        ("a.all(x)", "all(a, x)"),
        ("f(a, b.g())", "f(a, g(b))"),
    ],
)
def test_trees(source, tree):
    assert shape(parse(source)) == tree


def test_macros_can_be_left_alone():
    assert shape(parse("has(a.b) && x.all(y, z)", macros=False)) == "(has(a.b) && all(x, y, z))"
    assert isinstance(parse("has(a.b)", macros=False), Call)


@pytest.mark.parametrize(
    ("source", "at", "part"),
    [
        ("", 0, "expected an expression"),
        ("a +", 3, "ends too early; expected an expression"),
        ("a + )", 4, "unexpected `)`; expected an expression"),
        ("(a", 2, "`)`"),
        ("[a, b", 5, "expected `,` or `]`"),
        ("{a b}", 3, "expected `:`"),
        ("f(a b)", 4, "expected `,` or `)`"),
        ("f(a,)", 4, "expected an expression"),
        ("a b", 2, "an operator or the end"),
        ("a and b", 2, "`&&`"),
        ("a ? b", 5, "`:`"),
        ("a.1", 1, "unexpected `.1`"),
        ("a.", 2, "the name of a field"),
        ("a.true", 2, "the name of a field"),
        ("for", 0, "reserved word"),
        ("a && in", 5, "unexpected `in`"),
        ("!-a", 1, "parentheses"),
        ("9223372036854775808", 0, "64 bits"),
        ("has(a)", 4, "has(a.b)"),
        ("has(a.?b)", 7, "has(a.b)"),
        ("a.all(x.y, true)", 8, "a plain name"),
        ("a.exists(x, x, true)", 12, "declared twice"),
        ("cel.bind(1, 2, 3)", 9, "a plain name"),
        ("Msg{a: 1}", 3, "messages are not supported"),
        ("`a`", 0, "unexpected `a`"),
        ("\ud800", 0, "surrogate"),
        ("'\udc00'", 1, "surrogate"),
    ],
)
def test_faults_stand_where_they_are(source, at, part):
    with pytest.raises(FaultAt) as error:
        parse(source)
    assert (error.value.at, part in error.value.message) == (at, True), error.value.message


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("[", "]"), ("f(", ")"), ("a[", "]"), ("{1:", "}")])
def test_nesting_ends_at_64(opening, closing):
    deepest = MAX_NESTING
    parse(opening * deepest + "a" + closing * deepest)
    for depth in (deepest + 1, 300, 2_000):
        with pytest.raises(FaultAt, match="nested deeper than 64"):
            parse(opening * depth + "a" + closing * depth)


@pytest.mark.parametrize("source", ["+".join("a" * 900), "a" + ".b" * 1_900, "!" * 1_900 + "a", "a ? b : " * 600 + "c"])
def test_chains_are_no_nesting(source):
    parse(source)


@pytest.mark.parametrize("source", ["+".join("a" * 1_100), "!" * 2_100 + "a", f"[{'a,' * 2_000}a]"])
def test_parts_end_at_2000(source):
    with pytest.raises(FaultAt, match=f"more than {MAX_NODES:,} parts"):
        parse(source)


@pytest.mark.parametrize("source", ["a" * (MAX_SOURCE + 1), f"'{'é' * (MAX_SOURCE // 2)}'"])
def test_source_ends_at_8_kib(source):
    with pytest.raises(FaultAt, match="8,192 bytes"):
        parse(source)
