"""Configurations written to real files and loaded."""

import pytest

from engine.config.litellm import Loaded, load


@pytest.fixture
def loads(tmp_path, monkeypatch):
    """Load YAML text from a real file named config.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str, environ: dict[str, str] | None = None, **includes: str) -> Loaded:
        for name, content in includes.items():
            (tmp_path / f"{name}.yaml").write_text(content, "utf-8")
        (tmp_path / "config.yaml").write_text(text, "utf-8")
        return load("config.yaml", environ or {})

    return write_and_load


@pytest.fixture
def says(loads):
    """Load YAML text and give the problems as a person reads them."""

    def problems(text: str, environ: dict[str, str] | None = None, **includes: str) -> list[str]:
        return [str(problem) for problem in loads(text, environ, **includes).problems]

    return problems
