"""`Transform`: what may be written, and what is sent instead."""

from __future__ import annotations

import pytest

from policies.transform import Transform
from tests.engine.deciding import FILE, chat, document, person, policies, problems, verdict


def transform(name: str = "p", **fields) -> str:
    return document("Transform", name, **fields)


@pytest.mark.parametrize(
    ("fields", "line", "wrong"),
    [
        ({}, 2, "says nothing; give it `set`, `drop`, `clamp` or `metadata`"),
        ({"set": ["user"]}, 4, "set: must be a mapping, not a list"),
        ({"set": {"model": '"b"'}}, 5, "set.model: `model` is not changed by a Transform: use TagRouting to send a call elsewhere"),
        ({"set": {"model.x": '"b"'}}, 5, "set.model.x: `model` is not changed by a Transform: use TagRouting to send a call elsewhere"),
        ({"set": {"stream": "true"}}, 5, "set.stream: `stream` is not changed by a Transform: only the client can choose it"),
        ({"set": {"a..b": "1"}}, 5, "set.a..b: `a..b` is no path of members; write `member` or `member.inner`"),
        ({"set": {".a": "1"}}, 5, "set..a: `.a` is no path of members; write `member` or `member.inner`"),
        ({"set": {"a.b.c.d.e.f.g.h.i": "1"}}, 5, "set.a.b.c.d.e.f.g.h.i: `a.b.c.d.e.f.g.h.i` is no path of members; write `member` or `member.inner`"),
        ({"set": {"user": "apiKey.usr"}}, 5, "set.user: `apiKey` has no field `usr`; did you mean `user`?"),
        ({"set": {"user": ["x"]}}, 5, "set.user: must be a CEL expression, not a list"),
        ({"set": {"user": None}}, 5, "set.user: says nothing; give it a CEL expression, or remove it"),
        ({"drop": {"n": 1}}, 4, "drop: must be a list of texts, not a mapping"),
        ({"drop": ["n", "model"]}, 4, "drop: `model` is not changed by a Transform: use TagRouting to send a call elsewhere"),
        ({"drop": ["a."]}, 4, "drop: `a.` is no path of members; write `member` or `member.inner`"),
        ({"clamp": {"max_tokens": 5}}, 5, "clamp.max_tokens: must be a mapping, not a number"),
        ({"clamp": {"max_tokens": {"maximum": 5}}}, 5, "clamp.max_tokens: needs `min` or `max`"),
        ({"clamp": {"stream": {"max": 5}}}, 5, "clamp.stream: `stream` is not changed by a Transform: only the client can choose it"),
        ({"clamp": {"n": {"max": "apiKey.teem"}}}, 6, "clamp.n.max: `apiKey` has no field `teem`; did you mean `team`?"),
        ({"clamp": {"n": {"max": '"5"'}}}, 5, "clamp.n: a bound of `n` is not a number"),
        ({"clamp": {"n": {"max": True}}}, 5, "clamp.n: a bound of `n` is not a number"),
        ({"clamp": {"n": {"min": 'double("NaN")'}}}, 5, "clamp.n: a bound of `n` is not a number"),
        ({"clamp": {"n": {"max": "[1][5]"}}}, 5, "clamp.n: a bound of `n` has no value"),
        ({"clamp": {"n": {"max": "1 / 0"}}}, 5, "clamp.n: division by zero"),
        ({"clamp": {"n": {"max": "lists.range(20000).map(x, x)[0]"}}}, 5, "clamp.n: more than 10,000 iterations"),
        ({"clamps": {"n": {"max": 5}}, "drop": ["n"]}, 4, "clamps: unknown field; did you mean `clamp`?"),
        ({"metadata": {"tier": "tier"}}, 5, "metadata.tier: unknown"),
    ],
)  # fmt: skip
def test_what_may_not_be_written(fields, line, wrong):
    found = problems(transform(**fields))[0].split("\n")[0]
    place, _, said = found.partition(": error: ")
    assert place.split(":")[:2] == [FILE, str(line)]
    assert said.startswith(wrong)


@pytest.mark.parametrize(
    ("fields", "members", "sent"),
    [
        ({"set": {"reasoning_effort": '"low"'}}, {"reasoning_effort": "high"}, {"reasoning_effort": "low"}),
        ({"set": {"user": "apiKey.user"}}, {}, {"user": "anna"}),
        ({"set": {"a.b": 5, "a.c": True, "x": 1.5, "y": "1u"}}, {"a": {"z": 0}}, {"a": {"z": 0, "b": 5, "c": True}, "x": 1.5, "y": 1}),
        ({"set": {"stop": '["a", llm.model]', "x": '{"k": null}'}}, {}, {"stop": ["a", "a"], "x": {"k": None}}),
        ({"set": {"seed": "optional.none()", "n": "llm.params.?best_of", "k": "optional.of(2)"}}, {"seed": 1}, {"seed": 1, "k": 2}),
        ({"set": {"temperature": "llm.params.?temperature.orValue(1.0) / 2.0"}}, {"temperature": 0.5}, {"temperature": 0.25}),
        ({"drop": ["logit_bias", "a.b", "none.at.all"]}, {"logit_bias": {}, "a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ({"set": {"n": 2}, "drop": ["n"]}, {"n": 1}, {}),
        ({"metadata": {"t": "apiKey.team"}, "set": {"user": 'metadata.t + "!"'}}, {}, {"user": "web!"}),
        ({"set": {"user": "string(request.time)"}}, {}, {"user": "2026-09-21T14:13:20Z"}),
    ],
)  # fmt: skip
def test_what_is_set_and_dropped(fields, members, sent):
    found = verdict(transform(**fields), chat(**members), person(user="anna", team="web"))
    assert (found.status, found.sent) == (200, sent)


@pytest.mark.parametrize(
    ("clamp", "members", "sent"),
    [
        ({"temperature": {"min": 0, "max": 1}}, {"temperature": 1.7}, {"temperature": 1}),
        ({"temperature": {"min": 0.2}}, {"temperature": 0}, {"temperature": 0.2}),
        ({"temperature": {"min": 0, "max": 1}}, {"temperature": 0.7}, {"temperature": 0.7}),
        ({"temperature": {"min": 0, "max": 1}}, {}, {}),
        ({"temperature": {"min": 0, "max": 1}}, {"temperature": None}, {"temperature": None}),
        ({"a.b": {"max": 3}}, {"a": {"b": 5, "c": 9}}, {"a": {"b": 3, "c": 9}}),
        ({"a.b": {"max": 3}}, {"a": 5}, {"a": 5}),
        ({"n": {"max": 'apiKey.team == "web" ? 2 : 1'}}, {"n": 5}, {"n": 2}),
        ({"n": {"max": "apiKey.metadata.?most"}}, {"n": 5}, {"n": 5}),
        ({"n": {"max": "apiKey.metadata.?two"}}, {"n": 5}, {"n": 2}),
        ({"max_tokens": {"max": 10}}, {}, {"max_tokens": 10}),
        ({"max_tokens": {"min": 10}}, {}, {}),
        ({"max_completion_tokens": {"max": 10}}, {}, {"max_completion_tokens": 10}),
        ({"max_output_tokens": {"max": 10}}, {}, {"max_tokens": 10}),
        ({"max_tokens": {"max": 10}}, {"max_tokens": None}, {"max_tokens": 10}),
        ({"max_tokens": {"max": 10}}, {"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": {"max": 10}}, {"max_completion_tokens": 50}, {"max_completion_tokens": 10}),
        ({"max_tokens": {"max": 10}}, {"max_tokens": 5, "max_completion_tokens": 50}, {"max_tokens": 5, "max_completion_tokens": 10}),
        ({"max_tokens": {"max": 10}}, {"max_tokens": None, "max_completion_tokens": 50}, {"max_tokens": None, "max_completion_tokens": 10}),
        ({"max_tokens": {"max": "21 / 2"}}, {"max_tokens": 50}, {"max_tokens": 10}),
        ({"max_tokens": {"max": "10.9"}}, {"max_tokens": 50}, {"max_tokens": 10}),
        ({"max_tokens": {"min": 3, "max": 10}}, {"max_tokens": 1}, {"max_tokens": 3}),
        ({"max_tokens": {"max": "apiKey.metadata.?most"}}, {}, {}),
        ({"metadata.depth": {"max": 1}}, {"metadata": {"depth": 2}}, {"metadata": {"depth": 1}}),
    ],
)  # fmt: skip
def test_what_is_clamped(clamp, members, sent):
    found = verdict(transform(clamp=clamp), chat(**members), person(team="web", metadata={"two": 2}))
    assert (found.status, found.sent) == (200, sent)


@pytest.mark.parametrize(
    ("operation", "members", "sent"),
    [
        ("responses", {"input": "x"}, {"input": "x", "max_output_tokens": 10}),
        ("responses", {"input": "x", "max_output_tokens": 99}, {"input": "x", "max_output_tokens": 10}),
        ("completions", {"prompt": "x"}, {"prompt": "x", "max_tokens": 10}),
        ("embeddings", {"input": "x"}, {"input": "x"}),
    ],
)
def test_a_limit_of_length_goes_by_the_name_that_a_route_has_for_it(operation, members, sent):
    for name in ("max_tokens", "max_output_tokens"):
        found = verdict(transform(clamp={name: {"max": 10}}), {"model": "a", **members}, operation=operation)
        assert (found.status, found.sent) == (200, sent)


def test_bounds_hold_for_what_is_set():
    text = transform(
        set={"temperature": 3, "max_tokens": 99},
        clamp={"temperature": {"max": 1}, "max_completion_tokens": {"max": 10}},
    )
    assert verdict(text, chat()).sent == {"temperature": 1, "max_tokens": 10}


@pytest.mark.parametrize(
    ("fields", "members", "said"),
    [
        ({"set": {"x": "now"}}, {}, "a timestamp is not a JSON value; convert it with string()"),
        ({"set": {"x": 'duration("1s")'}}, {}, "a duration is not a JSON value; convert it with string()"),
        ({"set": {"x": 'b"ab"'}}, {}, "a bytes is not a JSON value; convert it with string()"),
        ({"set": {"x": '{"t": now}'}}, {}, "the value of a transform is not a JSON value"),
        ({"set": {"x": "[optional.of(1)]"}}, {}, "the value of a transform is not a JSON value"),
        ({"set": {"x": 'ip("10.0.0.1")'}}, {}, "the value of a transform is not a JSON value"),
        ({"set": {"x": "llm.params.gone"}}, {}, "no such key: `gone` (set.x at policies/p.yaml:5, 1:"),
        ({"metadata": {"x": "llm.params.gone"}}, {}, "no such key: `gone` (metadata.x at policies/p.yaml:5, 1:"),
        ({"clamp": {"n": {"max": "llm.params.gone"}}}, {"n": 1}, "no such key: `gone` (clamp.n.max at policies/p.yaml:6, 1:"),
        ({"clamp": {"top_p": {"max": 1}}}, {"top_k": 1, "top_p": 1}, ""),
        ({"clamp": {"top_k": {"max": 1}}}, {"top_k": "5"}, "`top_k` is not a number, so it cannot be clamped"),
        ({"clamp": {"top_k": {"max": 1}}}, {"top_k": True}, "`top_k` is not a number, so it cannot be clamped"),
        ({"clamp": {"a.b": {"max": 1}}}, {"a": {"b": [5]}}, "`a.b` is not a number, so it cannot be clamped"),
        ({"clamp": {"n": {"max": "llm.model"}}}, {"n": 9}, "a bound of `n` is not a number"),
        ({"clamp": {"max_tokens": {"max": "apiKey.metadata.limit"}}}, {}, "a bound of `max_tokens` is not a number"),
        ({"clamp": {"n": {"max": "llm.streaming"}}}, {"n": 9}, "a bound of `n` is not a number"),
        ({"clamp": {"n": {"max": 'double("NaN") * double(llm.params.n)'}}}, {"n": 9}, "a bound of `n` is not a number"),
        ({"clamp": {"n": {"max": "now"}}}, {"n": 9}, "a bound of `n` is not a number"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("failure", ["Fail", "Ignore"])
def test_what_has_no_value_refuses_or_changes_nothing(fields, members, said, failure):
    """Under `Ignore` the whole policy is without effect, not the half of it behind the error."""
    more = {"set": {"first": 1, **fields.get("set", {})}}
    found = verdict(
        transform(**{**fields, **more}, failurePolicy=failure), chat(**members), person(metadata={"limit": "10"})
    )
    if failure == "Fail" and said:
        assert found.status == 403
        assert found.message.startswith("policy `p` could not be evaluated: ")
        assert said.partition(":")[0] in found.message
    else:
        assert (found.status, found.sent) == (200, members if said else {**members, "first": 1})
    assert found.told == ([("p", "error")] if said else [])


def test_a_path_into_what_is_no_object_is_the_clients_mistake():
    found = verdict(transform(set={"reasoning.effort": '"low"'}), chat(reasoning="high"))
    assert (found.status, found.type) == (400, "invalid_request_error")
    assert verdict(transform(set={"metadata.t": "1"}), chat(metadata=None)).sent == {"metadata": {"t": 1}}


def test_transforms_follow_one_another_and_all_see_the_request_as_it_came():
    text = (
        transform("one", set={"temperature": 0.9, "a": "llm.params.temperature"}, metadata={"m": "1"}, drop=["seed"])
        + transform("two", set={"b": "llm.params.temperature", "c": "has(llmRequest.seed)", "d": "metadata.m"}, clamp={"temperature": {"max": 0.5}})
    )  # fmt: skip
    found = verdict(text, chat(temperature=0.1, seed=7))
    assert found.sent == {"temperature": 0.5, "a": 0.1, "b": 0.1, "c": True, "d": 1}
    assert len(found.decision.edits) == 7


def test_only_calls_that_pass_are_changed_and_rules_see_them_unchanged():
    text = transform(set={"n": 1}) + document("ModelAccess", "m", rules=[{"deny": "llm.params.?n.orValue(1) > 1"}])
    found = verdict(text, chat(n=5))
    assert (found.status, found.sent) == (403, {"n": 5})


@pytest.mark.parametrize(
    ("condition", "team", "sent"), [("true", "", {"x": 1}), ("false", "", {}), ('apiKey.team == "t"', "t", {"x": 1})]
)
def test_conditions_and_variables(condition, team, sent):
    text = transform(
        matchConditions=[{"expression": condition}],
        variables=[{"name": "one", "expression": "1"}],
        set={"x": "variables.one"},
    )
    assert verdict(text, chat(), person(team=team)).sent == sent


@pytest.mark.parametrize("action", ["Warn", "Audit"])
def test_a_transform_on_trial_changes_nothing(action):
    text = transform(set={"a.b": 1}, clamp={"n": {"max": 1}}, drop=["seed"], validationActions=[action])
    found = verdict(text, chat(n=5))
    assert (found.status, found.sent, found.told) == (200, {"n": 5}, [("p", "match")])
    assert found.decision.warnings == (["p: would change a.b, n, seed"] if action == "Warn" else [])


def test_what_is_read_of_a_document():
    (policy,) = policies(transform(set={"a.b": 1}, drop=["x.y"], clamp={"n": {"max": 1}}, metadata={"k": "1"}))
    assert isinstance(policy, Transform)
    assert [path for path, _ in policy.settings] == [("a", "b")]
    assert policy.drops == (("x", "y"),)
    assert [(clamp.path, clamp.least) for clamp in policy.clamps] == [(("n",), None)]
    assert [name for name, _ in policy.metadata] == ["k"]
