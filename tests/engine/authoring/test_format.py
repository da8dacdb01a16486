"""Files in order: the same meaning, every comment, and nothing to do the second time."""

from __future__ import annotations

import random
import re

import pytest

from engine.authoring.expressions import programs_of
from engine.authoring.format import formatted
from engine.documents import Source, load_policies
from engine.extensions import kind
from tests.running import ROOT

EXAMPLES = sorted(
    path for path in (ROOT / "examples").glob("**/policies/*.yaml") if not path.name.endswith("_test.yaml")
)
BLANKS = "   "
UNTIDY = """# The story stays on top.

failurePolicy: Ignore  # beside
# of the rules
rules:{BLANKS}
  # of one rule
  - deny: llm.params.?n.orValue( 1 )>4||apiKey.team=="x"
    message: 'a  text,not CEL'


  - require: |
      has( apiKey.metadata.a )&&
        // why
        apiKey.metadata.a!="b"
  - allow: '"it''s"==apiKey.team'
name: p
kind: ModelAccess
# at the end

---
kind: Transform
set: {user: 'llm.model=="a"?"b":"c"'}
name: t
match: {teams: [x]}


""".replace("{BLANKS}", BLANKS)
TIDY = """# The story stays on top.

kind: ModelAccess
name: p
# of the rules
rules:
  # of one rule
  - deny: llm.params.?n.orValue(1) > 4 || apiKey.team == "x"
    message: 'a  text,not CEL'

  - require: |
      has(apiKey.metadata.a) &&
        // why
        apiKey.metadata.a != "b"
  - allow: '"it''s" == apiKey.team'
failurePolicy: Ignore  # beside
# at the end

---
kind: Transform
name: t
match: {teams: [x]}
set: {user: 'llm.model == "a" ? "b" : "c"'}
"""


def loaded(text: str):
    found = load_policies([Source("p.yaml", text)], kind)
    assert not found.failed, found.problems
    return found.policies


def test_a_file_is_put_in_order():
    done = formatted(UNTIDY, "p.yaml")
    assert (done.text, done.left, done.problems) == (TIDY, "", ())
    assert formatted(TIDY, "p.yaml").text == TIDY


def test_what_it_says_is_the_same():
    for before, after in zip(loaded(UNTIDY), loaded(TIDY), strict=True):
        assert (before.head.name, before.head.refs, before.head.loops) == (
            after.head.name,
            after.head.refs,
            after.head.loops,
        )
        assert [program.codes for program in programs_of(before)] == [program.codes for program in programs_of(after)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_in_order(path):
    text = path.read_text()
    assert formatted(text, str(path)).text == text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("seed", range(4))
def test_an_example_in_disorder_comes_back(path, seed):
    """Fields shuffled, blanks added: the file is as it was, to the byte."""
    chance, text = random.Random(seed), path.read_text()
    documents = []
    for document in text.removesuffix("\n").split("\n---\n"):
        head = re.match(r"(?:#.*\n|\n)*", document)[0]
        fields = re.split(r"\n(?=\w)", document[len(head) :])
        rest = (
            fields
            if document.count("\n#") > head.count("\n#") + head.startswith("#")
            else chance.sample(fields, len(fields))
        )
        documents.append(head + "\n".join(rest))
    untidy = "\n---\n".join(documents)
    untidy = "\n".join(line + " " * chance.choice([0, 0, 3]) for line in untidy.split("\n")) + "\n\n"
    own = [
        field
        for field in (
            "set",
            "clamp",
            "metadata",
            "drop",
            "mask",
            "content",
            "path",
            "target",
            "limit",
            "window",
            "rates",
            "type",
            "phases",
            "detect",
        )
        if f"\n{field}:" in text
    ]
    if len(own) < 2:
        assert formatted(untidy, "p.yaml").text == text
    else:  # a kind's own fields keep the order in which they are found
        assert sorted(formatted(untidy, "p.yaml").text.split("\n")) == sorted(text.split("\n"))


def test_what_cannot_move_stays():
    text = (
        'rules: &r\n  - {deny: "false"}\nname: p\nkind: ModelAccess\nmatch: {models: ["a"], teams: &t [b], keys: *t}\n'
    )
    done = formatted(text, "p.yaml")
    assert loaded(done.text)[0].head.match.keys == ("b",)
    moved = 'variables: [{name: v, expression: &e "true"}]\nrules: [{deny: *e}]\nname: p\nkind: ModelAccess\n'
    assert "kind: ModelAccess\nname: p\nvariables:" in formatted(moved, "p.yaml").text
    backwards = 'rules: [{deny: &e "true"}]\nvariables: [{name: v, expression: *e}]\nname: p\nkind: ModelAccess\n'
    left = formatted(backwards, "p.yaml")
    assert (left.text, left.left) == (
        backwards,
        "left as they are, for they cannot be changed safely: the order of fields",
    )


def test_blanks_that_are_text_stay():
    text = 'kind: ModelAccess\nname: p\nrules:\n  - deny: "false"\n    message: |\n      a   \n\n\n      b\n'
    done = formatted(text, "p.yaml")
    assert done.text == text
    assert done.left.endswith("blanks")


def test_an_expression_that_yaml_would_misread_is_quoted():
    text = 'kind: ModelAccess\nname: p\nrules:\n  - deny: apiKey.team == "a" ? true:false\n'
    assert "- deny: 'apiKey.team == \"a\" ? true : false'" in formatted(text, "p.yaml").text.replace(
        "? true :", "? true :"
    ) or ('apiKey.team == "a" ? true : false' in formatted(text, "p.yaml").text)
    assert loaded(formatted(text, "p.yaml").text)


def test_several_expressions_on_a_line_are_all_put_in_order():
    text = 'kind: ModelAccess\nname: p\nvariables: [{name: a, expression: \'1+1\'}, {name: b, expression: "2+2"}]\nrules: [{deny: "1==2"}]\n'
    assert formatted(text, "p.yaml").text == text.replace("1+1", "1 + 1").replace("2+2", "2 + 2").replace(
        "1==2", "1 == 2"
    )


def test_an_alias_is_changed_where_it_is_written():
    text = 'kind: ModelAccess\nname: p\nrules:\n  - deny: &same apiKey.team=="x"\n  - require: *same\n'
    assert formatted(text, "p.yaml").text == text.replace("==", " == ")
    shared = 'kind: ModelAccess\nname: p\nrules:\n  - {deny: &same apiKey.team=="x", message: *same}\n'
    assert formatted(shared, "p.yaml").text == shared


def test_a_file_that_does_not_load_is_left_alone():
    text = "kind: ModelAccess\nname:    p\nrules: [{deny: '1 +'}]\n"
    done = formatted(text, "p.yaml")
    assert done.text == text
    assert [str(problem).split("\n")[0] for problem in done.problems] == [
        "p.yaml:3:20: error: rules[0].deny: the expression ends too early; expected an expression"
    ]
