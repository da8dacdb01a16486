"""What keeps a gateway from starting: each said clearly, with exit code 2, and nothing secret in it."""

from __future__ import annotations

import socket

import pytest

from tests.running import MASTER

ECHO = "model_list: [{model_name: echo, litellm_params: {model: echo/echo}}]\n"
GENERAL = f"general_settings: {{master_key: {MASTER}}}\n"


@pytest.fixture
def refused(gateway):
    """Start a gateway that must not start; return what it said."""

    def start(config: str | None, *options: str, environ: dict[str, str] | None = None) -> str:
        running = gateway(config, *options, environ=environ)
        assert running.process.poll() == 2, running.log or "it is running"
        assert "Traceback" not in running.log
        return running.log

    return start


@pytest.mark.parametrize(("config", "place"), [("model_list: [\n", "config.yaml:2"), ("a: b: c\n", "config.yaml:1")])
def test_what_is_no_yaml(refused, config, place):
    log = refused(config)
    assert f"{place}: error: " in log
    assert "the configuration has errors; mend them and start again" in log


FAULTY = """\
model_list:
- {model_name: a, litellm_params: {model: echo/a}, model_info: {id: same}}
- {model_name: b, litellm_params: {model: echo/b}, model_info: {id: same}}
- {model_name: c, litellm_params: {model: openai/c, api_key: os.environ/NO_SUCH_THING}}
- {model_name: d, litellm_params: {model: echo/d, input_cost_per_token: -1}}
router_settings: {num_retries: many}
general_settings: {max_request_size_mb: [sk-abc12345]}
keys: [{key: sk-abc12345}, {key: sk-abc12345}]
"""
FAULTS = [
    "config.yaml:3: error: model_list[1].model_info.id: is also that of `model_list[0].model_info` (",
    "config.yaml:4: error: model_list[2].litellm_params.api_key: environment variable `NO_SUCH_THING` is not set",
    "config.yaml:5: error: model_list[3].litellm_params.input_cost_per_token: must not be negative",
    "config.yaml:6: error: router_settings.num_retries: expected a whole number, found text `many`",
    "config.yaml:7: error: general_settings.max_request_size_mb: expected a number, found a list",
    "config.yaml:8: error: keys[1]: has the same key as `keys[0]`",
]


def test_wrong_types_doubles_and_missing_variables_are_told_at_once(refused):
    log = refused(FAULTY)
    for fault in FAULTS:
        assert fault in log
    assert log.count("error: ") == len(FAULTS)
    assert "sk-abc12345" not in log


def test_unknown_providers_and_bad_addresses_are_told_at_once(refused):
    log = refused(
        "model_list:\n- {model_name: a, litellm_params: {model: opnai/gpt-4o}}\n"
        "- {model_name: b, litellm_params: {model: openai/x, api_base: ftp://127.0.0.1}}\n"
        "router_settings: {model_group_alias: {c: none}}\n" + GENERAL
    )
    assert "config.yaml:2: error: model_list[0].litellm_params: unknown provider `opnai`; did you mean `openai`?" in log
    assert (
        "config.yaml:3: error: model_list[1].litellm_params: api_base: `ftp://127.0.0.1` is not an http or https" in log
    )
    assert "alias of `none`, which is not in `model_list`" in log


def test_no_configuration_file(refused, tmp_path):
    log = refused(None, "--config", str(tmp_path / "none.yaml"))
    assert "none.yaml: cannot be read (no such file or directory)" in log


def test_an_unknown_key_is_a_warning_with_a_suggestion(gateway):
    running = gateway(ECHO + GENERAL + "router_settings: {num_retrys: 3}\nmodel_lists: []\n")
    assert running.chat().status == 200
    assert "config.yaml:3: warning: router_settings.num_retrys: unknown key" in running.log
    assert "did you mean `num_retries`?" in running.log
    assert "did you mean `model_list`?" in running.log


LIMITED = (
    ECHO + GENERAL + "keys: [{key: sk-limited-1, policies: [g]}]\nlitellm_settings: {priority_reservation: {a: 0.5}}\n"
)


def test_limits_that_would_not_be_enforced(refused):
    log = refused(LIMITED)
    said = "is a limit or guardrail that is not enforced yet; remove it, or start with --allow-unenforced"
    assert f"config.yaml:3: error: keys[0].policies: {said}" in log
    assert f"config.yaml:4: error: litellm_settings.priority_reservation: {said}" in log
    assert "sk-limited-1" not in log


def test_limits_may_be_left_unenforced_on_purpose_and_readiness_says_so(gateway):
    running = gateway(LIMITED, "--allow-unenforced")
    assert [running.chat(key="sk-limited-1").status for _ in range(4)] == [200] * 4
    said = running.get("/health/readiness", key=None).json()["accepted_not_in_force"]
    assert any(one.startswith("keys[0].policies, ") and one.endswith("config.yaml:3") for one in said)
    assert "accepted, not in force" in running.log


def test_policies_that_are_wrong(refused, tmp_path):
    (tmp_path / "a.yaml").write_text("kind: ModelAcess\nname: a\n")
    (tmp_path / "b.yaml").write_text("kind: ModelAccess\nname: b\nrules:\n  - deny: apiKey.teem == ''\n")
    log = refused(ECHO + GENERAL, "--policies", str(tmp_path))
    assert f"{tmp_path}/a.yaml:1: error: kind: unknown kind `ModelAcess`; did you mean `ModelAccess`?" in log
    assert f"{tmp_path}/b.yaml:4:18: error: rules[0].deny: " in log
    assert "did you mean `team`?" in log


def test_policies_that_are_not_there(refused, tmp_path):
    assert f"{tmp_path}/none: cannot be read (no such file or directory)" in refused(
        ECHO + GENERAL, "--policies", str(tmp_path / "none")
    )


def test_a_port_in_use(refused):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        log = refused(ECHO + GENERAL, "--port", str(port))
    assert f"cannot listen on 127.0.0.1:{port}: address already in use; choose another with --host or --port" in log


def test_a_second_gateway_on_one_data_directory(gateway, refused):
    first = gateway(ECHO + GENERAL)
    data = str(first.folder / "data")
    log = refused(ECHO + GENERAL, "--data", data)
    assert f"data directory `{data}` is in use by another gateway; stop it, or choose another with --data" in log
    assert first.chat().status == 200


def test_a_data_directory_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").write_text("")
    log = refused(ECHO + GENERAL, "--data", str(tmp_path / "file" / "data"))
    assert f"data directory `{tmp_path / 'file' / 'data'}`: not a directory; choose another with --data" in log


def test_only_loopback_is_served_without_a_master_key(refused, gateway):
    log = refused(ECHO, "--host", "0.0.0.0")  # noqa: S104 - it must not come to that
    assert "no master key is set, so only loopback may be served, not 0.0.0.0; set general_settings.master_key" in log
    running = gateway(ECHO, "--host", "127.0.0.1")
    key = running.out.split()[-1]
    assert running.out.startswith("master key, made for this run and shown once: sk-")
    assert running.chat(key=key).status == 200
    assert key not in running.log


def test_the_environment_may_hold_the_master_key(gateway):
    running = gateway(ECHO, environ={"LITELLM_MASTER_KEY": "sk-of-the-environment"})
    assert running.chat(key="sk-of-the-environment").status == 200
    assert running.out == ""


def test_an_address_of_another_machine(refused):
    log = refused(ECHO + GENERAL, "--host", "192.0.2.1")
    assert "cannot listen on 192.0.2.1:" in log
    assert "cannot assign requested address" in log


def test_many_workers_need_counters_that_they_share(refused):
    assert "2 workers need counters that they share: set REDIS_URL" in refused(ECHO + GENERAL, "--workers", "2")
