"""`test`, `explain`, `eval` and `fmt` as their users call them, wrong input included."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from engine.cli.main import main
from tests.running import ROOT

CONFIG = """
model_list: [{model_name: a, litellm_params: {model: echo/a}}]
general_settings: {master_key: os.environ/NOT_SET_ANYWHERE}
keys: [{key: sk-app-0123456789, key_alias: app}]
"""
POLICY = """kind: ModelAccess
name: p
rules:
  - {name: short, deny: llm.params.?max_tokens.orValue(0) > 9, message: ask for less}
"""
CASES = """
tests:
  - {name: short, caller: app, request: {body: {model: a, max_tokens: 1}}, expect: {decision: allow}}
  - {name: long, caller: app, request: {body: {model: a, max_tokens: 10}}, expect: {rule: p/short}}
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTERLOCK_DATA", raising=False)
    (tmp_path / "policies").mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    (tmp_path / "policies" / "p_test.yaml").write_text(CASES)

    def run(*options: str, stdin: str | None = None):
        result = CliRunner().invoke(main, options, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    run.folder = tmp_path
    return run


def test_tests_pass_and_fail(call):
    code, out, _ = call("test", "--coverage")
    assert (code, out.splitlines()[0], out.splitlines()[3]) == (
        0, "policies/p_test.yaml", "coverage: 100.0 % (1 of 1 rules, 1 of 1 conditions)",
    )  # fmt: skip
    (call.folder / "policies" / "p_test.yaml").write_text(CASES.replace("p/short", "p/long"))
    code, out, _ = call("test", "--junit", "junit.xml")
    assert code == 1
    assert 'rule: expected ["p/long"], got ["p/short"]' in out
    assert b'failures="1"' in (call.folder / "junit.xml").read_bytes()
    code, out, _ = call("test", "--json", "--run", "^short")
    assert (code, json.loads(out)["tests"][0]["good"]) == (0, True)


def test_no_cases_are_a_failure_unless_they_may_be_none(call):
    (call.folder / "policies" / "p_test.yaml").unlink()
    assert call("test")[:2] == (1, "no cases\n")
    assert call("test", "--allow-empty")[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("test", "--policies", "nix"), "nix: cannot be read"),
        (("test", "--config", "nix"), "nix: cannot be read"),
        (("test", "--run", "("), "`(` is no regular expression"),
        (("test", "--junit", "no/such/folder.xml"), "cannot be written"),
        (("explain",), "name a request with `--request FILE`"),
        (("explain", "-d", "{}", "--clock", "noon"), "`noon` is no instant"),
        (("explain", "-d", "{}", "-H", "x"), "`x` is no header"),
        (("explain", "-d", "@nix"), "cannot be read (no such file or directory)"),
        (("explain", "--request", "nix"), "nix: cannot be read"),
        (("explain", "-d", "{}", "--path", "/nix"), "no inference route answers `POST /nix`"),
        (("explain", "--decision", "x"), "`interlock-data` holds no `records.jsonl`"),
        (
            ("explain", "-d", "{}", "--key", "appp"),
            "`appp` is neither a key (`sk-...`) nor the alias of one; did you mean `app`?",
        ),
        (("eval", "1 +"), "1:4: the expression ends too early"),
        (("eval", "1", "--input", "nix"), "nix: cannot be read"),
        (("fmt", "nix"), "nix: cannot be read"),
    ],
)
def test_what_cannot_run_says_why(call, options, said):
    code, out, err = call(*options)
    assert (code, out) == (2, "" if "--junit" not in options else out)
    assert said in err


def test_a_test_file_with_errors_runs_nothing(call):
    (call.folder / "policies" / "q_test.yaml").write_text("tests:\n- {name: a, caller: ap, expect: {status: 200}}\n")
    code, out, err = call("test")
    assert (code, out) == (2, "")
    assert "policies/q_test.yaml:2: error: tests[0].caller: no key has the alias `ap`; did you mean `app`?" in err


def test_a_call_is_explained(call):
    code, out, err = call("explain", "-d", '{"model": "a", "max_tokens": 10}', "--key", "app")
    assert (code, err) == (0, "")
    assert out.startswith("decision: deny, status 403\nrules: p/short\nmessage: ask for less\n")
    assert "    llm.params.?max_tokens.orValue(0) = 10\n" in out
    code, out, _ = call("explain", "-d", '{"model": "a"}', "--key", "sk-app-0123456789", "--json")
    assert (code, json.loads(out)["decision"], json.loads(out)["policies"][0]["rules"][0]["outcome"]) == (
        0,
        "allow",
        "no match",
    )


def test_a_request_file_is_explained(call):
    text = 'POST /v1/chat/completions\nauthorization: Bearer sk-app-0123456789\n\n{"model": "a", "max_tokens": 11}'
    code, out, _ = call("explain", "--request", "-", stdin=text)
    assert (code, out.splitlines()[0]) == (0, "decision: deny, status 403")


def test_a_decision_is_looked_for_where_the_configuration_keeps_it(call):
    (call.folder / "config.yaml").write_text(CONFIG.replace("{master_key", "{data_dir: state, master_key"))
    assert "`state` holds no `records.jsonl`" in call("explain", "--decision", "x")[2]
    assert "`other` holds no `records.jsonl`" in call("explain", "--decision", "x", "--data", "other")[2]
    (call.folder / "state").mkdir()
    (call.folder / "state" / "records.jsonl").write_text('{"id": "x", "time": 0, "status": 200}\n')
    assert call("explain", "--decision", "x")[1].startswith(
        "decision x at 1970-01-01T00:00:00.000+00:00: allow, status 200\n"
    )


def test_who_says_no_key_is_told(call):
    code, out, err = call("explain", "-d", '{"model": "a"}')
    assert (code, out.splitlines()[0]) == (0, "decision: deny, status 401")
    assert "say who with `--key`" in err


def test_an_expression_is_evaluated(call):
    assert call("eval", "1 + 1") == (0, "2\n", "")
    given = '{"x": {"a": [1, 2]}, "request": {"time": "2026-01-12T09:00:00Z"}}'
    assert call("eval", "x.a.map(i, i * 2)", "--input", "-", stdin=given)[1] == "[\n  2,\n  4\n]\n"
    assert call("eval", "request.time.getHours()", "--input", "-", stdin=given)[1] == "9\n"
    code, out, err = call("eval", "x.b == 1", "--input", "-", stdin=given)
    assert (code, out, err) == (1, "", "error: 1:3: no such key: `b`\n    x.b == 1\n      ^\n")
    assert call("eval", "llm.model", "--input", "-", stdin=given)[0] == 1
    assert call("eval", "y", "--input", "-", stdin=given)[0] == 2
    assert call("eval", "1", "--input", "-", stdin="[]")[0] == 2
    assert call("eval", "1", "--input", "-", stdin="{")[0] == 2


def test_files_are_put_in_order(call):
    untidy = 'name: p\nkind: ModelAccess\nrules: [{deny: apiKey.team=="x"}]\n'
    file = call.folder / "policies" / "p.yaml"
    file.write_text(untidy)
    file.chmod(0o640)
    assert call("fmt", "--check") == (1, "policies/p.yaml\n", "1 to change, 0 in order\n")
    code, out, _ = call("fmt", "--diff")
    assert (code, '+rules: [{deny: apiKey.team == "x"}]' in out, file.read_text()) == (0, True, untidy)
    assert call("fmt")[0] == 0
    assert file.read_text() == 'kind: ModelAccess\nname: p\nrules: [{deny: apiKey.team == "x"}]\n'
    assert (file.stat().st_mode & 0o777, sorted(path.name for path in file.parent.iterdir())) == (
        0o640,
        ["p.yaml", "p_test.yaml"],
    )
    assert call("fmt", "--check") == (0, "", "0 to change, 1 in order\n")
    file.write_text("kind: ModelAcess\nname: p\n")
    code, _, err = call("fmt")
    assert (code, "did you mean `ModelAccess`?" in err) == (2, True)


def test_oddities_are_warnings_of_check(call):
    (call.folder / "policies" / "p.yaml").write_text(POLICY + '  - {deny: "false"}\n')
    environ = {"NOT_SET_ANYWHERE": "sk-master-0123456789abcdef"}
    result = CliRunner(env=environ).invoke(main, ["check", "--costs"])
    assert result.exit_code == 0, result.output
    assert "policies/p.yaml:5: warning: rules[1].deny: `p/rules[1]` is always false" in result.output
    assert "policies/p.yaml:4: p/short (deny): at most " in result.output
    result = CliRunner(env=environ).invoke(main, ["check", "--strict", "--json"])
    assert (result.exit_code, json.loads(result.output)["ungoverned"]) == (1, {"models": [], "routes": []})


def test_help_imports_no_command():
    code = "import sys; from engine.cli.main import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "explain" in done.stdout
    assert not {"yaml", "pydantic", "engine.authoring", "aiohttp"} & set(done.stdout.split())


def test_policies_are_checked_without_a_configuration_too(call):
    (call.folder / "config.yaml").unlink()
    (call.folder / "policies" / "p.yaml").write_text(POLICY + '  - {deny: "false"}\n')
    code, out, _ = call("check", "--policies", "policies", "--strict")
    assert (code, "`p/rules[1]` is always false" in out) == (1, True)


LIMITS = """kind: Budget
name: month
limit: 10
window: 1mo
counters: [{expression: apiKey.alias}]
"""


def test_explain_says_what_is_held_of_which_limit(call):
    priced = CONFIG.replace("model: echo/a}", "model: echo/a, input_cost_per_token: 0.01, output_cost_per_token: 0.02}")
    (call.folder / "config.yaml").write_text(priced)
    (call.folder / "policies" / "limits.yaml").write_text(LIMITS)
    body = '{"model": "a", "max_tokens": 5, "messages": [{"role": "user", "content": "one two three"}]}'
    code, out, _ = call("explain", "--key", "app", "-d", body)
    assert code == 0
    assert "\nheld: 0.13 of 10.0 usd of month [app]\n" in out
    told = json.loads(call("explain", "--key", "app", "-d", body, "--json")[1])
    assert told["held"] == ["0.13 of 10.0 usd of month [app]"]


def test_guardrails_are_tested_and_explained_with_what_waits_of_a_stream(call):
    policies = """kind: Guardrail
name: mails
phases: [input, output]
action: mask
detect: [{pattern: 'M-[0-9]{4}', name: number}]
---
{kind: Guardrail, name: long, phases: [output], detect: [{length: {max: 90}}]}
---
{kind: Guardrail, name: short, phases: [output], detect: [{length: {max: 90}, window: 64}]}
"""
    cases = """tests:
- name: masked
  caller: app
  request: {body: {model: a, messages: [{role: user, content: "see M-1234"}]}}
  expect: {decision: allow, rule: mails, body: {messages: [{role: user, content: "see <number>"}]}}
"""
    (call.folder / "policies" / "g.yaml").write_text(policies)
    (call.folder / "policies" / "g_test.yaml").write_text(cases)
    code, out, _ = call("test")
    assert "ok    masked" in out, out
    body = '{"model": "a", "messages": [{"role": "user", "content": "see M-1234"}]}'
    code, out, _ = call("explain", "-d", body, "--key", "app")
    assert code == 0
    assert "mails: found number; of a stream 6 characters at most wait" in out
    assert "long: found nothing; all of a stream waits for `length`" in out
    assert "short: found nothing; of a stream 64 characters at most wait" in out
