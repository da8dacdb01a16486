"""Ask a remote detector about a text, as a guardrail would.

    python examples/remotes/ask.py NAME TEXT [PHASE]

NAME is one of detectors.yaml; PHASE is `input` (the default), `output`, `toolCalls` or `toolResults`.
"""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from engine.contracts import Deps  # noqa: E402 - an example also runs where nothing is installed
from engine.detecting import DetectorError, Finding, Question, RemoteDetector  # noqa: E402
from engine.extensions import Extensions  # noqa: E402
from engine.outside import SystemClock  # noqa: E402
from engine.transport import make  # noqa: E402

SECONDS = 10.0


def written(name: str) -> dict[str, Any]:
    """Return the settings of a detector, with what they take from the environment."""
    settings: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("detectors.yaml").read_text())[name]
    return {key: value if not _elsewhere(value) else os.environ.get(value[11:]) for key, value in settings.items()}


def _elsewhere(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("os.environ/")


async def ask(name: str, question: Question) -> Finding:
    """Ask one question within `SECONDS`."""
    http = make(os.environ)
    settings = written(name)
    extensions = Extensions(Deps(SystemClock(), random.Random(), http, os.environ))  # noqa: S311 - nothing is drawn
    try:
        detector: RemoteDetector = extensions.remote_detector(settings["type"], settings)
        (finding,) = await asyncio.wait_for(detector.ask(question), SECONDS)
        return finding
    finally:
        await http.close()


def main() -> int:
    """Print what was found; 0 where the text may pass as it is, 1 where it may not, 2 where nobody knows."""
    name, text, phase = [*sys.argv[1:], "input"][:3]
    try:
        finding = asyncio.run(ask(name, Question(phase, [text])))
    except (DetectorError, TimeoutError, ValueError) as error:
        print(f"nothing is known: {error or 'no answer in time'}")
        return 2
    for hit in finding.hits:
        print(f"{hit.type} {hit.start}-{hit.end} {hit.score:.2f}")
    if finding.replacement is not None:
        print(f"instead: {finding.replacement}")
    if finding.refused:
        print(f"refused: {finding.refused}")
    return 1 if finding != Finding(hits=finding.hits) or finding.hits else 0


if __name__ == "__main__":
    sys.exit(main())
