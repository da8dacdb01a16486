"""Where a call is sent: to deployments by tags, as LiteLLM filters them, or to another model."""

from __future__ import annotations

import pytest

from engine.build import build
from engine.extensions import kind
from engine.sources import Sources, compile_sources
from tests.engine.building import PRICES, REGISTRY, config
from tests.engine.deciding import asking, chat, decided, document, person, snapshot_of


def deployment(group: str, name: str, *tags: str) -> dict:
    return {
        "model_name": group,
        "litellm_params": {"model": f"echo/{name}", "tags": list(tags)},
        "model_info": {"id": name},
    }


def house(*texts: str, deployments: dict[str, tuple[str, ...]], **more):
    """Compile one group `a` of deployments by their tags, and a plain group `b`."""
    listed = [deployment("a", name, *tags) for name, tags in deployments.items()]
    snapshot = snapshot_of(*texts, models={"b": "echo/b"}, **{**more, "model_list": [*listed, deployment("b", "b")]})
    assert {one.id for one in snapshot.names["a"].deployments} == set(deployments)
    return snapshot


def goes(snapshot, members=None, caller=None, **more) -> set[str] | int:
    """Say which deployments may take a call, or the status of its refusal."""
    found = decided(asking(snapshot, members or chat(), caller, **more))
    group = found.call.group
    assert group is not None
    return found.status if found.status != 200 else {one.id for one in found.call.candidates or group.deployments}


PLAIN = {"one": (), "two": ()}
TAGGED = {"free": ("free",), "paid": ("paid",), "both": ("free", "paid")}
DEFAULT = {**TAGGED, "rest": ("default",)}
UNTAGGED = {**TAGGED, "rest": ()}
ALL = {"free", "paid", "both", "rest"}


@pytest.mark.parametrize("match_any", [None, True, False])
@pytest.mark.parametrize(
    ("deployments", "tags", "any_of", "all_of"),
    [
        (PLAIN, (), {"one", "two"}, {"one", "two"}),
        (PLAIN, ("free",), 401, 401),
        (TAGGED, ("free",), {"free", "both"}, {"free", "both"}),
        (TAGGED, ("free", "paid"), {"free", "paid", "both"}, {"both"}),
        (TAGGED, ("free", "other"), {"free", "both"}, 401),
        (TAGGED, ("other",), 401, 401),
        (TAGGED, (), {"free", "paid", "both"}, {"free", "paid", "both"}),
        (DEFAULT, ("free",), {"free", "both"}, {"free", "both"}),
        (DEFAULT, ("other",), {"rest"}, {"rest"}),
        (DEFAULT, ("free", "other"), {"free", "both"}, {"rest"}),
        (DEFAULT, (), {"rest"}, {"rest"}),
        (UNTAGGED, ("other",), 401, 401),
        (UNTAGGED, (), ALL, ALL),
        (DEFAULT, ("default",), {"rest"}, {"rest"}),
    ],
)
def test_tags_filter_deployments_as_in_litellm(deployments, tags, any_of, all_of, match_any):
    """reference/litellm.md 1.4: no match goes to `default`, none is refused; without tags to `default`, else to all."""
    settings = {"enable_tag_filtering": True} | ({} if match_any is None else {"tag_filtering_match_any": match_any})
    snapshot = house(deployments=deployments, router_settings=settings)
    expected = all_of if match_any is False else any_of
    for body in ({"metadata": {"tags": list(tags)}}, {"tags": list(tags)}, {"litellm_metadata": {"tags": list(tags)}}):
        assert goes(snapshot, chat(**body)) == expected
    assert goes(snapshot, headers={"x-litellm-tags": ", ".join(tags)}) == expected
    assert goes(snapshot, caller=person(tags=tags)) == expected
    assert goes(snapshot, chat(tags=list(tags[:1])), person(tags=tags[1:])) == expected


def test_the_refusal_is_in_litellms_words_and_names_what_was_looked_for():
    snapshot = house(deployments=TAGGED, router_settings={"enable_tag_filtering": True})
    found = decided(asking(snapshot, chat(tags=["x", "w"])))
    assert (found.status, found.type) == (401, "tag_routing_denied")
    assert found.message == (
        "Not allowed to access model due to tags configuration: no deployment of `a` has one of the tags `w`, `x`"
    )
    assert found.rules == ["enable_tag_filtering/byTags"]


def test_without_tag_filtering_tags_mean_nothing():
    assert goes(house(deployments=DEFAULT), chat(tags=["free"])) == ALL


CANARY = {"stable": (), "canary": ("canary",)}
ROUTE = {"when": '"beta" in request.tags', "to": {"tags": ["canary"]}}


def routing(name: str = "r", **fields) -> str:
    return document("TagRouting", name, **fields)


@pytest.mark.parametrize(
    ("fields", "caller", "canary"),
    [
        ({"routes": [ROUTE]}, {}, False),
        ({"routes": [ROUTE]}, {"allowed_tags": ("beta",)}, True),
        ({"routes": [ROUTE]}, {"allowed_tags": ("other",), "tags": ("beta",)}, False),
        ({"routes": [ROUTE], "trustClient": True}, {}, True),
        ({"routes": [{**ROUTE, "when": "variables.beta"}], "variables": [{"name": "beta", "expression": ROUTE["when"]}]}, {}, False),
        ({"routes": [{**ROUTE, "when": "true"}], "matchConditions": [{"name": "b", "expression": ROUTE["when"]}]}, {}, False),
        ({"routes": [{**ROUTE, "when": "true"}], "matchConditions": [{"name": "b", "expression": ROUTE["when"]}]}, {"allowed_tags": ("beta",)}, True),
    ],
)  # fmt: skip
def test_a_clients_tags_choose_deployments_only_where_its_key_may_use_them(fields, caller, canary):
    snapshot = house(routing(**fields), deployments=CANARY)
    for headers, body in (
        ({"x-litellm-tags": "x,beta"}, {}),
        ({}, {"tags": ["beta"]}),
        ({}, {"metadata": {"tags": ["beta"]}}),
    ):
        assert goes(snapshot, chat(**body), person(**caller), headers=headers) == {"canary" if canary else "stable"}


def test_rules_see_the_tags_that_a_routing_may_not_use():
    text = routing(routes=[ROUTE]) + document("ModelAccess", "m", rules=[{"deny": '"beta" in request.tags'}])
    snapshot = house(text, deployments=CANARY)
    found = decided(asking(snapshot, chat(tags=["beta"])))
    assert (found.status, found.rules) == (403, ["m/rules[0]"])
    assert b'"request.tags":["beta"]' in bytes(found.decision.read_text(content=False, hidden=frozenset()))


def test_the_first_route_that_holds_decides_and_no_other_policy_is_asked():
    routes = [
        {"name": "never", "when": "false", "to": {"model": "b"}},
        {"name": "first", "when": "true", "to": {"tags": ["canary"]}},
        {"name": "second", "when": "true", "to": {"model": "b"}},
    ]
    text = routing("r", routes=routes) + routing("s", routes=routes[2:])
    found = decided(asking(house(text, deployments=CANARY), chat()))
    assert found.rules == ["r/first"]
    assert [one.id for one in found.call.candidates] == ["canary"]
    assert found.call.route_reason == "first: canary"


def test_a_routing_without_a_word_to_say_leaves_it_to_the_next():
    text = routing("r", routes=[{"when": "false", "to": {"model": "b"}}]) + routing(
        "s", routes=[{"when": "true", "to": {"model": "b"}}]
    )
    found = decided(asking(house(text, deployments=CANARY), chat()))
    assert (found.rules, found.call.model, found.call.route_reason) == (["s/routes[0]"], "b", "routes[0]: b")


@pytest.mark.parametrize(
    ("deployments", "expected"),
    [(CANARY, {"stable"}), (DEFAULT, {"rest"}), (UNTAGGED, {"rest"}), (TAGGED, 401), (PLAIN, {"one", "two"})],
)
def test_a_call_that_no_route_takes_goes_to_what_is_not_tagged(deployments, expected):
    snapshot = house(routing(routes=[{"when": "false", "to": {"tags": ["x"]}}]), deployments=deployments)
    assert goes(snapshot) == expected


def test_another_model_is_governed_by_its_own_policies():
    """Rules for the model that was asked for no longer hold; those for the other one do."""
    text = (
        routing(routes=[{"when": "llm.params.?seed.orValue(0) == 1", "to": {"model": "b"}}])
        + document("ModelAccess", "for-a", match={"models": ["a"]}, rules=[{"deny": "true", "message": "a"}])
        + document("ModelAccess", "for-b", match={"models": ["b"]}, rules=[{"deny": "true", "message": "b"}])
        + document("ModelAccess", "seen", rules=[{"deny": 'llm.model == "b" && llm.requestModel == "a"', "message": "both"}])
    )  # fmt: skip
    snapshot = house(text, deployments=CANARY)
    assert decided(asking(snapshot, chat())).message == "a"
    assert decided(asking(snapshot, chat(seed=1))).message == "b; both"


def test_the_rule_that_sent_a_call_is_named_beside_those_that_let_it_pass():
    text = routing(routes=[{"name": "away", "when": "true", "to": {"model": "b"}}])
    text += document("ModelAccess", "m", rules=[{"allow": "true", "name": "yes"}, {"deny": "false"}])
    assert decided(asking(house(text, deployments=CANARY), chat())).rules == ["r/away", "m/yes"]


@pytest.mark.parametrize(("failure", "action", "status"), [("Fail", "Deny", 403), ("Ignore", "Deny", 200), ("Fail", "Warn", 200), ("Fail", "Audit", 200)])  # fmt: skip
def test_a_route_that_errs(failure, action, status):
    broken = routing(
        routes=[{"when": "llm.params.missing", "to": {"model": "b"}}], failurePolicy=failure, validationActions=[action]
    )
    found = decided(asking(house(broken, deployments=CANARY), chat()))
    assert (found.status, found.told) == (status, [("r", "error")])
    said = "policy `r` could not be evaluated: no such key: `missing` (routes[0].when, 1:12)"
    assert found.message == (said if status == 403 else "")
    assert found.decision.warnings == ([f"r: {said}"] if action == "Warn" else [])


@pytest.mark.parametrize("action", ["Warn", "Audit"])
def test_a_routing_on_trial_sends_nothing_anywhere(action):
    trial = routing("t", routes=[{"name": "away", "when": "true", "to": {"model": "b"}}], validationActions=[action])
    found = decided(asking(house(trial + routing(routes=[ROUTE]), deployments=CANARY), chat()))
    assert (found.status, found.call.model, found.rules) == (200, "a", [])
    assert found.told == [("t/away", "match")]
    assert found.decision.warnings == (["t/away: would be sent to b"] if action == "Warn" else [])


@pytest.mark.parametrize("member", [b'"tags": 1e999', b'"metadata": {"tags": ["beta", 1e999]}'])
@pytest.mark.parametrize(("failure", "status"), [("Fail", 403), ("Ignore", 200)])
def test_tags_that_cannot_be_read_are_an_error_of_the_routing(member, failure, status):
    text = routing(routes=[ROUTE], failurePolicy=failure)
    body = b'{"model": "a", "messages": [], ' + member + b"}"
    found = decided(asking(house(text, deployments=CANARY), body, person(allowed_tags=("beta",))))
    assert (found.status, found.told) == (status, [("r", "error")])


def test_a_routing_in_a_file_goes_before_the_tag_filtering_of_the_configuration(tmp_path):
    (tmp_path / "config.yaml").write_text(
        config({"b": "echo/b", "a": "echo/a"}, router_settings={"enable_tag_filtering": True})
    )
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(routing(routes=[{"when": "llm.streaming", "to": {"model": "b"}}]))
    found = compile_sources(Sources(tmp_path / "config.yaml", tmp_path / "policies"), {}, kind)
    built = build(found.loaded.spec, REGISTRY, PRICES, 1, found.policies)
    streamed, plain = (decided(asking(built.snapshot, chat(stream=stream))) for stream in (True, False))
    assert (streamed.call.model, streamed.rules) == ("b", ["r/routes[0]"])
    assert (plain.call.model, plain.rules) == ("a", ["enable_tag_filtering/byTags"])
