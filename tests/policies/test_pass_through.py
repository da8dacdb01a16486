"""`PassThrough`: what it reads, and what it refuses to read, with the place."""

from __future__ import annotations

import pytest

from engine.build import Builder
from engine.governing import PolicySet
from engine.passages import Passages, leads_elsewhere, own
from tests.engine.building import PRICES, REGISTRY, config, loaded
from tests.engine.deciding import document, policies, problems


def passage(**fields):
    return document("PassThrough", path="/bria", target="https://api.example.com", **fields)


def test_what_is_said_is_read():
    (policy,) = policies(
        passage(
            methods=["get", "POST"], headers={"Authorization": "Bearer x"}, forwardHeaders=["X-A"], query={"v": "2"},
            mergeQuery=False, auth=False, cost=12.0, timeout=5, subpaths=False, keyHeader="X-Key", allowLinkLocal=True,
        )
    )  # fmt: skip
    sent = policy.passage()
    assert (sent.path, sent.target, sent.methods, sent.forward) == (
        "/bria",
        "https://api.example.com",
        ("GET", "POST"),
        ("x-a",),
    )
    assert (sent.subpaths, sent.merge_query, sent.auth, sent.key_header, sent.timeout) == (
        False,
        False,
        False,
        "x-key",
        5.0,
    )
    assert sent.cost.program.evaluate({}) == 12.0
    assert policies(passage(forwardHeaders=True))[0].passage().forward is None
    assert policies(passage())[0].head.match.routes == ("pass-through",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"path": "bria"}, "needs a `path` such as `/bria`"),
        ({"path": "/bria/"}, "needs a `path` such as `/bria`"),
        ({"path": "/a/../b"}, "needs a `path` such as `/bria`"),
        ({"path": "/a?b=1"}, "needs a `path` such as `/bria`"),
        ({"target": ""}, "needs a `target`"),
        ({"methods": ["FETCH"]}, "`FETCH` is no method"),
        ({"headers": {"a b": "c"}}, "`a b` is not the name of a header"),
        ({"match": {"models": ["x"]}}, "a PassThrough has no models"),
        ({"matchConditions": [{"expression": "true"}]}, "says where requests go"),
        ({"cost": "llm.prompt"}, ""),
        ({"cost": "response.boddy"}, "has no field `boddy`; did you mean `body`?"),
        ({"timeout": 0}, "must be at least 0.001"),
        ({"forwardHeader": True}, "unknown field; did you mean `forwardHeaders`?"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(fields, said):
    found = problems(document("PassThrough", **{"path": "/bria", "target": "https://x", **fields}))
    if said:
        assert any(said in one and one.startswith("policies/p.yaml:") for one in found), found
    else:
        assert not found


def built(*texts: str):
    builder = Builder(loaded(config({"a": "echo/a"})), REGISTRY, PRICES)
    return Passages(builder.passages(PolicySet(policies(*texts)))), [str(one) for one in builder.problems]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"target": "ftp://x"}, "is not an http or https address"),
        ({"target": "https://user:secret@x"}, "put credentials into `api_key` or a header"),
        ({"headers": {"authorization": "os.environ/SURELY_NOT_SET"}}, "`SURELY_NOT_SET` is not set"),
        ({"headers": {"connection": "close"}}, "header `connection` is the gateway's own"),
        ({"headers": {"x-a": "b\r\nc: d"}}, "control character"),
        ({"path": "/health"}, "one of the gateway's own"),
        ({"path": "/v1"}, "one of the gateway's own"),
    ],
)
def test_what_only_the_gateway_can_tell_is_refused_at_load(fields, said):
    found, wrong = built(document("PassThrough", **{"path": "/bria", "target": "https://x", **fields}))
    assert not len(found)
    assert said in wrong[0]
    assert "secret" not in wrong[0]


def test_two_of_one_path_are_an_error_and_the_longest_path_counts():
    one = document("PassThrough", "one", path="/a", target="https://x")
    two = document("PassThrough", "two", path="/a/b", target="https://y")
    found, wrong = built(one, two)
    assert not wrong
    assert (found.find("/a/b/c").name, found.find("/a/bc").name, found.find("/ab")) == ("two", "one", None)
    _, wrong = built(one, document("PassThrough", "other", path="/a", target="https://y"))
    assert "is that of policies/p.yaml" in wrong[0]


def test_paths_of_the_gateway_and_paths_that_lead_elsewhere():
    assert own("/v1/chat")
    assert own("/health/x")
    assert not own("/anthropic")
    for path in ("/a/../b", "/a//b", "/a/%2e%2e/", "/a\\b", "/a%2Fb", "/a/\x01", "/a/ü", "/a?b", "/a/..;/b"):
        assert leads_elsewhere(path), path
    for path in ("/a/b", "/a/b..c", "/a/%20", "/a/v1.0", "/models/x:generate", "/a/"):
        assert not leads_elsewhere(path), path
