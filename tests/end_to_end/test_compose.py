"""The Compose example: what it says of files, ports, variables and paths is true of the repository and the gateway."""

from __future__ import annotations

import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import yaml

from tests.running import ROOT

PLACE = ROOT / "examples" / "compose"
ENVIRON = {
    "OPENAI_API_KEY": "sk-upstream-0123456789",
    "INTERLOCK_MASTER_KEY": "sk-compose-master-0123",
    "APP_KEY": "sk-application-0123456789",
}
PATH = re.compile(r"http://127\.0\.0\.1:(\d+)(/[a-z/]+)")


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((PLACE / "docker-compose.yaml").read_text())


@pytest.fixture(scope="module")
def dockerfile():
    return (ROOT / "Dockerfile").read_text()


def mounts(service):
    return [volume.split(":") for volume in service.get("volumes", ())]


def test_the_configuration_and_its_policies_are_good():
    done = subprocess.run(
        [
            *(sys.executable, "-m", "engine.cli.main", "check", "--strict"),
            *("--config", str(PLACE / "config.yaml"), "--policies", str(PLACE / "policies")),
        ],
        cwd=ROOT, env={"PATH": "", **ENVIRON}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    # Nothing in it is accepted and then not done.
    assert "not in force" not in done.stdout


def test_every_service_has_an_origin_a_health_check_and_no_port_for_all(compose):
    assert set(compose) == {"name", "services", "volumes"}
    assert set(compose["services"]) == {"gateway", "postgres", "valkey"}
    for name, service in compose["services"].items():
        assert ":" in service.get("image", "") or "build" in service, name
        check = service["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert all(isinstance(word, str) for word in (*check["test"], *service.get("command", ())))
        assert {"interval", "timeout"} <= set(check)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "ports" not in compose["services"]["postgres"]
    assert "ports" not in compose["services"]["valkey"]


def test_files_that_are_mounted_exist_and_volumes_are_declared(compose):
    named = set()
    for service in compose["services"].values():
        for source, target, *_ in mounts(service):
            assert target.startswith("/")
            if source.startswith("."):
                assert (PLACE / source).exists(), source
            else:
                named.add(source)
    assert named == set(compose["volumes"])


def test_the_gateway_waits_for_its_stores_and_finds_them(compose):
    gateway, postgres, valkey = (compose["services"][name] for name in ("gateway", "postgres", "valkey"))
    assert gateway["depends_on"] == {name: {"condition": "service_healthy"} for name in ("postgres", "valkey")}
    database, redis = (
        urlsplit(re.sub(r"\$\{[^}]*\}", "secret", gateway["environment"][name]))
        for name in ("DATABASE_URL", "REDIS_URL")
    )
    assert database.hostname == "postgres"
    assert database.username == postgres["environment"]["POSTGRES_USER"]
    assert database.path == f"/{postgres['environment']['POSTGRES_DB']}"
    assert redis.hostname == "valkey"
    assert "noeviction" in valkey["command"], "a counter that is evicted is a limit that is not kept"
    assert "[postgres]" in (ROOT / "Dockerfile").read_text()


def test_its_workers_share_a_store_and_counters(gateway, compose, postgres, own_valkey):
    options = [word for word in compose["services"]["gateway"]["command"] if word.startswith("--workers")]
    environ = {**ENVIRON, "DATABASE_URL": postgres.database(), "REDIS_URL": own_valkey.url}
    text = (PLACE / "config.yaml").read_text()
    running = gateway(text, "--policies", str(PLACE / "policies"), *options, environ=environ)
    assert running.get("/health/readiness", None).json()["workers"] == {"configured": 2, "running": 2}
    key = running.post("/key/generate", {"rpm_limit": 3}, ENVIRON["INTERLOCK_MASTER_KEY"]).json()["key"]
    assert [running.chat("hi", "echo", key).status for _ in range(6)] == [200] * 3 + [429] * 3


def test_what_compose_says_of_the_image_is_so(compose, dockerfile):
    gateway = compose["services"]["gateway"]
    assert (PLACE / gateway["build"] / "Dockerfile").samefile(ROOT / "Dockerfile")
    targets = {target for _, target, *_ in mounts(gateway)}
    assert "VOLUME /data" in dockerfile
    assert "INTERLOCK_DATA=/data" in dockerfile
    assert targets == {"/data", "/app/config.yaml", "/app/policies"}
    assert [word.partition("=")[2] for word in gateway["command"][:2]] == ["/app/config.yaml", "/app/policies"]
    (published,) = gateway["ports"]
    assert f"EXPOSE {published.rpartition(':')[2]}\n" in dockerfile


def test_every_variable_is_in_the_example_of_env():
    text = (PLACE / "docker-compose.yaml").read_text()
    given = [line.partition("=")[0] for line in (PLACE / ".env.example").read_text().splitlines() if line[0] != "#"]
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) == set(given)
    used = set(re.findall(r"^[^#]*os\.environ/([A-Z_]+)", (PLACE / "config.yaml").read_text(), re.MULTILINE))
    assert used <= set(yaml.safe_load(text)["services"]["gateway"]["environment"])


def test_the_gateway_answers_where_health_checks_ask(gateway, compose, dockerfile):
    running = gateway((PLACE / "config.yaml").read_text(), "--policies", str(PLACE / "policies"), environ=ENVIRON)
    asked = PATH.findall(compose["services"]["gateway"]["healthcheck"]["test"][-1]) + PATH.findall(dockerfile)
    assert len(asked) == 2
    for port, path in asked:
        assert port == "4000"
        assert running.get(path, None).status == 200
    assert running.chat("hi", "echo", ENVIRON["APP_KEY"]).json()["choices"][0]["message"]["content"] == "hi"
