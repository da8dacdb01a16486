"""`interlock test` over every story, and what it says of a call beside what a running gateway does with it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from engine.authoring.stage import staged
from engine.authoring.suite import find_tests, known_of, read_cases, run
from engine.cli.main import main
from engine.sources import Sources
from tests.running import ROOT

FOLDERS = [*sorted((ROOT / "examples" / "policies").iterdir()), ROOT / "examples" / "quickstart"]
ENVIRON = {"INTERLOCK_MASTER_KEY": "sk-master-0123456789abcdef"}
SAME = ("free-tier", "no-shell-tools", "clean-prompts", "rollout", "eu-region", "reasoning-team", "long-prompts")
"""Stories whose cases depend on neither the clock nor a draw."""


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: path.name)
def test_the_tests_of_a_story_pass_and_see_every_rule_both_ways(path):
    options = ["--config", str(path / "config.yaml"), "--policies", str(path / "policies"), "--coverage", "--json"]
    result = CliRunner().invoke(main, ["test", *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    rules = found["coverage"]["rules"]
    assert rules["percent"] == 100, [point for point in rules["points"] if point["missing"]]
    assert len(found["tests"]) >= 2
    assert {test["good"] for test in found["tests"]} == {True}


def test_stories_show_both_sides():
    for path in FOLDERS:
        suite = run(Sources(path / "config.yaml", path / "policies"), {})
        decisions = {result.case.expect.decision for result in suite.results}
        rules = {policy.head.kind for policy in staged(Sources(path / "config.yaml", path / "policies"), {}).policies}
        assert decisions == {"allow", "deny"} or rules <= {"TagRouting", "Transform"}, path.name


@pytest.mark.parametrize("name", SAME)
def test_a_running_gateway_does_the_same(gateway, name):
    folder = ROOT / "examples" / "policies" / name
    stage = staged(Sources(folder / "config.yaml", folder / "policies"), ENVIRON)
    running = gateway((folder / "config.yaml").read_text(), "--policies", str(folder / "policies"), environ=ENVIRON)
    asked = 0
    for file in find_tests(folder / "policies"):
        for case in read_cases(file, known_of(stage))[0]:
            if not isinstance(case.caller, str):
                continue
            answer = running.post(case.path, case.body, stage.key(case.caller), **case.headers)
            expect = case.expect
            assert (answer.status < 400) == (expect.decision == "allow"), case.name
            assert expect.status in (None, answer.status)
            assert expect.rule is None or set(answer.headers.get("x-interlock-rule", "").split(", ")) - {""} == {
                *expect.rule
            }
            asked += 1
    assert asked >= 2


def test_a_decision_of_a_running_gateway_is_explained(gateway):
    folder = ROOT / "examples" / "policies" / "free-tier"
    running = gateway((folder / "config.yaml").read_text(), "--policies", str(folder / "policies"), environ=ENVIRON)
    answer = running.chat("a secret", "small", "sk-free-0123456789abcdef", max_tokens=999)
    assert answer.status == 402
    decision = answer.headers["x-interlock-decision-id"]
    running.records(1)
    options = ["explain", "--decision", decision, "--data", str(running.folder / "data")]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith(f"decision {decision} at ")
    assert lines[0].endswith(": deny, status 402")
    assert {
        "rules: free-models/short-answers",
        "free-models/models: nothing to say",
        "  llm.params.max_tokens = 999",
    } <= {*lines}
    assert any(line.startswith("free-models/short-answers: miss") for line in lines)
    assert "secret" not in result.output
    as_json = json.loads(CliRunner().invoke(main, [*options, "--json"]).output)
    assert as_json["determining"] == ["free-models/short-answers"]
    unknown = CliRunner().invoke(main, ["explain", "--decision", "nix", "--data", str(running.folder / "data")])
    assert (unknown.exit_code, "has the id `nix`" in unknown.stderr) == (1, True)


def test_the_quickstart_is_served_without_and_with_its_policies(gateway):
    folder = ROOT / "examples" / "quickstart"
    environ = {**ENVIRON, "OPENAI_API_KEY": "sk-upstream-0123456789", "APP_KEY": "sk-application-0123456789"}
    text = (folder / "config.yaml").read_text()
    running = gateway(text, "--policies", str(folder / "policies"), environ=environ)
    refused = running.chat("my password: hunter2", "local", environ["APP_KEY"])
    assert (refused.status, refused.headers["x-interlock-rule"]) == (403, "access/no-passwords")
    bare = gateway(text, environ=environ)
    assert "x-interlock-rule" not in bare.chat("my password: hunter2", "nix", environ["APP_KEY"]).headers
    assert '"policies":0' in bare.log


def test_watching_runs_again_after_a_change(tmp_path):
    story = ROOT / "examples" / "policies" / "reasoning-team"
    shutil.copytree(story, tmp_path, dirs_exist_ok=True)
    command = [sys.executable, "-u", "-m", "engine.cli.main", "test", "--watch"]
    out = tmp_path / "out"
    with out.open("w") as file:
        process = subprocess.Popen(command, cwd=tmp_path, env={"PATH": "", "PYTHONPATH": str(ROOT)}, stdout=file)
    try:
        wait_for(out, "4 passed")
        policy = tmp_path / "policies" / "reasoning_models.yaml"
        deadline = time.monotonic() + 30
        while "failed" not in out.read_text() and time.monotonic() < deadline:
            # once is not enough: the watch begins a moment after the first run has been told
            policy.write_text(policy.read_text().replace('"research"', '"nobody"') + "\n")
            time.sleep(0.5)
        assert "3 passed, 1 failed" in out.read_text()
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(15)


def wait_for(file, text: str) -> None:
    """Wait until a file holds a text."""
    deadline = time.monotonic() + 30
    while text not in file.read_text():
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.05)
