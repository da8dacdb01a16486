"""What policies are said to have said is what the gateway acted on."""

from __future__ import annotations

import pytest

from engine.authoring.account import Anatomies, accounts
from engine.authoring.stage import staged
from engine.authoring.suite import asked_of, find_tests, known_of, read_cases
from engine.authoring.trial import tried
from engine.policy import Policy
from engine.sources import Sources
from tests.engine.authoring.staging import asks, stage_of
from tests.running import ROOT

STORIES = sorted((ROOT / "examples" / "policies").iterdir())
PLACES = {"match": ("match",), "no match": ("miss",), "error": ("error",)}


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.name)
def test_an_account_agrees_with_the_decision(path):
    stage = staged(Sources(path / "config.yaml", path / "policies"), {})
    seen = 0
    for file in find_tests(path / "policies"):
        cases, problems = read_cases(file, known_of(stage))
        assert problems == []
        for case in cases:
            trial = tried(stage, asked_of(stage, case))
            told = {one.name: one.outcome for account in accounts(trial, Anatomies()) for one in account.told if one.role in ("deny", "require", "allow", "when")}  # fmt: skip
            for outcome in trial.decision.outcomes if trial.decision is not None else ():
                if outcome.said in ("match", "miss", "error") and outcome.name in told:
                    assert outcome.said in PLACES[told[outcome.name]], (case.name, outcome)
                    seen += 1
            for account in accounts(trial, Anatomies()):
                rules = {f"{account.name}/{rule.name}" for rule in account.policy.rules()} if type(account.policy).rules is not Policy.rules else set()  # fmt: skip
                quiet = rules - {outcome.name for outcome in trial.decision.outcomes} if trial.decision else set()
                for rule in account.policy.rules():
                    name = f"{account.name}/{rule.name}"
                    if name in quiet and name in told:
                        assert told[name] == ("no match" if rule.effect == "deny" else "match"), (case.name, name)
    assert seen or path.name in (
        "canary",
        "eu-region",
        "reasoning-effort",
        "long-prompts",
        "team-budgets",
        "fair-share",
    )


MIXED = """
kind: ModelAccess
name: web
match: {teams: [web]}
matchConditions: [{name: big, expression: 'llm.params.?n.orValue(1) > 1'}]
rules: [{name: few, deny: llm.params.n > 3}]
---
kind: ModelAccess
name: other
match: {teams: [sales, "ops*"], models: ["@dear"]}
rules: [{name: r, deny: "true"}]
---
kind: TagRouting
name: go
routes:
  - {name: first, when: '"x" in request.tags', to: {tags: [canary]}}
  - {name: second, when: llm.params.?n.orValue(1) == 2, to: {model: b}}
  - {name: third, when: 'true', to: {tags: [canary]}}
trustClient: true
---
kind: Transform
name: cut
set: {user: apiKey.team}
"""


def told_of(trial) -> dict[str, object]:
    return {account.name: account for account in accounts(trial, Anatomies(), elements=True)}


def test_each_policy_says_why_it_was_not_asked(tmp_path):
    stage = stage_of(tmp_path, MIXED)
    found = told_of(asks(stage))
    assert found["web"].skipped == "big"
    assert [told.name for told in found["web"].told] == ["web/big"]
    assert found["other"].absent == (
        "match.models is `@dear`, the call has `a`; match.teams is `sales`, `ops*`, the call has `web`"
    )


def test_routes_behind_the_one_that_decides_are_not_reached(tmp_path):
    found = told_of(asks(stage_of(tmp_path, MIXED), tags=["x"]))
    assert [(told.name, told.outcome, told.why) for told in found["go"].told] == [
        ("go/first", "match", ""),
        ("go/second", "not reached", "`first` decided already"),
        ("go/third", "not reached", "`first` decided already"),
    ]


def test_a_call_that_is_sent_elsewhere_meets_the_policies_there(tmp_path):
    stage = stage_of(tmp_path, MIXED + "---\nkind: ModelAccess\nname: b-only\nmatch: {models: [b]}\nrules: [{deny: 'llm.model == \"b\"'}]\n")  # fmt: skip
    trial = asks(stage, n=2)
    assert trial.decision.determining == ["b-only/rules[0]"]
    assert told_of(trial)["b-only"].told[0].outcome == "match"
    assert told_of(asks(stage))["b-only"].absent == "match.models is `b`, the call has `a`"


def test_what_a_transform_changes_is_named_unless_the_call_was_refused(tmp_path):
    stage = stage_of(tmp_path, MIXED)
    assert told_of(asks(stage))["cut"].changes == ("user",)
    refused = asks(stage, n=4)
    assert refused.decision.determining == ["web/few"]
    assert told_of(refused)["cut"].absent == "the call was refused, so nothing was changed"


def test_where_nobody_is_asked_that_is_said(tmp_path):
    stage = stage_of(tmp_path, MIXED)
    assert {one.absent for one in told_of(asks(stage, model="nix")).values()} == {
        "the call was refused before any policy was asked"
    }
    assert {one.absent for one in told_of(asks(stage, "narrow")).values()} == {
        "the model lists of key and team refused the call first"
    }


def test_prompts_are_seen_as_they_came_though_a_transform_changed_them(tmp_path):
    stage = stage_of(tmp_path, 'kind: Transform\nname: t\nset: {user: llmRequest.?user.orValue("none") + "!"}\n')
    trial = asks(stage, user="anna")
    assert trial.sent["user"] == "anna!"
    assert told_of(trial)["t"].told[0].value.value == "anna!"
