"""YAML as one reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.problems import Mark
from engine.config.yaml import MAX_DEPTH, parse, read


def faults(text):
    return [str(problem) for problem in parse(text, "f.yaml").problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("2030-01-01", "2030-01-01"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("'3'", "3"),
        ("!!str 3", "3"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-12", -12),
        ("+3", 3),
        ("1.5", 1.5),
        ("1e-7", 1e-7),
        ("1.5e-7", 1.5e-7),
        (".5", 0.5),
        ("!!float 3", 3.0),
        ("!!int '3'", 3),
        ("[1, a]", [1, "a"]),
        ("{b: {c: 1}}", {"b": {"c": 1}}),
    ],
)
def test_a_scalar_is_what_it_looks_like(written, value):
    document = parse(f"a: {written}\n", "f.yaml")
    assert document.problems == []
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value)


def test_every_value_has_its_place_counted_from_one():
    document = parse("model_list:\n  - litellm_params:\n      model: x\n", "f.yaml")
    assert document.marks["model_list", 0, "litellm_params", "model"] == Mark("f.yaml", 3, 7)
    assert document.marks["model_list", 0] == Mark("f.yaml", 2, 5)
    assert document.marks["model_list",] == Mark("f.yaml", 1, 1)


def test_numbers_keep_their_text():
    document = parse("a: 0.00000015\nb: [1.50e-7]\n", "f.yaml")
    assert document.texts == {("a",): "0.00000015", ("b", 0): "1.50e-7"}


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "---\n", "~", "\ufeff"])
def test_an_empty_file_is_an_empty_mapping(text):
    document = parse(text.removeprefix("\ufeff"), "f.yaml")
    assert (document.value, document.problems) == ({}, [])


def test_a_byte_order_mark_is_not_content(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(tmp_path / "f.yaml").value == {"a": 1}


def test_number_keys_become_their_text():
    assert parse("{1: a, 3.5: b}", "f.yaml").value == {"1": "a", "3.5": "b"}


def test_anchors_and_merge_keys():
    text = """
    x-a: &a {p: 1, q: 2}
    x-b: &b {q: 3, r: 4}
    one: {<<: *a, q: 9}
    two: {<<: [*a, *b]}
    three: {"<<": plain}
    """
    value = parse(text, "f.yaml").value
    assert value["one"] == {"p": 1, "q": 9}
    assert value["two"] == {"p": 1, "q": 2, "r": 4}
    assert value["three"] == {"<<": "plain"}


def test_what_is_merged_in_keeps_the_place_where_it_stands():
    document = parse("x-a: &a\n  p: 1\none:\n  <<: *a\n", "f.yaml")
    assert document.marks["one", "p"].line == 2


BAD = {
    "a: 1\nb: 2\na: 3\n": "f.yaml:3: error: a: `a` is already on line 1: keep one of the two",
    "m:\n  k: 1\n  k: 2\n": "f.yaml:3: error: m.k: `k` is already on line 2: keep one of the two",
    "a: 1\n---\nb: 2\n": "f.yaml:3: error: a second document starts here: keep one document in a file",
    "- a\n": "f.yaml:1: error: expected a mapping at the top level, such as `model_list:`",
    "word": "f.yaml:1: error: expected a mapping at the top level, such as `model_list:`",
    "? [a]\n: 1\n": "f.yaml:1: error: a key must be text: put it in quotes",
    "true: 1\n": "f.yaml:1: error: a key must be text: put it in quotes",
    "~: 1\n": "f.yaml:1: error: a key must be text: put it in quotes",
    "a: b: c\n": "f.yaml:1: error: mapping values are not allowed in this context (column 5): check indentation, quotes and brackets",
    "a: *q\n": "f.yaml:1: error: found undefined alias (column 4): check indentation, quotes and brackets",
    "a: !!python/object:os.system x\n": "f.yaml:1: error: a: tag `tag:yaml.org,2002:python/object:os.system` is not supported: write plain values",
    "a: !secret x\n": "f.yaml:1: error: a: tag `!secret` is not supported: write plain values",
    "a: !!set {x}\n": "f.yaml:1: error: a: tag `tag:yaml.org,2002:set` is not supported: write plain values",
    "a: !!int x\n": "f.yaml:1: error: a: not a valid int value, or too large: write it in full or in quotes",
    "a: 1e999\n": "f.yaml:1: error: a: not a valid float value, or too large: write it in full or in quotes",
    f"a: {'9' * 5000}\n": "f.yaml:1: error: a: not a valid int value, or too large: write it in full or in quotes",
    "a: &a [*a]\n": "f.yaml:1: error: a[0]: this alias holds itself, or nests without end: write the values out",
    "a: &a\n  <<: *a\n": "f.yaml:1: error: a: `<<` takes another mapping or a list of mappings, such as `*defaults`",
    "a:\n  <<: 3\n": "f.yaml:2: error: a: `<<` takes another mapping or a list of mappings, such as `*defaults`",
    "a: \x01\n": "f.yaml:1: error: a control character may not stand here: remove it",
    "a: \ud800\n": "f.yaml:1: error: half of a surrogate pair is not a character: remove it",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_bad_yaml_is_one_error_with_its_place(text):
    assert faults(text) == [BAD[text]]


def test_all_duplicates_are_told_at_once():
    assert len(faults("a: 1\na: 2\nb: 1\nb: 2\n")) == 2


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "a: " + "[" * (MAX_DEPTH + 1)])
def test_deep_nesting_is_an_error_not_a_crash(text):
    (problem,) = faults(text)
    assert f"nested deeper than {MAX_DEPTH} levels" in problem


def test_aliases_cannot_nest_deeper_than_text_can():
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}}}" for n in range(1, 150))]
    assert "nests without end" in faults("\n".join(lines))[0]


@pytest.mark.parametrize("form", ["[{}]", "{{{}}}"])
def test_an_alias_bomb_does_not_go_off(form):
    lines = ["a0: &a0 [x, x]"]
    for n in range(1, 30):
        pair = f"*a{n - 1}, *a{n - 1}" if form == "[{}]" else f"p: *a{n - 1}, q: *a{n - 1}"
        lines.append(f"a{n}: &a{n} {form.format(pair)}")
    assert faults("\n".join(lines)) == [
        "f.yaml:1: error: aliases unfold to more than 200,000 values: write fewer `*` references"
    ]


def test_a_bomb_of_merge_keys_does_not_go_off():
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))]
    assert "aliases unfold" in faults("\n".join(lines))[0]


def test_what_cannot_be_read_says_so(tmp_path):
    missing = read(tmp_path / "none.yaml")
    assert not missing.readable
    assert "cannot be read (no such file or directory)" in str(missing.problems[0])
    assert "is a directory" in str(read(tmp_path).problems[0])
    assert not read("a\0b").readable


def test_what_is_not_utf8_says_where(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"a: 1\nb: \xff\n")
    (problem,) = read(tmp_path / "f.yaml").problems
    assert problem.mark == Mark(str(tmp_path / "f.yaml"), 2, 4)
    assert problem.message == "is not UTF-8 here: save the file as UTF-8"


@given(st.text(alphabet=st.sampled_from("ab: -[]{}&*<>|!'\"#\n\t,?~1.e"), max_size=60))
def test_any_text_is_a_mapping_or_a_problem(text):
    document = parse(text, "f.yaml")
    assert isinstance(document.value, dict)
    assert all(problem.mark is None or problem.mark.line >= 1 for problem in document.problems)
