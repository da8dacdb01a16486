"""What a suite has seen, and what it has not."""

from __future__ import annotations

import json
from xml.etree.ElementTree import fromstring

from engine.authoring import report
from engine.authoring.account import Anatomies
from engine.authoring.coverage import Coverage
from engine.authoring.suite import run
from engine.sources import Sources
from tests.engine.authoring.staging import stage_of

RULES = """
kind: ModelAccess
name: p
rules:
  - name: r
    deny: llm.params.?n.orValue(1) > 1 && !(apiKey.team == "web" || llm.params.?max_tokens.orValue(0) > 5)
  - {name: always, require: "true"}
---
kind: Transform
name: t
set: {user: 'apiKey.team == "web" ? "w" : "o"'}
"""
CASE = "  - {{name: {name}, caller: {caller}, request: {{body: {{model: a, {members}}}}}, expect: {{decision: {decision}}}}}\n"


def suite_of(folder, *cases: tuple[str, str, str, str]):
    stage_of(folder, RULES)
    lines = [CASE.format(name=name, caller=caller, members=members, decision=decision) for name, caller, members, decision in cases]  # fmt: skip
    (folder / "policies" / "p_test.yaml").write_text("tests:\n" + "".join(lines))
    return run(Sources(folder / "config.yaml", folder / "policies"), {})


def missing(suite) -> dict[str, list[str]]:
    return {point.text: point.missing for point in suite.coverage.uncovered}


def test_one_case_sees_one_side(tmp_path):
    suite = suite_of(tmp_path, ("one", "app", "n: 1", "allow"))
    assert missing(suite) == {
        'llm.params.?n.orValue(1) > 1 && !(apiKey.team == "web" || llm.params.?max_tokens.orValue(0) > 5)': ["match"],
        "llm.params.?n.orValue(1) > 1": ["true"],
        "llm.params.?max_tokens.orValue(0) > 5": ["true", "false"],
        'apiKey.team == "web"': ["false"],
    }
    assert suite.coverage.percent() < 60


def test_all_sides_are_a_hundred_percent(tmp_path):
    suite = suite_of(
        tmp_path,
        ("one", "app", "n: 1", "allow"),
        ("two", "app", "n: 2", "allow"),
        ("three", "{team: x}", "n: 2", "deny"),
        ("four", "{team: x}", "n: 2, max_tokens: 9", "allow"),
    )
    assert (suite.failed, missing(suite), suite.coverage.percent()) == (0, {}, 100.0)
    assert list(suite.coverage.lines()) == ["coverage: 100.0 % (3 of 3 rules, 4 of 4 conditions)"]


def test_what_is_not_reached_is_not_seen(tmp_path):
    suite = suite_of(tmp_path, ("one", "app", "n: 2", "allow"))
    assert missing(suite)["llm.params.?max_tokens.orValue(0) > 5"] == ["true", "false"]
    assert missing(suite)["llm.params.?n.orValue(1) > 1"] == ["false"]


def test_what_is_missing_is_told_with_its_place(tmp_path):
    suite = suite_of(tmp_path, ("one", "app", "n: 2", "allow"))
    place = f"{tmp_path}/policies/p0.yaml:6: p/r: "
    assert f"{place}never true nor false: llm.params.?max_tokens.orValue(0) > 5" in list(suite.coverage.lines())
    assert json.loads(json.dumps(suite.coverage.as_json()))["rules"]["points"][0]["missing"] == ["match"]


def test_a_condition_in_a_block_of_lines_has_its_own_line(tmp_path):
    stage = stage_of(tmp_path, RULES.replace('  - {name: always, require: "true"}', '  - require: |\n      llm.streaming ||\n      apiKey.team == "x"'))  # fmt: skip
    coverage = Coverage(stage, Anatomies())
    places = {point.text: point.place.rpartition(":")[2] for point in coverage.branches.values()}
    assert (places["llm.streaming"], places['apiKey.team == "x"']) == ("8", "9")


def test_a_failed_case_is_told_in_full(tmp_path):
    suite = suite_of(tmp_path, ("one", "app", "n: 2", "allow"), ("two", "{team: x}", "n: 2", "allow"))
    lines = list(report.text(suite, coverage=False))
    assert lines[:5] == [
        f"{tmp_path}/policies/p_test.yaml",
        "  ok    one",
        "  FAIL  two",
        f"        {tmp_path}/policies/p_test.yaml:3",
        '        decision: expected "allow", got "deny"',
    ]
    assert any(line.endswith('apiKey.team = "x"') for line in lines)
    assert lines[-1].startswith("1 passed, 1 failed in ")


def test_build_servers_read_it(tmp_path):
    suite = suite_of(tmp_path, ("one", "app", "n: 2", "allow"), ("<two>", "{team: x}", "n: 2", "allow"))
    root = fromstring(report.junit(suite))  # noqa: S314 - written here
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "2", "1")
    one, two = root.iter("testcase")
    assert (one.find("failure"), two.get("name"), two.get("line")) == (None, "<two>", "3")
    assert two.find("failure").get("message") == 'decision: expected "allow", got "deny"'


def test_programs_read_it(tmp_path):
    suite = suite_of(tmp_path, ("one", "{team: x}", "n: 2", "allow"))
    found = json.loads(json.dumps(report.as_object(suite, coverage=True), default=str))
    assert (found["good"], found["tests"][0]["failures"]) == (
        False,
        [{"field": "decision", "expected": "allow", "actual": "deny"}],
    )
    assert found["tests"][0]["policies"][0]["rules"][0]["outcome"] == "match"
    assert found["coverage"]["percent"] < 100
