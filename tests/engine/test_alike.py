"""Deciding once for calls that are alike comes to what deciding every call comes to."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alike import ALIKE, LARGEST
from engine.governing import PolicySet
from engine.snapshot import Settings, Snapshot
from tests.engine.deciding import asking, chat, decided, document, person, policies, snapshot_of


def rule(name: str, condition: str, **more: Any) -> str:
    return document("ModelAccess", name, rules=[{"deny": condition, **more}])


POOL = (
    rule("long", "llm.params.?max_tokens.orValue(0) > 100", messageExpression='"no " + string(llm.params.max_tokens)'),
    rule("tools", 'llm.tools.exists(t, t.name == "shell")'),
    rule("tags", '"bad" in request.tags', status=418),
    rule("header", 'request.headers.?x_a.orValue("") == "1"'),
    rule("header2", 'has(request.headers.b) && request.headers.b == "2" && llm.prompt[0].content == "x"'),
    rule("said", 'llm.prompt.exists(m, m.content.contains("secret"))', messageExpression='"tags " + request.tags.join()'),
    rule("errs", "llm.params.n > 3", message="n"),
    rule("errs2", "llm.params.n > 3 && llm.streaming") + "failurePolicy: Ignore\n",
    rule("size", "llm.estimate.inputTokens > 60"),
    rule("user", 'endUser.id == "mallory"'),
    rule("where", 'source.address.startsWith("10.") || request.query.?q.orValue("") == "1"'),
    document("ModelAccess", "warns", validationActions=["Warn"], rules=[{"deny": "llm.streaming"}]),
    document("ModelAccess", "weekday", matchConditions=[{"expression": "llm.params.?seed.orValue(1) == 1"}], rules=[{"deny": "llm.params.?top_p.orValue(1.0) < 0.5"}]),
    document("ModelAccess", "some", rules=[{"allow": "llm.params.?temperature.orValue(0.5) < 1.0"}, {"allow": '"x" in request.tags'}]),
    document("Transform", "clamp", clamp={"max_tokens": {"max": 50}, "temperature": {"max": "double(size(request.tags))"}}),
    document("Transform", "set", set={"seed": "llm.params.?seed.orValue(0) + 1", "user": "apiKey.team"}, drop=["stop"]),
    document("Transform", "note", metadata={"a": "llm.streaming"}, set={"top_p": "metadata.a ? 0.25 : 0.75"}),
    document("TagRouting", "way", trustClient=True, routes=[{"when": '"blue" in request.tags', "to": {"tags": ["blue"]}}, {"when": "llm.params.?n.orValue(1) > 1", "to": {"model": "b"}, "weight": 50}]),
    document("TagRouting", "other", routes=[{"when": "size(llm.prompt) > 1", "to": {"model": "b"}}]),
)  # fmt: skip
MODELS = {
    "a": [{"model": "echo/a"}, {"model": "echo/a2", "tags": ["blue"]}],
    "b": "echo/b",
}
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.sampled_from([10, 60, 101, None]),
        "n": st.sampled_from([1, 2, 4]),
        "temperature": st.sampled_from([0.5, 1.5]),
        "top_p": st.sampled_from([0.25, 1]),
        "seed": st.sampled_from([1, 2]),
        "stream": st.booleans(),
        "stop": st.just(["x"]),
        "user": st.sampled_from(["eve", "mallory"]),
        "tags": st.sampled_from([[], ["x"], ["bad"], ["blue"], ["blue", "x"]]),
        "metadata": st.sampled_from([{"tags": ["bad"]}, {"tags": ["x"]}, {}]),
        "tools": st.sampled_from([[], [{"type": "function", "function": {"name": "shell"}}], [{"type": "function", "function": {"name": "t" * LARGEST}}]]),
    },
)  # fmt: skip
CALLS = st.tuples(
    MEMBERS,
    st.sampled_from(["x", "hello", "a secret", "long " * 40]),
    st.sampled_from([{}, {"x_a": "1"}, {"b": "2"}, {"x-litellm-tags": "x,blue"}]),
    st.sampled_from(["192.0.2.7", "10.0.0.1"]),
    st.sampled_from(["", "?q=1", "?q=2"]),
    st.integers(1, 3),
)


def house(texts: tuple[str, ...]) -> Snapshot:
    entries = [
        {"model_name": name, "litellm_params": params if isinstance(params, dict) else {"model": params}}
        for name, several in MODELS.items()
        for params in (several if isinstance(several, list) else [several])
    ]
    made = snapshot_of(models={}, model_list=entries)
    return Snapshot(1, Settings(), made.groups, policies=PolicySet(policies(*texts)))


def told(snapshot: Snapshot, asked: tuple[Any, ...], who: Any) -> dict[str, Any]:
    members, text, headers, address, query, call_id = asked
    call = asking(snapshot, chat(text, **members), who, headers=headers, query=query, call_id=f"call-{call_id}")
    call.address = address
    found = decided(call)
    decision = found.decision
    return {
        "status": (found.status, found.type, found.message),
        "rules": (decision.determining, found.told, decision.warnings),
        "sent": found.sent,
        "where": (call.model, [one.model for one in call.candidates], call.route_reason),
        "rules text": json.loads(bytes(decision.outcomes_text())),
        "read": json.loads(bytes(decision.read_text(content=False, hidden=frozenset()))),
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(POOL), min_size=1, max_size=6, unique=True), st.lists(CALLS, min_size=2, max_size=12))
def test_calls_come_to_the_same_whether_or_not_they_were_like_earlier_ones(texts, calls):
    warm, who = house(tuple(texts)), person(team="red", allowed_tags=("x",))
    for asked in [*calls, *calls]:
        seen, fresh = told(warm, asked, who), told(house(tuple(texts)), asked, who)
        read, whole = seen.pop("read"), fresh.pop("read")
        assert seen == fresh
        # What was settled before need not be read again; what is told of it is the same.
        assert all(whole.get(name, value) == value for name, value in read.items())


def test_what_is_remembered_is_bounded():
    snapshot, who = house((POOL[0],)), person()
    for number in range(3 * ALIKE):
        decided(asking(snapshot, chat(max_tokens=number % 90, seed=number), who))
        decided(asking(snapshot, chat(max_tokens=number % 90, n=1), who))
    call = asking(snapshot, chat(), who)
    plan = snapshot.policies.plan(who, "chat", "a", call.group)
    assert len(plan.residuals) <= ALIKE


def test_alike_calls_are_not_decided_twice():
    snapshot, who = house((POOL[0], POOL[1])), person()
    assert not decided(asking(snapshot, chat("one", max_tokens=5), who)).rules
    second = decided(asking(snapshot, chat("two", max_tokens=5), who))
    assert second.decision.plan.plain == ()
    assert json.loads(bytes(second.decision.read_text(content=False, hidden=frozenset())))["llm.params.max_tokens"] == 5
    assert decided(asking(snapshot, chat("two", max_tokens=500), who)).status == 403


def test_plans_and_what_is_remembered_are_bounded_together(monkeypatch):
    monkeypatch.setattr("engine.governing.PLANS", 40)
    snapshot = snapshot_of(POOL[0])
    most = 0
    for number in range(300):
        who = person(key_hash=f"key-{number % 15}")
        decided(asking(snapshot, chat(max_tokens=number % 90), who))
        plans = snapshot.policies._plans.values()
        most = max(most, len(plans) + sum(len(plan.residuals or ()) for plan in plans))
    assert 20 < most <= 41
