"""`interlock check` on real files."""

import json
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from engine.cli.check import command

GOOD = """
model_list:
  - {model_name: a, litellm_params: {model: echo/a}}
  - {model_name: a, litellm_params: {model: echo/b}}
  - {model_name: b, litellm_params: {model: echo/b}}
keys: [{key: sk-a}, {key: sk-b}]
teams: [{team_id: t}]
"""


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(text: str | None, *options: str):
        if text is not None:
            (tmp_path / "config.yaml").write_text(text, "utf-8")
        result = CliRunner().invoke(command, options)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run


def test_where_processes_count_together_is_said_without_secrets(check):
    text = GOOD + "router_settings: {redis_url: 'redis://u:geheim@counts:7/1'}\n"
    code, out = check(text)
    assert (code, out.splitlines()[0]) == (0, "counters: Redis at counts:7")
    code, out = check(text, "--json")
    assert json.loads(out)["counters"] == "Redis at counts:7"
    assert "geheim" not in out


def test_a_good_file_is_good(check):
    assert check(GOOD) == (0, "config.yaml: 2 models, 2 keys, 1 team: good\n")


def test_problems_then_what_is_not_in_force_then_the_summary(check):
    code, output = check(GOOD + "nonsense: 1\nrouter_settings: {num_retries: x, fallbacks: [{a: [b]}]}\n")
    assert code == 1
    assert output.splitlines() == [
        "config.yaml:8: warning: nonsense: unknown key, ignored: check its spelling, or remove it",
        "config.yaml:9: error: router_settings.num_retries: expected a whole number, found text `x`",
        "accepted, not in force: router_settings.fallbacks, config.yaml:9",
        "config.yaml: 1 error, 1 warning",
    ]


def test_warnings_fail_only_when_strict(check):
    text = GOOD + "nonsense: 1\n"
    code, output = check(text)
    assert code == 0
    assert output.splitlines()[-1] == "config.yaml: 2 models, 2 keys, 1 team: good, 1 warning"
    assert check(text, "--strict")[0] == 1
    assert check(GOOD, "--strict")[0] == 0


def test_what_is_not_in_force_is_no_finding(check):
    assert check(GOOD + "router_settings: {fallbacks: [{a: [b]}]}\n", "--strict")[0] == 0


def test_no_file_cannot_be_checked(check):
    code, output = check(None)
    assert code == 2
    assert output.splitlines() == [
        "error: config.yaml: cannot be read (no such file or directory): name a file that exists and that this user may read",
        "config.yaml: not checked: name the file with `--config FILE`",
    ]


def test_json_says_the_same(check):
    code, output = check(GOOD + "policies: [{a: b}]\nkeys2: []\n", "--json")
    assert code == 0
    assert json.loads(output) == {
        "file": "config.yaml",
        "good": True,
        "summary": "2 models, 2 keys, 1 team: good, 1 warning",
        "problems": [
            {
                "severity": "warning",
                "file": "config.yaml",
                "line": 9,
                "column": 1,
                "field": "keys2",
                "message": "unknown key, ignored: did you mean `keys`?",
            }
        ],
        "not_in_force": [{"kind": "guardrail", "file": "config.yaml", "line": 8, "column": 1, "field": "policies"}],
    }


def test_json_without_a_file(check):
    code, output = check(None, "--config", "none.yaml", "--json")
    assert code == 2
    assert json.loads(output)["problems"][0]["line"] is None


def test_variables_come_from_the_environment(check, monkeypatch):
    text = "model_list: [{model_name: a, litellm_params: {model: openai/b, api_key: os.environ/CHECK_KEY}}]"
    monkeypatch.delenv("CHECK_KEY", raising=False)
    assert check(text)[0] == 1
    monkeypatch.setenv("CHECK_KEY", "x")
    assert check(text)[0] == 0


def test_it_answers_at_once_and_without_the_server(tmp_path):
    """Ten times the promised 0.3 s, for a busy machine."""
    (tmp_path / "config.yaml").write_text(GOOD, "utf-8")
    code = (
        "import sys; from engine.cli.check import command\n"
        f"try: command(['--config', {str(tmp_path / 'config.yaml')!r}])\n"
        "finally: print(sorted({'aiohttp', 'uvloop'} & set(sys.modules)))"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 3
    assert done.stdout.splitlines()[-1] == "[]"
