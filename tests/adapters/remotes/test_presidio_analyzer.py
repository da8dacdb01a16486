"""The detector against Presidio's own analyzer with a model for English: 410 MB, installed on first use (`make test-heavy`)."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.remotes.presidio import Presidio
from bench.ports import free_port
from engine.detecting import DetectorError, Question

FOLDER = Path(__file__).with_name("analyzer")
PATIENCE = 1_800
TEXT = "My name is Zoë Müller 😀 and I live in Berlin, mail zoe@example.org, card 4111 1111 1111 1111"

pytestmark = pytest.mark.heavy


def installed() -> Path:
    """Install what requirements.txt pins, unless that is what is there."""
    place, pins = FOLDER / ".venv", (FOLDER / "requirements.txt").read_text()
    python, stamp = place / "bin" / "python", place / ".installed"
    if not (stamp.exists() and stamp.read_text() == pins):
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True, timeout=PATIENCE)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", FOLDER / "requirements.txt"], check=True, timeout=PATIENCE)
        stamp.write_text(pins)
    return python


@pytest.fixture(scope="module")
def analyzer() -> Iterator[str]:
    """Serve the analyzer, once for the module."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([installed(), FOLDER / "serve.py", str(port)]) as process:
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=5).close()
                    break
                except urllib.error.URLError:
                    assert process.poll() is None, "the analyzer did not start"
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


def detector(analyzer, deps, **settings):
    return Presidio({"presidio_analyzer_api_base": analyzer, **settings}, deps)


async def found(made, text=TEXT, **metadata):
    (finding,) = await made.ask(Question("input", [text], metadata=metadata))
    return {(hit.type, text[hit.start : hit.end]) for hit in finding.hits}, finding.refused


async def test_names_and_places_are_found_where_they_stand(analyzer, deps):
    hits, refused = await found(detector(analyzer, deps))
    assert hits >= {
        ("PERSON", "Zoë Müller"),
        ("LOCATION", "Berlin"),
        ("EMAIL_ADDRESS", "zoe@example.org"),
        ("CREDIT_CARD", "4111 1111 1111 1111"),
    }
    assert refused == ""


async def test_entities_thresholds_and_the_deny_list(analyzer, deps):
    settings = {"pii_entities_config": {"PERSON": "MASK", "EMAIL_ADDRESS": "BLOCK", "LOCATION": "MASK"}}
    hits, refused = await found(detector(analyzer, deps, **settings))
    assert {kind for kind, _ in hits} == {"PERSON", "EMAIL_ADDRESS", "LOCATION"}
    assert refused == "blocked entity detected: EMAIL_ADDRESS"
    settings |= {"presidio_score_thresholds": {"ALL": 0.9}, "presidio_entities_deny_list": ["EMAIL_ADDRESS"]}
    assert await found(detector(analyzer, deps, **settings)) == (set(), "")


async def test_an_ad_hoc_recognizer(analyzer, deps):
    badge = {
        "name": "Badges",
        "supported_language": "en",
        "supported_entity": "BADGE",
        "patterns": [{"name": "badge", "regex": r"\bB-[0-9]+\b", "score": 0.9}],
    }
    made = detector(analyzer, deps, presidio_ad_hoc_recognizers=[badge], pii_entities_config={"BADGE": "MASK"})
    assert await found(made, "😀 badge B-17 of Jane Doe") == ({("BADGE", "B-17")}, "")


async def test_a_language_that_it_does_not_know_is_an_error(analyzer, deps):
    with pytest.raises(DetectorError, match="`presidio` answered 500"):
        await found(detector(analyzer, deps), guardrail_config={"language": "tlh"})


async def test_many_texts_keep_their_order(analyzer, deps):
    names = ("Jane Doe", "John Smith", "Mary Jones", "Peter Brown")
    texts = [f"{'So it is. ' * (place % 3)}My name is {names[place % 4]}." for place in range(40)]
    begun = time.perf_counter()
    findings = await detector(analyzer, deps, pii_entities_config={"PERSON": "MASK"}).ask(Question("input", texts))
    print(f"40 texts in {time.perf_counter() - begun:.2f} s")
    for place, (text, finding) in enumerate(zip(texts, findings, strict=True)):
        assert {text[hit.start : hit.end] for hit in finding.hits} == {names[place % 4]}
