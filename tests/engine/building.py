"""From the text of a configuration to what the request path reads, by the product's own means."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import yaml

from engine.build import Built, build
from engine.call import Call, Caller, Route
from engine.config.litellm import load
from engine.contracts import Deps
from engine.extensions import Extensions
from engine.outside import SystemClock
from engine.pricing import Prices
from engine.snapshot import Snapshot
from engine.transport import make

PRICES = Prices.bundled()
REGISTRY = Extensions(Deps(SystemClock(), random.Random(1), make({}), {}))


class Asked:
    """A client's request with these headers and this body."""

    def __init__(self, headers: dict[str, str] | None = None, body: bytes = b"{}") -> None:
        self.headers = headers or {}
        self.body = body
        self.target = "/v1/chat/completions"
        self.port = 0

    def at_hand(self) -> bytes | None:
        """Return the body."""
        return self.body

    async def read(self, limit: int) -> bytes:
        """Return the body."""
        assert len(self.body) <= limit
        return self.body


def loaded(text: str) -> Any:
    """Load a configuration that must be free of errors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(text, "utf-8")
        found = load(path, {})
    assert found.spec is not None, [str(problem) for problem in found.problems]
    return found.spec


def compiled(text: str, revision: int = 1) -> Built:
    """Compile a configuration."""
    return build(loaded(text), REGISTRY, PRICES, revision)


def config(models: dict[str, Any], **more: Any) -> str:
    """Write a configuration: public name -> `provider/model`, or the members of its entry."""
    entries = [
        {"model_name": name, **(what if isinstance(what, dict) else {"litellm_params": {"model": what}})}
        for name, what in models.items()
    ]
    return yaml.safe_dump({"model_list": entries, **more}, sort_keys=False)


def call_of(snapshot: Snapshot, caller: Caller, model: str) -> Call:
    """Make a call that names a model."""
    call = Call("call-1", Route("/chat/completions", "chat", REGISTRY.dialect("openai")), snapshot, Asked())
    call.caller = caller
    call.model = model
    return call
