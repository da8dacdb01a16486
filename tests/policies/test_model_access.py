"""`ModelAccess`: what may be written, and what it says of calls."""

from __future__ import annotations

import pytest

from policies.model_access import ModelAccess, ModelList
from tests.engine.deciding import (
    FILE,
    asking,
    chat,
    decided,
    document,
    person,
    policies,
    problems,
    snapshot_of,
    verdict,
)


def access(**fields) -> str:
    return document("ModelAccess", **fields)


@pytest.mark.parametrize(
    ("fields", "line", "wrong"),
    [
        ({}, 2, "says nothing; give it `models` or `rules`"),
        ({"models": 5}, 4, "models: must be a list of texts, not a number"),
        ({"models": [1]}, 4, "models: must be a list of texts, none of them empty; put numbers into quotes"),
        ({"models": None, "rules": [{"deny": "true"}]}, 4, "models: says nothing; give it a list of texts, or remove it"),
        ({"modles": ["a"], "models": ["a"]}, 4, "modles: unknown field; did you mean `models`?"),
        ({"rules": {"deny": "true"}}, 4, "rules: must be a list, not a mapping"),
        ({"rules": ["true"]}, 5, "rules[0]: must be a mapping, not text"),
        ({"rules": [{}]}, 5, "rules[0]: a rule is one of `deny`, `require` and `allow`"),
        ({"rules": [{"message": "no"}]}, 5, "rules[0]: a rule is one of `deny`, `require` and `allow`"),
        ({"rules": [{"deny": "true", "allow": "true", "status": 400}]}, 5, "rules[0]: a rule is one of `deny`, `require` and `allow`"),
        ({"rules": [{"deny": None}]}, 5, "rules[0]: a rule is one of `deny`, `require` and `allow`"),
        ({"rules": [{"deny": "true"}, {"require": ["x"]}]}, 6, "rules[1].require: must be a CEL expression, not a list"),
        ({"rules": [{"deny": "1 + 1"}]}, 5, "rules[0].deny: the expression is to be bool, not int"),
        ({"rules": [{"deny": "true", "messages": "x"}]}, 6, "rules[0].messages: unknown field; did you mean `message`?"),
        ({"rules": [{"deny": "true", "name": 5}]}, 6, "rules[0].name: must be text, not a number"),
        ({"rules": [{"deny": "true", "message": "a", "messageExpression": '"b"'}]}, 7, "rules[0].messageExpression: `message` and `messageExpression` exclude each other"),
        ({"rules": [{"deny": "true", "messageExpression": "5"}]}, 6, "rules[0].messageExpression: the expression is to be string, not int"),
        ({"rules": [{"allow": "true", "message": "x"}]}, 5, "rules[0]: an `allow` refuses nothing, so it has neither message nor status; give them to a `require`"),
        ({"rules": [{"allow": "true", "messageExpression": '"x"'}]}, 5, "rules[0]: an `allow` refuses nothing, so it has neither message nor status; give them to a `require`"),
        ({"rules": [{"allow": "true", "status": 404}]}, 5, "rules[0]: an `allow` refuses nothing, so it has neither message nor status; give them to a `require`"),
        ({"rules": [{"deny": "true", "status": 200}]}, 6, "rules[0].status: must be at least 400 and at most 599"),
        ({"rules": [{"deny": "true", "status": 600}]}, 6, "rules[0].status: must be at least 400 and at most 599"),
        ({"rules": [{"deny": "true", "status": 403.5}]}, 6, "rules[0].status: must be a status such as 403"),
        ({"rules": [{"deny": "true", "status": "403"}]}, 6, "rules[0].status: must be a number, not text"),
        ({"rules": [{"deny": "true", "status": True}]}, 6, "rules[0].status: must be a number, not true or false"),
        ({"rules": [{"deny": "response.code == 200"}]}, 5, "rules[0].deny: "),
        ({"rules": [{"deny": "backend.region == ''"}]}, 5, "rules[0].deny: "),
    ],
)  # fmt: skip
def test_what_may_not_be_written(fields, line, wrong):
    """Every fault has the line it is in; nothing is said twice."""
    (found,) = problems(access(**fields))
    first = found.split("\n")[0]
    place, _, said = first.partition(": error: ")
    assert place.split(":")[:2] == [FILE, str(line)]
    assert said.startswith(wrong)


def test_all_faults_of_a_document_come_at_once():
    found = problems(
        access(models=[1], rules=[{"deny": "x"}, {"alow": "true"}, {"deny": "true", "status": 1}], matches={})
    )
    assert [line.split(": ")[2] for line in found if line[:1] != " "] == [
        "models", "rules[0].deny", "rules[1]", "rules[2].status", "matches", "rules[1].alow",
    ]  # fmt: skip


HOUSE = {
    "small": {"litellm_params": {"model": "echo/small"}, "model_info": {"access_groups": ["cheap"]}},
    "large": "echo/large",
    "labs/*": "echo/*",
}


@pytest.mark.parametrize(
    ("models", "may"),
    [
        (["small"], {"small", "tiny"}),
        (["tiny"], {"tiny"}),
        (["@cheap"], {"small", "tiny"}),
        (["cheap"], {"small", "tiny"}),
        (["labs/*"], {"labs/one", "labs/two"}),
        (["labs/one", "large"], {"labs/one", "large"}),
        (["*"], {"small", "tiny", "large", "labs/one", "labs/two"}),
        (["@none", "SMALL"], set()),
        ([], set()),
    ],
)
def test_a_list_of_models(models, may):
    snapshot = snapshot_of(
        access(models=models), models=HOUSE, router_settings={"model_group_alias": {"tiny": "small"}}
    )
    called = {}
    for name in ("small", "tiny", "large", "labs/one", "labs/two"):
        called[name] = decided(asking(snapshot, {**chat(), "model": name}))
    assert {name for name, found in called.items() if found.status == 200} == may
    for found in called.values():
        if found.status != 200:
            named = ", ".join(f"`{one}`" for one in models) or "none"
            assert (found.status, found.message, found.rules) == (403, f"the model is not one of {named}", ["p/models"])


def test_a_list_and_rules_are_one_policy():
    text = access(
        models=["a"], rules=[{"deny": "llm.streaming", "name": "whole", "message": "no streams", "status": 400}]
    )
    assert verdict(text).status == 200
    found = verdict(text, {**chat(stream=True), "model": "b"})
    assert (found.status, found.message) == (400, "no streams; the model is not one of `a`")
    assert found.rules == ["p/whole", "p/models"]


@pytest.mark.parametrize(
    ("rule", "members", "caller", "said"),
    [
        ({"deny": 'llm.tools.exists(t, t.name in ["shell"])', "message": "no shell"}, {"tools": [{"function": {"name": "shell"}}]}, {}, "no shell"),
        ({"require": "llm.params.?max_tokens.orValue(0) <= 1024"}, {"max_tokens": 1025}, {}, "denied by policy `p`"),
        ({"require": "llm.params.?max_tokens.orValue(0) <= 1024"}, {"max_tokens": 1024}, {}, ""),
        ({"require": "llm.params.?max_tokens.orValue(0) <= 1024"}, {"max_tokens": None}, {}, ""),
        ({"allow": 'apiKey.metadata.?tier.orValue("") == "gold"'}, {}, {"metadata": {"tier": "gold"}}, ""),
        ({"allow": 'apiKey.metadata.?tier.orValue("") == "gold"'}, {}, {}, "no rule of policy `p` allows this call"),
        ({"deny": True}, {}, {}, "denied by policy `p`"),
        ({"require": 'source.address == "192.0.2.7"'}, {}, {}, ""),
        ({"deny": '"beta" in apiKey.tags', "messageExpression": '"tags: " + apiKey.tags.join(", ")'}, {}, {"tags": ("beta", "x")}, "tags: beta, x"),
    ],
)  # fmt: skip
def test_a_rule(rule, members, caller, said):
    found = verdict(access(rules=[rule]), chat(**members), person(**caller))
    assert (found.status, found.message) == (403 if said else 200, said)
    assert found.rules == (["p/rules[0]"] if said or "allow" in rule else [])


def test_what_is_read_of_a_document():
    (policy,) = policies(
        access(models=["a", "@g"], rules=[{"allow": "true", "name": "gold"}], description="for people")
    )
    assert isinstance(policy, ModelAccess)
    assert policy.models == ModelList(("a", "@g"))
    assert [(rule.name, str(rule.effect)) for rule in policy.rules()] == [("models", "require"), ("gold", "allow")]
    assert policy.targets() == ()
    assert policy.log() is None
