"""What every policy document may say, whatever its kind, and where its faults are shown: file, line, column and caret."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.deciding import document, policies, problems, read

HEAD = "kind: ModelAccess\nname: p\nrules:\n"
UNKNOWN = "error: rules[0].deny: `llm` has no field `streamin`"


@pytest.mark.parametrize(
    ("written", "line", "column", "shown", "caret"),
    [
        ("- deny: llm.streamin", 4, 13, "- deny: llm.streamin", 13),
        ("- {deny: llm.streamin, name: x}", 4, 14, "- {deny: llm.streamin, name: x}", 14),
        ("- deny: 'llm.model == \"it''s\" && llm.streamin'", 4, 38, "- deny: 'llm.model == \"it''s\" && llm.streamin'", 38),
        ("- deny: \"llm.model == 'a' && llm.streamin\"", 4, 34, "- deny: \"llm.model == 'a' && llm.streamin\"", 34),
        ("- deny: |\n    llm.streaming &&\n      llm.streamin", 6, 11, "      llm.streamin", 11),
        ("- deny: |-\n\n    llm.streaming &&\n\n      llm.streamin\n  name: y", 8, 11, "      llm.streamin", 11),
        ("- deny: |2 # why\n     llm.streamin", 5, 10, "     llm.streamin", 10),
        ("- name: \U0001f600\n  deny: '\"\U0001f600\" == llm.model || llm.streamin'", 5, 34, "  deny: '\"\U0001f600\" == llm.model || llm.streamin'", 34),
        ("- deny: llm.\tstreamin", 4, 14, "- deny: llm. streamin", 14),
        # Where the text in the file is not that of the expression, the expression itself is shown.
        ('- deny: "llm.model == \\"a\\" && llm.streamin"', 4, 9, 'llm.model == "a" && llm.streamin', 25),
        ("- deny: >\n    llm.streaming &&\n    llm.streamin", 4, 9, "llm.streaming && llm.streamin", 22),
        ("- deny: llm.streaming &&\n    llm.streamin", 4, 9, "llm.streaming && llm.streamin", 22),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_fault_of_an_expression_is_shown_where_it_is_written(written, line, column, shown, caret, newline):
    (found,) = problems((HEAD + written + "\n").replace("\n", newline))
    first, source, pointer = found.split("\n")
    assert first.startswith(f"policies/p.yaml:{line}:{column}: {UNKNOWN}")
    assert source == f"    {shown}"
    assert pointer == " " * (4 + caret - 1) + "^"


def test_only_a_part_of_a_long_line_is_shown():
    (found,) = problems(HEAD + f"- deny: {'true && ' * 60}llm.streamin\n")
    _, source, pointer = found.split("\n")
    assert len(source) <= 4 + 160
    assert source[pointer.index("^") :] == "streamin"


@pytest.mark.parametrize(
    ("written", "line", "column", "shown"),
    [
        ("- deny: llm.streaming &&", 4, 25, "- deny: llm.streaming &&"),
        ("- deny: |\n    llm.streaming && (\n  name: y", 5, 23, "    llm.streaming && ("),
        ("- deny: |\n    llm.streaming &&\n\n\n", 5, 21, "    llm.streaming &&"),
        ("- deny: ''", 4, 10, "- deny: ''"),
    ],
)
def test_an_expression_that_ends_too_early_is_shown_where_it_ends(written, line, column, shown):
    (found,) = problems(f"{HEAD}{written}\n")
    assert found.startswith(f"policies/p.yaml:{line}:{column}: error: rules[0].deny: the expression ends too early")
    assert found.split("\n")[1:] == [f"    {shown}", " " * (4 + column - 1) + "^"]


def test_a_warning_has_its_place_and_the_policy_is_loaded():
    text = HEAD + "- deny: llm.prompt.exists(m, llm.prompt.exists(o, o == m))\n"
    (found,) = problems(text)
    assert found.startswith("policies/p.yaml:4:41: warning: rules[0].deny: `exists` loops within a loop")
    assert len(policies(text)) == 1


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"nmae": "x"}, "nmae: unknown field; did you mean `name`?"),
        ({"xyz": 1}, "xyz: unknown field; known are description, failurePolicy, kind, match, matchConditions, models, name, rules, validationActions, variables"),
        ({"match": {"team": ["t"]}}, "match.team: unknown field; did you mean `teams`?"),
        ({"match": ["t"]}, "match: must be a mapping, not a list"),
        ({"match": {"teams": "t"}}, None),
        ({"match": {"teams": [1]}}, "match.teams: must be a list of texts, none of them empty; put numbers into quotes"),
        ({"match": {"teams": [""]}}, "match.teams: must be a list of texts, none of them empty; put numbers into quotes"),
        ({"match": {"teams": 5}}, "match.teams: must be a list of texts, not a number"),
        ({"match": {"routes": ["chats"]}}, "match.routes: `chats` is no route; known are chat, completions, embeddings, responses, images, audio, moderations, rerank, messages, realtime, pass-through"),
        ({"match": {"routes": ["*"]}}, None),
        ({"match": None}, "match: says nothing; give it a mapping, or remove it"),
        ({"failurePolicy": "ignore"}, "failurePolicy: `ignore` is not known; did you mean `Ignore`?"),
        ({"failurePolicy": "x"}, "failurePolicy: `x` is not known; it is one of `Fail`, `Ignore`"),
        ({"failurePolicy": True}, "failurePolicy: must be text, not true or false"),
        ({"validationActions": ["warn"]}, "validationActions: `warn` is not known; it is one of Deny, Warn, Audit"),
        ({"validationActions": ["Deny", "Warn"]}, "validationActions: `Deny` and `Warn` exclude each other: a refused call needs no warning"),
        ({"validationActions": "Audit"}, None),
        ({"validationActions": ["Deny", "Audit"]}, None),
        ({"description": "for people"}, None),
        ({"description": 5}, "description: must be text, not a number"),
        ({"matchConditions": [{"name": "x"}]}, "matchConditions[0]: needs an `expression`"),
        ({"matchConditions": ["true"]}, "matchConditions[0]: must be a mapping, not text"),
        ({"matchConditions": [{"expression": "1"}]}, "matchConditions[0].expression: the expression is to be bool, not int"),
        ({"matchConditions": [{"expression": "true", "when": "x"}]}, "matchConditions[0].when: unknown field; known are expression, name"),
        ({"variables": [{"expression": "1"}]}, "variables[0].name: needs a `name` of its own: letters, digits and `_`"),
        ({"variables": [{"name": "a-b", "expression": "1"}]}, "variables[0].name: needs a `name` of its own: letters, digits and `_`"),
        ({"variables": [{"name": "größe", "expression": "1"}]}, "variables[0].name: needs a `name` of its own: letters, digits and `_`"),
        ({"variables": [{"name": "x", "expression": "1"}, {"name": "x", "expression": "2"}]}, "variables[1].name: needs a `name` of its own: letters, digits and `_`"),
        ({"variables": [{"name": "x"}]}, "variables[0]: needs an `expression`"),
        ({"variables": [{"name": "y", "expression": "variables.x"}, {"name": "x", "expression": "1"}]}, "variables[0].expression: unknown"),
        ({"variables": [{"name": "x", "expression": "1"}, {"name": "y", "expression": "variables.x + 1"}], "rules": [{"deny": "variables.y > 1"}]}, None),
        ({"variables": [{"name": "x", "expression": "1"}], "rules": [{"deny": "variables.z > 1"}]}, "rules[0].deny: `variables` has no field `z`"),
        ({"variables": [{"name": "x", "expression": "1"}], "rules": [{"deny": 'variables.x == "1"'}]}, "rules[0].deny: "),
    ],
)  # fmt: skip
def test_the_fields_of_every_kind(fields, wrong):
    found = problems(document("ModelAccess", **{"models": ["a"], **fields}))
    if wrong is None:
        assert found == []
        return
    (one,) = found
    place, _, said = one.split("\n")[0].partition(": error: ")
    assert said.startswith(wrong)
    assert place.startswith("policies/p.yaml:")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("name: p\nmodels: [a]\n", "1: error: needs a `kind`, such as `ModelAccess`"),
        ("kind: Modelacces\nname: p\n", "1: error: kind: unknown kind `Modelacces`; did you mean `ModelAccess`?"),
        ("kind: x\nname: p\n", "1: error: kind: unknown kind `x`; known are "),
        ("kind: model_access\nname: p\n", "1: error: kind: unknown kind `model_access`; did you mean"),
        ("kind: ModelAccess\nmodels: [a]\n", "1: error: needs a `name`, unique over all policies"),
        ("kind: ModelAccess\nname: 5\nmodels: [a]\n", "2: error: name: must be text, not a number"),
        (
            f"kind: ModelAccess\nname: {'x' * 129}\nmodels: [a]\n",
            "2: error: name: must be printable and at most 128 characters",
        ),
        (
            'kind: ModelAccess\nname: "a\\nb"\nmodels: [a]\n',
            "2: error: name: must be printable and at most 128 characters",
        ),
        (
            "kind: ModelAccess\nname: p\nname: q\nmodels: [a]\n",
            "3: error: name: `name` is already on line 2: keep one of the two",
        ),
        ("kind: ModelAccess\nname: p\nmodels: [a\n", "4: error: "),
        ("- kind: ModelAccess\n", "1: error: expected a mapping at the top level"),
    ],
)
def test_what_is_no_document(text, wrong):
    found = problems(text)
    assert found[0].startswith(f"policies/p.yaml:{wrong}")


def test_faults_of_a_later_document_are_shown_in_it():
    good = "kind: ModelAccess\nname: p\nmodels: [a]\n---\n"
    for broken in ("\n# a comment\nmodels: [a]\n", "\n\nname: q\nmodels: [a]\n", "\n\nkind: ModelAccess\nname: q\n"):
        found = problems(good + broken)
        assert found
        assert {line.split(": ")[0] for line in found} == {"policies/p.yaml:7"}


def test_variables_may_read_those_before_them_and_have_their_types():
    text = document(
        "ModelAccess", variables=[{"name": "a", "expression": "[1, 2]"}, {"name": "b", "expression": "variables.a.map(x, x + 1)"}],
        matchConditions=[{"name": "c", "expression": "variables.b[0] == 2"}], rules=[{"deny": "variables.b.exists(x, x > 2)"}],
    )  # fmt: skip
    (policy,) = policies(text)
    assert [name for name, _ in policy.head.variables] == ["a", "b"]
    assert policy.head.refs == frozenset()
    assert policy.head.loops == 2


WORDS = ["kind", "name", "match", "models", "rules", "routes", "set", "drop", "clamp", "mask", "to", "tags", "when", "deny", "require",
         "message", "status", "weight", "max", "expression", "attribute", "variables", "matchConditions", "a.b", "n", "max_tokens"]  # fmt: skip
SCALARS = st.sampled_from(
    ["true", "llm.model", "'x'", "llm.streaming", "1 / 0", "[1][5]", "apiKey.user", "model", "", "a", "@g", "*", None, True, 0, 1, 1.5, -1, 10**30, "variables.a"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["ModelAccess", "TagRouting", "Transform", "DecisionLog"]),
    st.dictionaries(st.sampled_from(WORDS[2:]), VALUES, max_size=5),
)
def test_whatever_is_written_is_loaded_or_reported_with_its_place(kind, fields):
    found = read(document(kind, **fields))
    assert bool(found.policies) is not found.failed
    for problem in found.problems:
        assert problem.mark is not None
        assert problem.mark.file == "policies/p.yaml"
        assert problem.mark.line >= 2
        assert problem.message
