"""What is odd about policies, and what is not."""

from __future__ import annotations

import pytest

from engine.authoring.costs import costs
from engine.authoring.governed import Ungoverned, ungoverned
from engine.authoring.lint import lint
from engine.build import build
from engine.governing import PolicySet
from engine.snapshot import Snapshot
from tests.engine.building import PRICES, REGISTRY, config, loaded
from tests.engine.deciding import document, policies


def said(*texts: str) -> list[str]:
    return [f"{problem.mark.line}: {problem.message}" for problem in lint(policies("".join(texts)))]


def rules(*rules: dict, name: str = "p", **more) -> str:
    return document("ModelAccess", name, rules=list(rules), **more)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([{"deny": "false"}], "`p/rules[0]` is always false, so it never refuses a call; remove it"),
        ([{"require": "1 < 2"}], "`p/rules[0]` is always true, so it never refuses a call; remove it"),
        ([{"allow": "false"}], "`p/rules[0]` is always false, so it never lets a call pass; remove it"),
        ([{"deny": "true"}, {"deny": 'apiKey.team == "x"'}], "`p/rules[1]` changes nothing: `p/rules[0]` before it always refuses"),
        ([{"deny": 'apiKey.team=="x"'}, {"deny": "apiKey.team == 'x'"}], "`p/rules[1]` says again what `p/rules[0]` says (policies/p.yaml:2); remove one"),
        ([{"deny": 'request.headers[?"X-Foo"].orValue("") == ""'}], "no header is called `X-Foo`: names are in lower case, write `x-foo`"),
        ([{"deny": "llm.params.max_tokens > 5"}], "`llm.params.max_tokens` may be absent, which is an error then: ask for it with has(), or read it with `.?` and orValue()"),
        ([{"deny": 'request.headers["x"] == ""'}], '`request.headers["x"]` may be absent, which is an error then: ask for it with has(), or read it with `.?` and orValue()'),
    ],
)  # fmt: skip
def test_an_oddity_is_told(written, expected):
    assert [line.partition(": ")[2] for line in said(rules(*written))] == [expected]


@pytest.mark.parametrize(
    "written",
    [
        [{"deny": 'apiKey.team == "x"'}, {"require": 'apiKey.team == "x"'}],
        [{"deny": "true"}],
        [{"allow": "true"}],
        [{"deny": "has(llm.params.n) && llm.params.n > 5"}],
        [{"deny": '"x" in request.headers && request.headers["x"] == ""'}],
        [{"deny": '{"a": 1}["a"] == llm.params.?n.orValue(1)'}],
        [{"deny": "llm.prompt.exists(m, m.content == '')"}],
    ],
)
def test_what_is_as_it_should_be_is_not_told(written):
    assert said(rules(*written)) == []


@pytest.mark.parametrize(
    ("expression", "risk"),
    [
        ("llm.params.n > 5", "`llm.params.n` may be absent"),
        ('int(request.headers[?"x"].orValue("1")) > 5', "`int()` fails on text that is none"),
        ("10 / llm.params.?n.orValue(1) > 5", "`/` may divide by zero"),
        ('llm.prompt[0].role == "user"', "a list may be too short for an index"),
    ],
)
def test_an_error_that_lets_calls_pass_is_told(expression, risk):
    assert said(rules({"deny": expression}, failurePolicy="Ignore")) == [
        f"5: `p/rules[0]`: {risk}, and `failurePolicy: Ignore` lets the call pass then; rule out the error, or use `Fail`"
    ]


RULE = {"deny": 'apiKey.team == "x"'}


@pytest.mark.parametrize(
    ("one", "other", "shadowed"),
    [
        ({}, {"match": {"models": ["a"]}}, True),
        ({"match": {"models": ["a", "b"]}}, {"match": {"models": ["a"]}}, True),
        ({"match": {"models": ["a"]}}, {}, False),
        ({"match": {"models": ["a"]}}, {"match": {"models": ["b"]}}, False),
        ({"validationActions": ["Audit"]}, {}, False),
        ({"matchConditions": [{"name": "c", "expression": "llm.streaming"}]}, {}, False),
    ],
)
def test_a_rule_is_shadowed_by_one_that_governs_all_its_calls(one, other, shadowed):
    found = said(rules(RULE, name="one", **one), rules(RULE, name="other", **other))
    assert ["says again" in line for line in found] == [True] * shadowed


def snapshot_of(*texts: str) -> Snapshot:
    spec = loaded(config({"a": "echo/a", "b": {"litellm_params": {"model": "echo/b"}, "model_info": {"access_groups": ["g"]}}, "c/*": "echo/*"}))  # fmt: skip
    return build(spec, REGISTRY, PRICES, 1, PolicySet(policies("".join(texts)) if texts else ())).snapshot


def test_what_nobody_governs_is_named():
    assert ungoverned(snapshot_of()) == Ungoverned()
    assert ungoverned(snapshot_of(document("DecisionLog", content=True))) == Ungoverned()
    governed = rules(RULE, match={"models": ["@g"], "routes": ["chat"]})
    assert ungoverned(snapshot_of(governed)) == Ungoverned(
        ("a", "c/*"), ("completions", "embeddings", "responses", "images", "audio", "moderations", "rerank")
    )
    assert ungoverned(snapshot_of(rules(RULE))) == Ungoverned()


def test_costs_are_those_that_the_gateway_goes_by():
    cheap, loop, pattern = costs(
        policies(
            rules(
                RULE,
                {"deny": "llm.prompt.exists(m, size(m.content) > 9)"},
                {"deny": 'llm.prompt.exists(m, m.content.matches("a+b"))'},
            )
        )
    )
    assert (cheap.loops, cheap.patterns, cheap.micros) == (0, 0, 0.0)
    assert (loop.loops, loop.patterns) == (1, 0)
    assert 0 < loop.micros < pattern.micros
    assert str(loop).startswith("policies/p.yaml:6: p/rules[1] (deny): loops 1 deep, at most ")


def test_a_slip_in_a_parameter_is_found():
    found = [
        str(one)
        for one in lint(policies(document("ModelAccess", rules=[{"deny": "llm.params.?max_token.orValue(0) > 4"}])))
    ]
    assert found == [
        "policies/p.yaml:5: warning: rules[0].deny: no provider knows a parameter `max_token`; did you mean `max_tokens`?"
    ]
    assert lint(policies(document("ModelAccess", rules=[{"deny": "llm.params.?guided_json.orValue('') != ''"}]))) == []
