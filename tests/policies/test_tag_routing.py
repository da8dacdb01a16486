"""`TagRouting`: what may be written, and where calls go."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.build import build
from engine.governing import PolicySet
from engine.policy import Direction
from policies.tag_routing import TagRouting
from tests.engine.building import PRICES, REGISTRY, config, loaded
from tests.engine.deciding import FILE, asking, chat, decided, document, person, policies, problems, snapshot_of

BETA = {"when": '"beta" in request.tags', "to": {"tags": ["canary"]}}
AWAY = {"when": "true", "to": {"model": "b"}}


def routing(**fields) -> str:
    return document("TagRouting", **fields)


@pytest.mark.parametrize(
    ("fields", "line", "wrong"),
    [
        ({}, 2, "says nothing; give it `routes` or `byTags: true`"),
        ({"byTags": False}, 2, "says nothing; give it `routes` or `byTags: true`"),
        ({"byTags": "yes", "routes": [AWAY]}, 4, "byTags: must be true or false, not text"),
        ({"routes": {"when": "true"}}, 4, "routes: must be a list, not a mapping"),
        ({"route": [AWAY], "byTags": True}, 4, "route: unknown field; did you mean `routes`?"),
        ({"routes": [{"to": {"model": "b"}}]}, 5, "routes[0]: a route needs `when`; write `when: 'true'` for every call"),
        ({"routes": [{"when": "1", "to": {"model": "b"}}]}, 5, "routes[0].when: the expression is to be bool, not int"),
        ({"routes": [{"when": "true"}]}, 5, "routes[0].to: a route leads to `tags` or to a `model`: give it one of them"),
        ({"routes": [{"when": "true", "to": {}}]}, 6, "routes[0].to: a route leads to `tags` or to a `model`: give it one of them"),
        ({"routes": [{"when": "true", "to": {"tags": []}}]}, 6, "routes[0].to: a route leads to `tags` or to a `model`: give it one of them"),
        ({"routes": [{"when": "true", "to": {"tags": ["x"], "model": "b"}}]}, 6, "routes[0].to: a route leads to `tags` or to a `model`: give it one of them"),
        ({"routes": [{"when": "true", "to": "b"}]}, 6, "routes[0].to: must be a mapping, not text"),
        ({"routes": [{"when": "true", "to": {"tag": "x", "model": "b"}}]}, 7, "routes[0].to.tag: unknown field; did you mean `tags`?"),
        ({"routes": [{"when": "true", "to": {"model": "labs/*"}}]}, 7, "routes[0].to.model: must be the name of one model, without `*`"),
        ({"routes": [{**AWAY, "weight": 0}]}, 8, "routes[0].weight: must be at least 1 and at most 100"),
        ({"routes": [{**AWAY, "weight": 101}]}, 8, "routes[0].weight: must be at least 1 and at most 100"),
        ({"routes": [{**AWAY, "weight": 12.5}]}, 8, "routes[0].weight: must be a whole number of percent"),
        ({"routes": [{**AWAY, "weight": "20%"}]}, 8, "routes[0].weight: must be a number, not text"),
        ({"routes": [{**AWAY, "weigth": 20}]}, 8, "routes[0].weigth: unknown field; did you mean `weight`?"),
        ({"routes": [AWAY], "matchany": True}, 8, "matchany: unknown field; did you mean `matchAny`?"),
    ],
)  # fmt: skip
def test_what_may_not_be_written(fields, line, wrong):
    first, *more = problems(routing(**fields))
    assert first.split("\n")[0] == f"{FILE}:{line}: error: {wrong}" or first.startswith(f"{FILE}:{line}:")
    assert wrong in first
    assert all(one.startswith(f"{FILE}:{line}: error: routes[0].to: ") for one in more)


TARGETS = config(
    {
        "a": "echo/a",
        "b": {"litellm_params": {"model": "echo/b", "tags": ["canary"]}},
        "labs/*": {"litellm_params": {"model": "echo/*", "tags": ["lab"]}},
    }
)


@pytest.mark.parametrize(
    ("to", "wrong"),
    [
        ({"model": "b"}, None),
        ({"model": "labs/any"}, None),
        ({"tags": ["canary", "lab"]}, None),
        ({"model": "none"}, "error: `p` sends calls to `none`, which is not in `model_list`"),
        ({"tags": ["canary", "eu"]}, "warning: `p` sends calls to deployments tagged `eu`, but none is"),
    ],
)
def test_a_target_that_does_not_exist_is_found_at_load(to, wrong):
    text = "# a comment\n" + routing(routes=[AWAY, {"when": "true", "to": to}])
    found = build(loaded(TARGETS), REGISTRY, PRICES, 1, PolicySet(policies(text))).problems
    assert [str(problem) for problem in found] == ([f"{FILE}:3: {wrong}"] if wrong else [])


def test_what_is_read_of_a_document():
    (policy,) = policies(
        routing(routes=[{**BETA, "name": "beta", "weight": 20}, AWAY], matchAny=False, trustClient=True)
    )
    assert isinstance(policy, TagRouting)
    assert [(route.name, route.weight) for route in policy.routes] == [("beta", 20), ("routes[1]", 100)]
    assert policy.routes[0].direction == Direction("beta", ("canary",), match_any=False)
    assert policy.targets() == ["b"]
    assert policy.tags() == ["canary"]
    assert {("request", "tags"), ("apiKey", "tags")} <= policy.head.refs


def deployment(group: str, name: str, *tags: str) -> dict:
    return {
        "model_name": group,
        "litellm_params": {"model": f"echo/{name}", "tags": list(tags)},
        "model_info": {"id": name},
    }


LISTED = [
    deployment("a", "stable"),
    deployment("a", "canary", "canary"),
    deployment("a", "eu", "canary", "eu"),
    deployment("b", "b"),
]


def goes(text: str, members=None, caller=None, *, call_id: str = "call-1") -> str:
    snapshot = snapshot_of(text, models={}, model_list=LISTED)
    found = decided(asking(snapshot, members or chat(), caller, call_id=call_id))
    assert found.status == 200, found.message
    group = found.call.group
    assert group is not None
    return "+".join(one.id for one in found.call.candidates or group.deployments)


@pytest.mark.parametrize(
    ("fields", "caller", "expected"),
    [
        ({"routes": [BETA]}, {}, "stable"),
        ({"routes": [BETA]}, {"allowed_tags": ("beta",)}, "canary+eu"),
        ({"routes": [BETA], "trustClient": True}, {}, "canary+eu"),
        ({"routes": [{**BETA, "to": {"tags": ["canary", "eu"]}}], "trustClient": True}, {}, "canary+eu"),
        ({"routes": [{**BETA, "to": {"tags": ["canary", "eu"]}}], "trustClient": True, "matchAny": False}, {}, "eu"),
        ({"routes": [AWAY]}, {}, "b"),
        ({"routes": [{**AWAY, "when": 'apiKey.team == "t"'}]}, {"team": "t"}, "b"),
        ({"byTags": True}, {}, "stable+canary+eu"),
        ({"byTags": True}, {"tags": ("eu",)}, "eu"),
        ({"byTags": True, "routes": [BETA]}, {"tags": ("eu",), "allowed_tags": ("beta",)}, "canary+eu"),
        ({"byTags": True, "routes": [BETA]}, {"tags": ("eu",)}, "eu"),
    ],
)
def test_where_a_call_tagged_beta_goes(fields, caller, expected):
    assert goes(routing(**fields), chat(tags=["beta"]), person(**caller)) == expected


@pytest.mark.parametrize("weight", [1, 20, 50, 99])
def test_a_weight_is_a_share_of_the_calls_and_a_call_is_always_sent_alike(weight):
    """Ids as the gateway makes them, one after the other: five standard deviations are allowed."""
    (policy,) = policies(routing(routes=[{**AWAY, "weight": weight}]))
    snapshot = snapshot_of(models={"a": "echo/a"})
    drawn = Counter()
    for number in range(4000):
        call = asking(snapshot, {"model": "a"}, call_id=f"9f3a11c0ffee-{number:08x}")
        drawn[policy.direct(activation_of(call)) is not None] += 1
    expected = 4000 * weight / 100
    assert abs(drawn[True] - expected) <= 5 * (expected * (1 - weight / 100)) ** 0.5
    once = [goes(routing(routes=[{**AWAY, "weight": 50}]), call_id="call-7") for _ in range(3)]
    assert len(set(once)) == 1


def activation_of(call):
    from engine.activation import Activation, Needs  # noqa: PLC0415 - one test looks below `check`

    return Activation(call, Needs([("request", "tags"), ("apiKey", "tags")]))


@pytest.mark.parametrize(("first", "second"), [("routes[0]", "routes[1]"), ("canary", "blue"), ("a", "b")])
def test_what_a_weight_leaves_goes_on_to_the_next_route_by_a_draw_of_its_own(first, second):
    routes = [
        {**AWAY, "name": first, "weight": 50},
        {"name": second, "when": "true", "to": {"tags": ["x"]}, "weight": 50},
    ]
    (policy,) = policies(routing(routes=routes))
    snapshot = snapshot_of(models={"a": "echo/a"})
    drawn = Counter()
    for number in range(4000):
        found = policy.direct(activation_of(asking(snapshot, {"model": "a"}, call_id=f"0123456789ab-{number:08x}")))
        drawn[found.rule if found else ""] += 1
    assert abs(drawn[first] - 2000) < 160
    assert abs(drawn[second] - 1000) < 140
    assert abs(drawn[""] - 1000) < 140


def test_two_policies_of_one_weight_draw_apart():
    texts = [routing(name=name, routes=[{**AWAY, "weight": 50}]) for name in ("one", "two")]
    one, two = policies(*texts)
    snapshot = snapshot_of(models={"a": "echo/a"})
    both = Counter()
    for number in range(4000):
        seen = activation_of(asking(snapshot, {"model": "a"}, call_id=f"feedbeef0000-{number:08x}"))
        both[one.direct(seen) is not None, two.direct(seen) is not None] += 1
    assert all(abs(count - 1000) < 140 for count in both.values()), both
