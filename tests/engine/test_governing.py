"""Which policies govern a call: the index against a naive scan, and `models` lists that show what can be called."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.access import visible
from engine.call import Caller
from engine.extensions import kind
from engine.globs import matches
from engine.governing import NOTHING, PLANS, PolicySet
from engine.grants import grant
from engine.policy import ROUTES, Match, Policy
from engine.snapshot import ModelGroup
from tests.engine.building import PRICES, REGISTRY
from tests.engine.deciding import asking, chat, decided, document, person, policies, snapshot_of

NAMES = ["gpt-4o", "gpt-4o-mini", "o1", "o1-mini", "labs/x", "premium"]
PATTERNS = ["gpt-*", "*-mini", "*", "o1*", "*premium", "labs/*"]
GROUPS = ["premium", "cheap"]
WHO = ["anna", "bob", "c0ffee", ""]
SELECTED = ["anna", "bob", "c0ffee", "a*", "*", "*e"]
FIELDS = ("keys", "users", "teams", "orgs", "roles")


def some(values):
    return st.lists(st.sampled_from(values), max_size=2).map(tuple)


MATCHES = st.builds(
    Match,
    models=some(NAMES + PATTERNS + [f"@{group}" for group in GROUPS] + ["@*", "@prem*"]),
    routes=some([*ROUTES[:4], "*s"]),
    **{field: some(SELECTED) for field in FIELDS},
)
CALLERS = st.builds(
    lambda alias, user, team, org, role: person(alias=alias, user=user, team=team, org=org, role=role),
    *[st.sampled_from(WHO)] * 4,
    st.sampled_from(["anna", "internal_user", "proxy_admin"]),
)
GROUPED = st.builds(
    lambda name, access: ModelGroup(name, (), access), st.sampled_from(NAMES), st.lists(st.sampled_from(GROUPS))
)


def naive(match: Match, caller: Caller, operation: str, model: str, group: ModelGroup | None) -> bool:
    """Say by the words of the design whether a policy governs a call."""

    def selects(field: tuple[str, ...], *names: str) -> bool:
        return not field or any(name and matches(one, name) for one in field for name in names)

    plain = tuple(one for one in match.models if one[0] != "@")
    groups = tuple(one[1:] for one in match.models if one[0] == "@")
    by_name = bool(plain) and selects(plain, model, group.name if group else "")
    by_group = bool(groups) and selects(groups, *(group.access_groups if group else ()))
    by_hash = caller.key_hash in match.keys
    return (
        (not match.models or by_name or by_group)
        and selects(match.routes, operation)
        and (selects(match.keys, caller.alias) or by_hash)
        and selects(match.users, caller.user)
        and selects(match.teams, caller.team)
        and selects(match.orgs, caller.org)
        and selects(match.roles, caller.role)
    )


def written(match: Match, at: int) -> str:
    fields = {name: list(value) for name in Match.__slots__ if (value := getattr(match, name))}
    return document("ModelAccess", f"p{at}", match=fields, models=["x"])


@settings(max_examples=200, deadline=None)
@given(st.lists(MATCHES, max_size=6), CALLERS, st.sampled_from(ROUTES[:4]), st.sampled_from([*NAMES, "alias"]), GROUPED)
def test_a_plan_holds_what_a_naive_scan_finds(drawn, caller, operation, model, group):
    found = PolicySet(policies(*(written(match, at) for at, match in enumerate(drawn))))
    expected = [f"p{at}" for at, match in enumerate(drawn) if naive(match, caller, operation, model, group)]
    sent = pickle.loads(pickle.dumps(found.index))  # noqa: S301 - written a moment ago
    for house in (found, PolicySet(found.policies, sent)):
        plan = house.plan(caller, operation, model, group)
        assert [policy.head.name for policy in plan.policies] == expected
        assert repr(plan) == f"<Plan {', '.join(expected)}>"


@pytest.mark.parametrize(
    ("match", "caller", "governs"),
    [
        ({"keys": ["c0ffee"]}, {}, True),
        ({"keys": ["c*"]}, {}, False),
        ({"keys": ["c*"]}, {"alias": "carl"}, True),
        ({"teams": ["*"]}, {}, False),
        ({"teams": ["*"]}, {"team": "t"}, True),
        ({"models": ["@premium"]}, {}, True),
        ({"models": ["*premium"]}, {}, False),
        ({"models": ["four"]}, {}, True),
        ({"models": ["gpt*"]}, {}, True),
        ({"models": ["@@premium"]}, {}, False),
        ({"roles": ["internal_user"]}, {}, True),
        ({"orgs": ["o"], "teams": ["t"]}, {"team": "t"}, False),
    ],
)
def test_what_a_selector_means(match, caller, governs):
    """A pattern is for names that people give: neither the hash of a key nor an access group fits one by chance."""
    found = PolicySet(policies(document("ModelAccess", match=match, models=["x"])))
    plan = found.plan(person(**caller), "chat", "four", ModelGroup("gpt-4o", (), ["premium"]))
    assert bool(plan.policies) is governs


def test_plans_are_made_once_for_a_caller_and_a_model_within_a_bound():
    found = PolicySet(policies(document("ModelAccess", models=["x"])))
    group, anna = ModelGroup("a", (), ()), person()
    plan = found.plan(anna, "chat", "a", group)
    assert found.plan(anna, "chat", "a", group) is plan
    assert found.plan(person(), "chat", "a", group) is not plan
    assert found.plan(anna, "embeddings", "a", group) is not plan
    for number in range(PLANS + 10):
        found.plan(anna, "chat", f"model-{number}", group)
    assert len(found._plans) <= PLANS
    assert PolicySet().plan(anna, "chat", "a", group) is NOTHING


def test_a_digest_tells_sets_of_policies_apart():
    one, two = document("ModelAccess", models=["x"]), document("ModelAccess", models=["y"])
    digests = {PolicySet(policies(*texts)).digest for texts in ([one], [two], [f"# a comment\n{one}"])}
    assert len(digests) == 2
    assert PolicySet().digest == ""
    assert b"x-interlock-revision: 1\r\n" in snapshot_of().head


RULES = [
    'apiKey.team == "t"', 'llm.model == "a"', 'request.route == "chat"', "apiKey.metadata.level > 3",
    'apiKey.alias.startsWith("b") || llm.streaming', "has(apiKey.metadata.level)", 'llm.requestModel == "a"', "true",
]  # fmt: skip
HEADS = st.fixed_dictionaries(
    {},
    optional={
        "variables": st.just([{"name": "x", "expression": "1"}]),
        "failurePolicy": st.sampled_from(["Fail", "Ignore"]),
    },
)
DRAWN = st.lists(
    st.tuples(st.sampled_from(["deny", "require", "allow"]), st.sampled_from(RULES)), min_size=1, max_size=4
)


@settings(max_examples=150, deadline=None)
@given(DRAWN, HEADS, st.sampled_from(["t", ""]), st.sampled_from([{}, {"level": 5}, {"level": "x"}]), st.booleans())
def test_rules_that_only_read_the_caller_decide_alike_when_they_are_settled_beforehand(
    rules, head, team, metadata, stream
):
    """The second call meets the plan of the first; a policy with a condition is settled for no call."""
    fields = {"rules": [{effect: cel} for effect, cel in rules], **head}
    never = [{"name": "always", "expression": "request.method != ''"}]
    seen = []
    for conditions in ({}, {"matchConditions": never}):
        snapshot = snapshot_of(document("ModelAccess", **fields, **conditions))
        caller = person(team=team, metadata=metadata, alias="bob")
        for _ in range(2):
            found = decided(asking(snapshot, chat(stream=stream), caller))
            seen.append((found.status, found.message, found.rules))
    assert seen == [seen[0]] * 4


def known(provider: str) -> list[str]:
    return ["x", "y"] if provider == "echo" else []


ACCESS = {
    "models": st.lists(st.sampled_from(["a", "b", "a/*", "a/x", "@g", "g", "*", "al"]), max_size=2),
    "match": st.fixed_dictionaries({}, optional={"teams": some(["t", "u"]).map(list), "models": some(["a", "@g", "al"]).map(list)}),
    "validationActions": st.sampled_from([["Deny"], ["Warn"], ["Audit"]]),
    "variables": st.sampled_from([[], [{"name": "x", "expression": "1"}]]),
}  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.fixed_dictionaries(ACCESS), min_size=1, max_size=3),
    st.sampled_from(["t", "u", ""]),
    some(["a", "g", "b"]),
)
def test_what_is_listed_can_be_called_and_what_can_be_called_is_listed(drawn, team, models):
    texts = [document("ModelAccess", f"p{at}", **fields) for at, fields in enumerate(drawn)]
    house = {
        "a": {"litellm_params": {"model": "echo/a"}, "model_info": {"access_groups": ["g"]}}, "b": "echo/b", "a/*": "echo/*",
    }  # fmt: skip
    snapshot = snapshot_of(*texts, models=house, router_settings={"model_group_alias": {"al": "b"}})
    caller = person(team=team, models=models)
    shown = set(visible(caller, snapshot, known))
    for name in ("a", "b", "al", "a/x", "a/y"):
        call = asking(snapshot, {**chat(), "model": name}, caller)
        assert (decided(call).status == 200) is (name in shown), name


def test_a_list_for_some_calls_hides_nothing():
    """What is refused at some hours, or on some routes, can be called and is listed."""
    at_night = document(
        "ModelAccess", "p", models=["b"], matchConditions=[{"name": "n", "expression": "request.time.getHours() < 6"}]
    )
    on_a_route = document("ModelAccess", "q", models=["b"], match={"routes": ["embeddings"]})
    snapshot = snapshot_of(at_night, on_a_route)
    assert list(visible(person(), snapshot, PRICES.names)) == ["a", "b"]
    assert decided(asking(snapshot, chat(), person())).status == 200
    assert decided(asking(snapshot, {"model": "a", "input": "x"}, person(), operation="embeddings")).status == 403


def test_every_kind_can_be_sent_to_another_process():
    text = (
        document("ModelAccess", "a", models=["a", "@g"], rules=[{"deny": "llm.streaming"}])
        + document("TagRouting", "t", routes=[{"when": "llm.params.?seed.orValue(0) == 7", "to": {"tags": ["x"]}}])
        + document(
            "Transform", "s", set={"user": '"u"'}, drop=["n"], clamp={"max_tokens": {"max": 5}}, metadata={"m": "1"}
        )
        + document("DecisionLog", "d", drop="llm.streaming", mask=[{"attribute": "apiKey.user", "when": "true"}])
    )
    sent: tuple[Policy, ...] = pickle.loads(pickle.dumps(policies(text)))  # noqa: S301 - written a moment ago
    assert [type(policy) for policy in sent] == [kind(policy.head.kind) for policy in policies(text)]
    snapshot = snapshot_of(text)
    snapshot.policies = PolicySet(sent)
    assert decided(asking(snapshot, chat(stream=True))).rules == ["a/rules[0]"]
    assert decided(asking(snapshot, chat(seed=7))).status == 401
    assert decided(asking(snapshot, chat(max_tokens=9, n=1))).sent == {"user": "u", "max_tokens": 5}
    assert REGISTRY.kind("ModelAccess") is type(sent[0])
    assert grant(Caller("x"), kind).access == ()
