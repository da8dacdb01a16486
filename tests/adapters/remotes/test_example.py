"""The example names every remote detector, with settings that are good, and asks the one it is told."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import yaml

from bench.ports import free_port
from engine.extensions import Extensions, names
from tests.adapters.remotes.cases import ELSEWHERE

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "remotes"
MADE_UP = {
    "GUARD_API_BASE": "http://guard.internal",
    "PRESIDIO_ANALYZER_API_BASE": "analyzer:5002",
    "AZURE_GUARDRAIL_API_BASE": "https://name.cognitiveservices.azure.com",
}


def resolved(value):
    if not isinstance(value, str) or not value.startswith("os.environ/"):
        return value
    return MADE_UP.get(value.removeprefix("os.environ/"), "made-up")


async def run(*arguments, **environ):
    command = [sys.executable, str(FOLDER / "ask.py"), *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environ}
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


def test_every_remote_detector_is_there_with_good_settings(deps):
    shown = yaml.safe_load((FOLDER / "detectors.yaml").read_text()).values()
    assert {settings["type"] for settings in shown} | ELSEWHERE >= set(names("remotes"))
    for settings in shown:
        Extensions(deps).remote_detector(settings["type"], {key: resolved(value) for key, value in settings.items()})


async def test_it_says_what_was_found(service):
    service.says([{"entity_type": "PERSON", "start": 5, "end": 13, "score": 0.85}], [])
    base = {"PRESIDIO_ANALYZER_API_BASE": service.url}
    assert await run("people", "I am Jane Doe", **base) == (1, "PERSON 5-13 0.85\n")
    assert await run("people", "I am here", **base) == (0, "")
    service.says({"action": "GUARDRAIL_INTERVENED", "texts": ["I am ***"]}, {"action": "BLOCKED"})
    own = {"GUARD_API_BASE": service.url, "GUARD_API_KEY": "k"}
    assert await run("own", "I am Jane", "output", **own) == (1, "instead: I am ***\n")
    assert await run("own", "I am Jane", **own) == (1, "refused: content violates policy\n")
    assert [asked.get("input_type") for asked in service.asked] == [None, None, "response", "request"]


async def test_it_says_when_nothing_is_known():
    code, out = await run("people", "x", PRESIDIO_ANALYZER_API_BASE=f"localhost:{free_port()}")
    assert code == 2
    assert out.startswith("nothing is known: `presidio` could not be asked: cannot reach")
