"""Configuration and policies change under a running gateway: every way of saving, every kind of broken file."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.running import MASTER, Gateway

CONFIG = f"""
model_list:
  - {{model_name: echo, litellm_params: {{model: echo/echo}}}}
general_settings: {{master_key: {MASTER}}}
litellm_settings: {{virtual_keys: [{{api_key: sk-reload-1, key_alias: one, models: [echo]}}]}}
"""
TEN_TIMES = 3.0
"""Ten times the promised 300 ms."""


def denying(message: str, name: str = "rule") -> str:
    return f"kind: ModelAccess\nname: {name}\nrules:\n  - {{deny: 'true', message: {message}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "policies"
    made.mkdir()
    (made / "a.yaml").write_text(denying("first"))
    return made


@pytest.fixture
def running(gateway, folder) -> Gateway:
    started: Gateway = gateway(CONFIG, "--policies", str(folder))
    _until(lambda: '"event":"watching"' in started.log, 20)
    return started


def said(running: Gateway) -> str:
    answer = running.chat()
    return "" if answer.status == 200 else str(answer.json()["error"]["message"])


def _until(happens, seconds: float = TEN_TIMES) -> float:
    """Wait for something to become true; return how long it took."""
    started = time.monotonic()
    while not happens() and time.monotonic() - started < seconds:
        time.sleep(0.005)
    return time.monotonic() - started


def becomes(running: Gateway, message: str) -> None:
    _until(lambda: said(running) == message)
    assert said(running) == message


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def by_backup(path: Path, text: str) -> None:
    """As vim does: the old file moves away, the new one is written, the old one goes."""
    path.rename(path.with_name(path.name + "~"))
    path.write_text(text)
    path.with_name(path.name + "~").unlink()


def in_two_writes(path: Path, text: str) -> None:
    """As an editor that truncates first; between the writes the file holds no policy, or half of one."""
    with path.open("w") as file:
        file.flush()
        time.sleep(0.02)
        file.write(text[: len(text) // 2])
        file.flush()
        time.sleep(0.02)
        file.write(text[len(text) // 2 :])


@pytest.mark.parametrize("save", [in_place, by_rename, by_backup, in_two_writes])
def test_every_way_of_saving_takes_effect_and_never_opens_the_gate(running, folder, save):
    for number in range(3):
        save(folder / "a.yaml", denying(f"edit-{number}"))
        seen = set()
        _until(lambda seen=seen, number=number: not seen.add(now := said(running)) and now == f"edit-{number}")  # type: ignore[func-returns-value]
        assert said(running) == f"edit-{number}"
        assert "" not in seen


def test_a_config_map_is_swapped_whole(gateway, tmp_path):
    mount = tmp_path / "mount"
    for version in ("one", "two"):
        data = mount / f"..2026_{version}"
        data.mkdir(parents=True)
        (data / "a.yaml").write_text(denying(f"{version}-a", "a"))
        (data / "b.yaml").write_text(denying(f"{version}-b", "b"))
    (mount / "..data").symlink_to("..2026_one")
    for name in ("a.yaml", "b.yaml"):
        (mount / name).symlink_to(f"..data/{name}")
    running = gateway(CONFIG, "--policies", str(mount))
    assert said(running) == "one-a; one-b"
    (mount / "..data_tmp").symlink_to("..2026_two")
    (mount / "..data_tmp").replace(mount / "..data")
    becomes(running, "two-a; two-b")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a.yaml:1: error: is empty, or too large"),
        ("# nothing\n", "a.yaml:1: error: holds no policy"),
        ("kind: ModelAccess\nname: rule\nrules: [{deny: 'tru", "a.yaml:3: error"),
        (
            denying("x").replace("'true'", "'true &&'"),
            "a.yaml:4:20: error: rules[0].deny: the expression ends too early",
        ),
        (denying("x").replace("rules", "rulez"), "a.yaml:3: error: rulez: unknown field; did you mean `rules`?"),
        (denying("x").replace("kind: ModelAccess", "kind: ModelAccess2"), "did you mean `ModelAccess`?"),
    ],
)
def test_a_broken_file_is_refused_with_its_place_and_the_last_good_state_stays(running, folder, text, problem):
    (folder / "a.yaml").write_text(text)
    _until(lambda: "reload refused" in running.log)
    assert problem in running.log
    assert said(running) == "first"
    ready = running.get("/health/readiness", key=None).json()
    assert (ready["config_in_sync"], ready["revision"]) == (False, 1)
    assert "interlock_config_in_sync 0" in running.get("/metrics").body.decode()
    (folder / "a.yaml").write_text(denying("mended"))
    becomes(running, "mended")
    assert running.get("/health/readiness", key=None).json()["config_in_sync"] is True


def test_a_directory_that_vanishes_keeps_the_last_good_state_and_is_found_again(running, folder):
    folder.rename(folder.with_name("away"))
    _until(lambda: "reload refused" in running.log, 10)
    assert "cannot be read" in running.log
    assert said(running) == "first"
    folder.mkdir()
    (folder / "a.yaml").write_text(denying("back"))
    _until(lambda: said(running) == "back", 10)
    assert said(running) == "back"


def test_a_deleted_file_is_believed_after_half_a_second(running, folder):
    (folder / "b.yaml").write_text(denying("second", "other"))
    becomes(running, "first; second")
    (folder / "a.yaml").unlink()
    started = time.monotonic()
    _until(lambda: said(running) == "second")
    assert said(running) == "second"
    assert time.monotonic() - started > 0.4


def test_the_configuration_reloads_with_keys_and_models(running):
    config = running.folder / "config.yaml"
    assert running.chat(key="sk-reload-2").status == 401
    text = CONFIG.replace(
        "  - {model_name", "  - {model_name: more, litellm_params: {model: echo/more}}\n  - {model_name"
    )
    text = text.replace("models: [echo]}", "models: [more]}, {api_key: sk-reload-2, models: [more]}")
    config.write_text(text)
    _until(lambda: '"event":"reloaded"' in running.log)
    assert running.chat(key="sk-reload-2", model="more").status == 403
    assert running.chat(key="sk-reload-2", model="echo").json()["error"]["type"] == "key_model_access_denied"
    assert [one["id"] for one in running.get("/v1/models", key="sk-reload-1").json()["data"]] == ["more"]
    assert '"keys_gaining_models":{"one":["more"]}' in running.log
    assert '"keys_losing_models":{"one":["echo"]}' in running.log


def test_limits_that_would_not_hold_are_refused_on_reload_too(running):
    config = running.folder / "config.yaml"
    config.write_text(CONFIG + "policies: [{a: b}]\n")
    _until(lambda: "reload refused" in running.log)
    assert "policies: is a limit or guardrail that is not enforced yet" in running.log


def test_a_signal_reloads(running):
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    _until(lambda: '"reason":"SIGHUP"' in running.log)
    assert running.get("/health/readiness", key=None).json()["revision"] == 2


def test_an_administrator_reloads_and_learns_what_changed(running, folder):
    assert running.post("/config/reload", {}, key=None).status == 401
    assert running.post("/config/reload", {}, key="sk-reload-1").status == 403
    (folder / "b.yaml").write_text(denying("second", "other"))
    report = running.post("/config/reload", {})
    assert (report.status, report.json()["status"]) == (200, "reloaded")
    (folder / "b.yaml").write_text("kind: Nothing\nname: x\n")
    refused = running.post("/config/reload", {})
    assert refused.status == 422
    assert refused.json()["problems"][0].startswith(
        f"{folder}/b.yaml:1: error: kind: unknown kind `Nothing`; known are"
    )


def test_readiness_tells_strangers_of_a_refusal_but_not_its_text(running, folder):
    (folder / "a.yaml").write_text(denying("x").replace("'true'", "'sk-in-a-rule == 1'"))
    _until(lambda: "reload refused" in running.log)
    page = running.get("/health/readiness", key=None)
    assert page.json()["config_problems"] > 0
    assert b"sk-in-a-rule" not in page.body
