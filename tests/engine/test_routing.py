"""Where a call goes: names, aliases, and the order in which deployments are tried."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.call import Caller
from engine.contracts import Target, Timeouts
from engine.errors import ClientError
from engine.routing import order, route
from engine.snapshot import LONGEST, Deployment, ModelGroup
from tests.engine.building import REGISTRY, call_of, compiled, config

HOUSE = compiled(config({"a": "echo/a", "b": "echo/b", "w/*": "echo/*"}, router_settings={"model_group_alias": {"c": "b"}})).snapshot  # fmt: skip


def routed(model: str, **aliases: str):
    who = Caller("hash")
    who.aliases = aliases
    call = call_of(HOUSE, who, model)
    route(call)
    return call


@pytest.mark.parametrize(("name", "group"), [("a", "a"), ("c", "b"), ("w/x", "w/x")])
def test_a_name_is_its_group(name, group):
    call = routed(name)
    assert call.group.name == group
    assert call.model == name


def test_the_callers_alias_comes_before_everything_and_once():
    assert routed("a", a="b", b="a").group.name == "b"
    assert routed("mine", mine="c").model == "c"


@pytest.mark.parametrize("name", ["A", "d", "w/", "w"])
def test_an_unknown_name_is_404(name):
    with pytest.raises(ClientError) as error:
        routed(name)
    assert (error.value.status, error.value.type, error.value.param) == (404, "model_not_found", "model")
    assert f"`{name}` does not exist here" in error.value.message


@pytest.mark.parametrize("name", ["", "w/a\r\nx: y", "w/\x00", "w/\x7f", "w/\u2028", "w/" + "x" * LONGEST])
def test_what_cannot_be_a_name_is_400(name):
    with pytest.raises(ClientError) as error:
        routed(name)
    assert (error.value.status, error.value.param) == (400, "model")
    assert "\r" not in error.value.message


def group_of(*weights: float) -> ModelGroup:
    target = Target("x", {}, Timeouts(), Timeouts())
    made = [
        Deployment(str(at), "g", "echo", "x", REGISTRY.provider("echo").endpoint(target)) for at in range(len(weights))
    ]
    for deployment, weight in zip(made, weights, strict=True):
        deployment.weight = weight
    return ModelGroup("g", made, ())


def test_the_first_choice_follows_the_weights():
    """9 : 3 : 1 : 0 over 20,000 draws, within five standard deviations."""
    chance, draws, weights = random.Random(7), 20_000, (9, 3, 1, 0)
    group = group_of(*weights)
    firsts = Counter(next(order(group.deployments, chance)).id for _ in range(draws))
    for at, weight in enumerate(weights):
        share = weight / sum(weights)
        spread = 5 * (draws * share * (1 - share)) ** 0.5
        assert abs(firsts[str(at)] - draws * share) <= spread, firsts


def test_the_second_choice_follows_the_weights_of_those_left():
    chance = random.Random(3)
    group = group_of(2, 1, 1)
    seconds = Counter(tuple(d.id for d in islice(order(group.deployments, chance), 2)) for _ in range(12_000))
    assert abs(seconds["0", "1"] - 3_000) < 300
    assert abs(seconds["1", "0"] - 2_000) < 250
    assert abs(seconds["1", "2"] - 1_000) < 200


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6), st.integers(1, 8), st.randoms(use_true_random=False))
def test_nobody_is_tried_twice_or_forgotten(weights, attempts, chance):
    group = group_of(*weights)
    tried = list(islice(order(group.deployments, chance), attempts))
    assert len(set(tried)) == len(tried) == min(attempts, len(weights))
    assert set(tried) <= set(group.deployments)


def test_nothing_left_is_nothing():
    assert list(order((), random.Random(1))) == []
