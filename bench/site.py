"""What a row is, and what every row is given."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.shapes import MODEL

_KEYS = 50


class LeftOutError(Exception):
    """The row cannot be run on this machine."""


def _key() -> str:
    return "sk-" + secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Site:
    """The fake provider, a directory for the files of rows, and the clients' keys."""

    upstream_port: int
    directory: Path
    master_key: str = field(default_factory=_key)
    keys: tuple[str, ...] = field(default_factory=lambda: tuple(_key() for _ in range(_KEYS)))

    @property
    def upstream(self) -> str:
        """Return the address of the fake provider."""
        return f"http://127.0.0.1:{self.upstream_port}"

    @property
    def model(self) -> dict[str, object]:
        """Return the fake provider as an entry of LiteLLM's `model_list`, with prices."""
        params = {
            "model": "openai/bench-model",
            "api_base": f"{self.upstream}/v1",
            "api_key": "sk-upstream",
            "input_cost_per_token": 0.00000015,
            "output_cost_per_token": 0.0000006,
        }
        return {"model_name": MODEL, "litellm_params": params}

    def place(self, name: str) -> Path:
        """Return a fresh directory for the files of one row."""
        made = self.directory / name
        made.mkdir()
        return made


def _clients(site: Site) -> tuple[str, ...]:
    return site.keys


def _no_headers(site: Site) -> dict[str, str]:
    del site
    return {}


@dataclass(frozen=True, slots=True)
class Row:
    """A gateway under test: how it is started, when it is ready, and what its clients must send."""

    command: Callable[[str, Site, int], list[str]]
    """Writes what files the gateway needs and returns what starts it on a port; raises LeftOutError if it is not installed."""
    ready: str = "/health/readiness"
    """The path that answers 200 as soon as the gateway serves."""
    start_seconds: float = 30.0
    every: int = 1
    """In closed loop the row has a turn in each so many rounds, a power of two: slow rows must not use up the run."""
    environ: Mapping[str, str] = field(default_factory=dict)
    keys: Callable[[Site], tuple[str, ...]] = _clients
    headers: Callable[[Site], Mapping[str, str]] = _no_headers
    """What requests carry beside what all rows get."""
