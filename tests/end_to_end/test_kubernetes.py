"""The Kubernetes examples: what they say of files, ports, variables and probes is true of the image and the gateway."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.running import ROOT

PLACE = ROOT / "examples" / "kubernetes"
MANIFESTS = ("shared", "sidecar")
KEYS = {
    "OPENAI_API_KEY": "sk-upstream-0123456789",
    "INTERLOCK_MASTER_KEY": "sk-kubernetes-master-0123",
    "APP_KEY": "sk-application-0123456789",
}
ASKED = re.compile(r"/health/[a-z]+")


def objects(name: str) -> list[dict]:
    return [*yaml.safe_load_all((PLACE / f"{name}.yaml").read_text())]


def pod(name: str) -> dict:
    return next(one for one in objects(name) if one["kind"] == "Deployment")["spec"]["template"]["spec"]


def container(name: str) -> dict:
    every = [*pod(name).get("initContainers", ()), *pod(name)["containers"]]
    return next(one for one in every if one["name"] == "interlock")


@pytest.fixture(params=MANIFESTS)
def name(request) -> str:
    return request.param


@pytest.fixture
def mounted(name, tmp_path):
    """Lay the ConfigMaps out as they are mounted; return where each is."""
    maps = {one["metadata"]["name"]: one["data"] for one in objects(name) if one["kind"] == "ConfigMap"}
    volumes = {one["name"]: one["configMap"]["name"] for one in pod(name)["volumes"] if "configMap" in one}
    places = {}
    for mount in container(name)["volumeMounts"]:
        if mount["name"] in volumes:
            place = tmp_path / mount["name"]
            place.mkdir()
            for file, text in maps[volumes[mount["name"]]].items():
                (place / file).write_text(text)
            places[mount["mountPath"]] = place
    return places


def options(name: str, mounted) -> dict[str, str]:
    """Return the options of the container, with its paths where they are here."""
    found = dict(one.split("=", 1) for one in container(name)["args"])
    for option in ("--config", "--policies"):
        for path, place in mounted.items():
            found[option] = found[option].replace(path, str(place))
    return found


def test_what_is_mounted_is_good(name, mounted):
    given = options(name, mounted)
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli.main", "check", "--strict", "--config", given["--config"], "--policies", given["--policies"]],
        cwd=ROOT, env={"PATH": "", **KEYS}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "not in force" not in done.stdout


def test_it_runs_as_the_image_does_and_writes_where_it_may(name):
    dockerfile = (ROOT / "Dockerfile").read_text()
    spec, own = pod(name), container(name)
    assert f"--uid {spec['securityContext']['runAsUser']} " in dockerfile
    assert own["securityContext"]["readOnlyRootFilesystem"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    mounts = {one["mountPath"]: one for one in own["volumeMounts"]}
    assert {one["name"] for one in own["volumeMounts"]} == set(volumes)
    assert {path for path, one in mounts.items() if not one.get("readOnly")} == {"/data", "/tmp"}
    assert "INTERLOCK_DATA=/data" in dockerfile
    assert spec["terminationGracePeriodSeconds"] > 30, "calls under way are given 30 seconds"


def test_every_secret_is_named_in_the_command_that_makes_it(name):
    text = (PLACE / f"{name}.yaml").read_text()
    made = set(re.findall(r"--from-literal=([a-z-]+)=", text))
    assert set(re.findall(r"name: interlock, key: ([a-z-]+)", text)) == made


def test_its_probes_ask_what_the_gateway_answers(name, mounted, gateway, postgres, own_valkey):
    given = options(name, mounted)
    environ = dict(KEYS)
    if "--workers" in given:
        environ |= {"DATABASE_URL": postgres.database(), "REDIS_URL": own_valkey.url}
    workers = [f"--workers={given['--workers']}"] if "--workers" in given else []
    text = Path(given["--config"]).read_text()
    running = gateway(text, "--policies", given["--policies"], *workers, environ=environ)
    probes = [container(name)[probe] for probe in container(name) if probe.endswith("Probe")]
    asked = {path for probe in probes for path in ASKED.findall(str(probe))}
    assert asked == {"/health/liveliness", "/health/readiness"}
    for path in asked:
        assert running.get(path, None).status == 200
    ports = {one["containerPort"] for one in container(name).get("ports", ())} or {4000}
    assert ports == {4000}
    assert "EXPOSE 4000" in (ROOT / "Dockerfile").read_text()
    assert running.get("/v1/models", KEYS["INTERLOCK_MASTER_KEY"]).status == 200


def test_the_service_finds_the_pods():
    every = objects("shared")
    service = next(one for one in every if one["kind"] == "Service")
    deployment = next(one for one in every if one["kind"] == "Deployment")
    budget = next(one for one in every if one["kind"] == "PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]
    assert service["spec"]["ports"][0]["targetPort"] in {one["name"] for one in container("shared")["ports"]}
