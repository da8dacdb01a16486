"""What expressions see of a call: made when it is first read, no more of it than is read, and never a credential."""

from __future__ import annotations

import json

import pytest

from engine.activation import HIDDEN, Activation, Needs
from engine.expr.program import compile_expression
from engine.expr.values import LimitError
from engine.identity import PLACES
from engine.variables import ALWAYS, REQUEST
from tests.engine.building import REGISTRY
from tests.engine.deciding import NOW, asking, chat, person, snapshot_of

HOUSE = snapshot_of(models={"a": "echo/a", "priced": {"litellm_params": {"model": "echo/p", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}, "model_info": {"max_output_tokens": 100}}})  # fmt: skip


def seen(expression: str, members=None, caller=None, house=HOUSE, **more):
    """Evaluate an expression over a call, of which no more is made than it needs."""
    program = compile_expression(expression, REQUEST)
    call = asking(house, chat() if members is None else members, caller, **more)
    return program.evaluate(Activation(call, Needs(program.refs)))


CALLER = {
    "alias": "al",
    "user": "u",
    "team": "t",
    "org": "o",
    "project": "pr",
    "models": ("a",),
    "tags": ("x",),
    "metadata": {"k": [1]},
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("request.method", "POST"),
        ("request.path", "/v1/chat/completions"),
        ("request.route", "chat"),
        ("request.host", "gate.example"),
        ('request.headers["x-one"]', "1"),
        ("request.query", {"a": "2", "b": ""}),
        ("request.time == now", True),
        ("now", int(NOW * 1e9)),
        ("source.address", "192.0.2.7"),
        ("source.port", 0),
        ("apiKey.id", "c0ffee"),
        ("apiKey.alias + apiKey.user + apiKey.team + apiKey.org + apiKey.project", "alutopr"),
        ("apiKey.role", "internal_user"),
        ("apiKey.models + apiKey.tags", ["a", "x"]),
        ("apiKey.metadata.k[0]", 1),
        ("endUser.id", "end"),
        ("endUser.blocked", False),
        ("size(endUser.metadata) + size(jwt)", 0),
        ("llm.requestModel + llm.model", "aa"),
        ("llm.streaming", True),
        ("llm.params.temperature", 0.5),
        ("has(llm.params.stop)", False),
        ("size(llm.params)", 3),
        ("llm.tools.map(t, t.name)", ["f", "old", "web_search", ""]),
        ("llm.prompt", [{"role": "system", "content": "be\nbrief"}, {"role": "user", "content": "hi"}, {"role": "", "content": ""}]),
        ("llmRequest.messages[1].role", "user"),
        ("has(llmRequest.stop)", False),
        ("env.gateway", "interlock"),
    ],
)  # fmt: skip
def test_every_variable(expression, value):
    members = {
        "model": "a", "stream": True, "temperature": 0.5, "stop": None, "user": "end", "seed": 1,
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "be"}, "brief", {"type": "image_url"}, 3]},
            {"role": "user", "content": "hi"}, "no message", {"content": None},
        ],
        "tools": [{"function": {"name": "f"}}, {"type": "web_search"}, {}, 5], "functions": [{"name": "old"}],
    }  # fmt: skip
    found = seen(
        expression,
        members,
        person(**CALLER),
        headers={"host": "gate.example", "x-one": "1"},
        query="?a=1&a=2&key=sk-1&b=",
    )
    assert sorted(found, key=str) == sorted(value, key=str) if expression.startswith("llm.tools") else found == value


@pytest.mark.parametrize("name", ALWAYS)
def test_a_variable_as_a_whole_has_the_fields_that_are_declared(name):
    whole = seen(f"dyn({name})", caller=person(**CALLER), headers={"host": "h"})
    fields = [field for field, _ in ALWAYS[name].fields]
    assert sorted(whole) == sorted(fields) if fields else whole is not None


def test_nobody_has_empty_fields():
    call = asking(HOUSE, chat())
    call.caller = None
    whole = Activation(call, Needs([("apiKey",)]))["apiKey"]
    assert not any(whole.values())
    assert sorted(whole) == sorted(field for field, _ in ALWAYS["apiKey"].fields)


@pytest.mark.parametrize("place", [*PLACES, "cookie", "proxy-authorization", "x-own-key"])
def test_no_expression_sees_a_credential(place):
    house = snapshot_of(general_settings={"litellm_key_header_name": "X-Own-Key"})
    headers = {place: "Bearer sk-secret-0123456789", "x-other": "ok"}
    assert seen("request.headers", house=house, headers=headers) == {"x-other": "ok"}
    assert seen(f'request.headers[?"{place}"].hasValue()', house=house, headers=headers) is False
    assert "sk-secret" not in json.dumps(seen("dyn(request)", house=house, headers=headers), default=str)
    assert "sk-1" not in json.dumps(seen("dyn(request)", house=house, query="?key=sk-1"), default=str)


def test_what_identifies_a_caller_is_hidden_wherever_it_may_be():
    assert {*PLACES} <= HIDDEN


@pytest.mark.parametrize(
    ("headers", "members", "tags"),
    [
        ({}, {}, []),
        ({"x-litellm-tags": "a, b ,,c"}, {}, ["a", "b", "c"]),
        ({"x-litellm-tags": "a"}, {"tags": ["b", "a"]}, ["a", "b"]),
        ({}, {"metadata": {"tags": ["a", 1, None, "b"]}}, ["a", "b"]),
        ({}, {"metadata": {"tags": "one"}, "litellm_metadata": {"tags": ["two"]}}, ["one", "two"]),
        ({}, {"tags": {"env": "prod", "n": 1}}, ["env:prod"]),
        ({}, {"metadata": None, "tags": None, "litellm_metadata": [1]}, []),
        ({"x-litellm-tags": "a\udce9,b"}, {}, ["b"]),
    ],
)
def test_tags_of_a_client(headers, members, tags):
    assert seen("request.tags", chat(**members), headers=headers) == tags


@pytest.mark.parametrize(
    ("operation", "members", "prompt"),
    [
        ("completions", {"prompt": "p"}, ["p"]),
        ("completions", {"prompt": ["p", "q"]}, ["p", "q"]),
        ("completions", {"prompt": [1, 2]}, []),
        ("embeddings", {"input": ["x", "y"]}, ["x", "y"]),
        ("responses", {"input": "x", "instructions": "i"}, ["i", "x"]),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "t"}]}, {"type": "function_call_output", "output": "o"}]}, ["t", "o"]),
        ("chat", {"messages": None}, []),
        ("chat", {}, []),
    ],
)  # fmt: skip
def test_a_prompt_is_text_in_every_dialect(operation, members, prompt):
    assert seen("llm.prompt.map(m, m.content)", {"model": "a", **members}, operation=operation) == prompt


@pytest.mark.parametrize(
    ("model", "limits", "tokens", "cost"),
    [
        ("a", {}, 4096, 0.0),
        ("a", {"max_tokens": 10}, 10, 0.0),
        ("a", {"max_tokens": None}, 4096, 0.0),
        ("a", {"max_tokens": 10.5}, 4096, 0.0),
        ("priced", {}, 100, 2e-4),
        ("priced", {"max_completion_tokens": 10}, 10, 2e-5),
        ("priced", {"max_tokens": 5000}, 100, 2e-4),
    ],
)
def test_an_estimate_before_anything_is_known(model, limits, tokens, cost):
    body = {**chat("x" * 400), "model": model, **limits}
    asked = len(json.dumps(body)) // 4
    assert seen("[llm.estimate.inputTokens, llm.estimate.outputTokens]", body) == [asked, tokens]
    priced = asked * 1e-6 if model == "priced" else 0.0
    assert seen("llm.estimate.cost", body) == pytest.approx(priced + cost)


@pytest.mark.parametrize(
    "expression", ["llm.streaming", "apiKey.team", "llm.params.seed", "request.route", "request.headers"]
)
def test_a_body_that_nobody_reads_is_not_read(expression):
    """A broken list of messages is noticed only by who looks at it."""
    program = compile_expression(expression, REQUEST)
    needs = Needs(program.refs)
    call = asking(HOUSE, chat(seed=1))
    call.members["messages"] = type(call.members["seed"])(b"1e999")
    assert Activation(call, needs)[program.source.split(".")[0]] is not None
    assert needs.body() is expression.startswith("llm.params")
    reading = compile_expression("llm.prompt", REQUEST)
    assert Needs(reading.refs).body()
    with pytest.raises(LimitError, match="`llm` holds a number"):
        reading.evaluate(Activation(call, Needs(reading.refs)))


def test_a_variable_is_made_once():
    activation = Activation(asking(HOUSE, chat()), Needs([("llm", "prompt"), ("request", "headers")]))
    assert activation["llm"] is activation["llm"]
    assert activation["apiKey"] is activation["apiKey"]
    with pytest.raises(KeyError):
        activation["no such variable"]


def test_a_change_of_the_request_is_not_seen():
    """What is settled stays as it came, whoever changes the members later; what cannot be made is left to its reader."""
    needs = Needs([("llm", "params", "seed"), ("llmRequest", "seed"), ("endUser", "id"), ("request", "tags")])
    for settled in (True, False):
        call = asking(HOUSE, chat(seed=1, user="u"))
        activation = Activation(call, needs)
        if settled:
            activation.settle()
        call.members["seed"] = call.members["user"] = type(call.members["seed"])(b'"2"')
        found = activation["llm"]["params"]["seed"], activation["llmRequest"]["seed"], activation["endUser"]["id"]
        assert found == ((1, 1, "u") if settled else ("2", "2", "2"))
    broken = Activation(asking(HOUSE, b'{"model": "a", "seed": 1e999}'), needs)
    broken.settle()
    assert "llm" not in broken


def test_every_dialect_says_prompt_and_tools():
    for name in ("openai", "responses"):
        dialect = REGISTRY.dialect(name)
        assert dialect.prompt({}) == []
        assert dialect.tools({}) == []
