"""What is written of a decision: every rule, every attribute that was read, and nothing that is content or masked."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ClientError
from engine.reads import LONGEST
from tests.engine.deciding import asking, chat, decided, document, person, snapshot_of, verdict

SECRET = "my password is Zugspitze"


def access(name: str = "p", **fields) -> str:
    return document("ModelAccess", name, **fields)


def reads(found, *, content: bool = False, hidden: tuple[str, ...] = ()) -> dict:
    return json.loads(bytes(found.decision.read_text(content=content, hidden=frozenset(hidden))))


def outcomes(found) -> dict:
    return json.loads(bytes(found.decision.outcomes_text()))


def digest(text: str) -> dict:
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "size": len(text)}


def test_every_rule_is_named_and_what_is_out_of_the_ordinary_is_told():
    text = access(
        "p", rules=[{"deny": "llm.streaming", "name": "d"}, {"require": "true"}, {"allow": "true", "name": "a"}]
    )
    text += access("q", rules=[{"deny": "true"}], matchConditions=[{"name": "c", "expression": "llm.streaming"}])
    found = verdict(text)
    assert outcomes(found) == {
        "quiet": ["p/d", "p/rules[1]", "q/rules[0]"],
        "told": [
            {"name": "p/a", "said": "match", "detail": ""},
            {"name": "q/c", "said": "skipped", "detail": ""},
        ],
    }
    quiet = verdict(access(rules=[{"deny": "llm.streaming"}]))
    assert outcomes(quiet) == {"quiet": ["p/rules[0]"], "told": []}
    erred = verdict(access(rules=[{"deny": "llm.params.gone", "name": "d"}], failurePolicy="Ignore"))
    assert outcomes(erred)["told"][0].items() >= {"name": "p/d", "said": "error"}.items()
    assert "no such key: `gone` (rules[0].deny at policies/p.yaml:5, 1:" in outcomes(erred)["told"][0]["detail"]


def test_a_decision_says_who_made_it():
    assert repr(verdict(access(rules=[{"deny": "true"}])).decision) == "<Decision by p/rules[0]>"
    assert repr(verdict(access(rules=[{"deny": "false"}])).decision) == "<Decision by default>"
    assert 0 < verdict(access(rules=[{"deny": "false"}])).decision.seconds < 1


@pytest.mark.parametrize(
    ("expression", "name", "value"),
    [
        ("llm.params.max_tokens > 5", "llm.params.max_tokens", 9),
        ('apiKey.metadata.tier == "x"', "apiKey.metadata.tier", "gold"),
        ('request.headers[?"x-a"].orValue("") == ""', "request.headers.x-a", "b"),
        ('"x" in request.tags', "request.tags", ["t"]),
        ("request.time < now", "now", 1_790_000_000_000_000_000),
        ("has(llm.params.absent)", "llm.params.absent", None),
        ('llm.tools.exists(t, t.name == "x")', "llm.tools", [{"name": "f"}]),
        ('source.address == "x"', "source.address", "192.0.2.7"),
        ('llm.params.stop == "x"', "llm.params.stop", digest("s" * (LONGEST + 1))),
    ],
)
def test_what_was_read_is_written_with_its_value(expression, name, value):
    members = chat(max_tokens=9, tags=["t"], stop="s" * (LONGEST + 1), tools=[{"function": {"name": "f"}}])
    found = verdict(
        access(rules=[{"deny": expression}]), members, person(metadata={"tier": "gold"}), headers={"x-a": "b"}
    )
    assert reads(found).get(name) == value
    assert reads(found, content=True).get(name) == ("s" * (LONGEST + 1) if name == "llm.params.stop" else value)


@pytest.mark.parametrize(
    "expression",
    [
        'llm.prompt.exists(m, m.content == "x")', 'llm.prompt[0].content == "x"', "size(llm.prompt) > 5", "variables.all.streaming",
        'llmRequest.messages[0].content == "x"', "size(llmRequest) > 9", 'dyn(llm).prompt[0].role == "x"', 'llm.params.prediction == "x"',
        'llm.params.exists(name, name == "x")', "llm.params == {}", "llmRequest.prediction.size() > 99",
    ],
)  # fmt: skip
def test_content_is_recorded_by_its_hash_unless_it_is_asked_for(expression):
    text = access(rules=[{"deny": expression}], variables=[{"name": "all", "expression": "llm"}])
    found = verdict(text, chat(SECRET, prediction=SECRET, stream=False))
    assert found.status == 200
    plain, whole = (bytes(found.decision.read_text(content=one, hidden=frozenset())).decode() for one in (False, True))
    assert SECRET not in plain
    assert '"sha256"' in plain
    assert SECRET in whole


@pytest.mark.parametrize(
    ("expression", "hidden", "left"),
    [
        ('apiKey.user == "x"', ("apiKey.user",), {}),
        ('apiKey.user == "x"', ("apiKey",), {}),
        ('apiKey.user == "x"', ("apiKey.use",), {"apiKey.user": "anna"}),
        ("size(apiKey.metadata) > 9", ("apiKey.metadata.mail",), {"apiKey.metadata": {"tier": "gold", "a.b": 1, "c": {"d": 2, "e": 3}}}),
        ("size(apiKey.metadata) > 9", ("apiKey.metadata.c.d", "apiKey.metadata.a.b"), {"apiKey.metadata": {"tier": "gold", "mail": "m", "c": {"e": 3}}}),
        ('"x" in request.headers', ("request.headers.x-secret",), {"request.headers": {"x-a": "b"}}),
        ('request.headers[?"x-secret"].orValue("") == ""', ("request.headers",), {}),
    ],
)  # fmt: skip
def test_what_is_masked_is_not_written_not_even_within_what_holds_it(expression, hidden, left):
    caller = person(user="anna", metadata={"tier": "gold", "mail": "m", "a.b": 1, "c": {"d": 2, "e": 3}})
    found = verdict(access(rules=[{"deny": expression}]), chat(), caller, headers={"x-a": "b", "x-secret": "s"})
    assert reads(found, hidden=hidden) == left


@pytest.mark.parametrize("number", ["1" * 30, "-" + "9" * 300])
def test_numbers_beyond_64_bits_are_written(number):
    """A client chooses them, and must not be able to be left out of the records."""
    text = access(rules=[{"deny": "llm.params.?seed.orValue(0) == 5 || size(llmRequest) > 99"}])
    found = verdict(text, b'{"model": "a", "seed": %s}' % number.encode())
    assert reads(found)["llm.params.seed"] == int(number)
    assert reads(found, content=True)["llmRequest"] == {"model": "a", "seed": int(number)}


def test_headers_that_are_not_utf_8_are_written():
    text = access(rules=[{"deny": '"x" in request.headers'}])
    found = verdict(text, headers={"x-a": "caf\udce9"})
    assert reads(found) == {"request.headers": {"x-a": "caf\udce9"}}


def test_numbers_of_a_caller_are_written_although_its_rules_were_settled_beforehand():
    text = access(rules=[{"require": 'apiKey.team == "t"'}, {"deny": "apiKey.metadata.?level.orValue(0) > 5"}])
    snapshot = snapshot_of(text)
    found = decided(asking(snapshot, chat(), person(team="t", metadata={"level": 3})))
    assert reads(found) == {"apiKey.team": "t", "apiKey.metadata.level": 3}


def test_what_nobody_evaluated_is_not_written():
    found = verdict(access(rules=[{"deny": "llm.streaming && request.path == 'x'"}]))
    assert reads(found) == {"llm.streaming": False}


EVERYTHING = (
    document(
        "ModelAccess",
        "reads",
        rules=[
            {"deny": "size(llmRequest) > 99 || size(llm.params) > 99 || size(llm.prompt) > 99 || size(llm.tools) > 99"},
            {"deny": 'llm.prompt.exists(m, m.content.matches("zz")) || llm.tools.exists(t, t.name.startsWith("zz"))'},
            {"require": 'endUser.id != "zz" && size(request.headers) + size(request.query) + size(request.tags) < 99'},
            {"deny": "llm.estimate.inputTokens + llm.estimate.outputTokens < 0", "messageExpression": "endUser.id"},
        ],
        failurePolicy="Ignore",
    )
    + document("TagRouting", "tags", byTags=True, trustClient=True, failurePolicy="Ignore")
    + document(
        "Transform", "edits", set={"reasoning.effort": '"low"', "user": "endUser.id"}, drop=["a.b", "metadata.x"],
        clamp={"max_tokens": {"max": 9}, "top_p": {"max": 1}}, failurePolicy="Ignore",
    )
)  # fmt: skip
HOUSE = snapshot_of(EVERYTHING)
NAMES = ["messages", "tools", "functions", "metadata", "tags", "user", "max_tokens", "max_completion_tokens", "top_p", "reasoning", "a", "input", "prompt", "instructions"]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["role", "content", "text", "type", "tags", "name", "function", "x", "b", "output"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5),
    st.sampled_from(["chat", "completions", "embeddings", "responses"]),
    st.dictionaries(st.sampled_from(["x-litellm-tags", "x-a"]), st.text(max_size=6) | st.just("caf\udce9")),
)
def test_whatever_a_client_sends_is_decided_and_can_be_written(members, operation, headers):
    body = json.dumps({**members, "model": "a"}, allow_nan=False).encode()
    try:
        call = asking(HOUSE, body, operation=operation, headers=headers)
    except ClientError:
        return
    found = decided(call)
    assert found.status in (200, 400, 401, 403)
    for content in (True, False):
        assert reads(found, content=content) is not None
    assert outcomes(found)["told"] is not None
    found.sent  # noqa: B018 - every member is JSON still
