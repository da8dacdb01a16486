"""Expressions as long as they may be are taken apart, or shown as a whole."""

from __future__ import annotations

from engine.authoring.account import Anatomies
from engine.authoring.expressions import expressions_of
from engine.authoring.values import values
from tests.engine.deciding import document, policies


def parts_of(expression: str):
    (policy,) = policies(document("ModelAccess", rules=[{"deny": expression}]))
    return Anatomies().of(policy, expressions_of(policy)[0].expression)


def test_a_long_chain_of_differences_has_a_value():
    part = parts_of(" - ".join(["size(apiKey.team)"] * 120) + " < 0")
    assert values(part, {"apiKey": {"team": "abc"}}).value is True


def test_a_long_junction_is_taken_apart():
    part = parts_of(" || ".join(f'apiKey.team == "{at}"' for at in range(200)))
    found = values(part, {"apiKey": {"team": "100"}})
    assert (found.value, len(found.parts), [one.reached for one in found.parts].count(False)) == (True, 200, 99)
